"""The firewall a site may ask for: one table of our own, set in one step, SSH first; and its removal."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pyinfra.api.host import Host
from pyinfra.context import ctx_host

from roles.firewall.rules import FILE, UNIT_FILE, table
from roles.firewall.work import Work, opening, work
from roles.run import change, remote
from roles.run.change import Change
from roles.run.checks import Case
from roles.run.run import Run

SCRIPT = Path(__file__).with_name("apply.sh")


def close(run: Run) -> None:
    """Every node as the inventory's `firewall` says."""
    host: Host = ctx_host.get()  # type: ignore[no-untyped-call]
    port = host.data.get("ssh_port")
    port = int(port) if port else None
    change.step(run, "firewall", lambda case: work(case, port).changes, partial(_apply, port=port))


def remove(run: Run) -> None:
    """Opened again, whatever the inventory says: a clean node has no rules of ours."""
    change.step(run, "firewall away", lambda case: opening(case).changes, _remove)


def _remove(run: Run, host: Host, case: Case, changes: Sequence[Change]) -> str:
    return _run(run, host, opening(case))


def _apply(run: Run, host: Host, case: Case, changes: Sequence[Change], port: int | None) -> str:
    return _run(run, host, work(case, port))


def _run(run: Run, host: Host, todo: Work) -> str:
    if todo.problem:
        return todo.problem
    values = {
        "REMOVE": "yes" if todo.remove else "",
        "TABLE": table(run.plan.cluster),
        "RULES_FILE": FILE,
        "RULES": todo.files.get(FILE, ""),
        "UNIT_FILE": UNIT_FILE,
        "UNIT": todo.files.get(UNIT_FILE, ""),
    }
    done = run.call(host, "firewall", remote.script(SCRIPT, values=values), limit=60)
    return "" if done.ok else f"the rules could not be set: {done.said}"
