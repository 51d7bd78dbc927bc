"""The proxy: in place, running, as the inventory says."""

from __future__ import annotations

from roles.proxy.work import present, wanted, work
from roles.run.checks import Answer, Case, check, fail, good, warn

PREPARE = "pyinfra INVENTORY deploy/prepare.py"


@check("proxy.ready", "The proxy in front of the API runs as the inventory says", why="expose: proxy; clients reach nothing else")
def ready(case: Case) -> Answer:
    if "proxy.host" not in case.seen:
        return None  # a short probe
    now, todo = present(case.seen), work(case)
    if todo.problem:
        return fail(todo.problem, "nginx, and systemd to run it", "install nginx, or set expose: direct")
    if todo.changes:
        return warn(f"to do: {', '.join(c.what for c in todo.changes)}", "the inventory's proxy" if wanted(case) else "no proxy", PREPARE)
    return good(f"nginx {now.version} on port {case.node.ports['proxy']}") if wanted(case) else None
