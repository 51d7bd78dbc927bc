"""How a role changes a node: a pure decision first, shown to the user; then, only where it is needed, the work."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from pyinfra import logger
from pyinfra.api.command import FunctionCommand
from pyinfra.api.host import Host
from pyinfra.api.operation import operation
from pyinfra.api.state import State
from pyinfra.context import ctx_host

from roles.run import lock, terminal
from roles.run.checks import Case
from roles.run.run import Run


@dataclass(frozen=True)
class Change:
    """One thing that will be different: in words, as a diff where there is a file, and what `apply` needs to know."""

    what: str
    diff: str = ""
    data: Any = None


def diff(path: str, old: str, new: str) -> str:
    """A unified diff; a file that is not there is an empty one."""
    names = (path if old else "/dev/null", path if new else "/dev/null")
    return "".join(difflib.unified_diff(old.splitlines(True), new.splitlines(True), *names))


Decide = Callable[[Case], Sequence[Change]]
Apply = Callable[[Run, Host, Case, Sequence[Change]], str]
"""Does the work on one node; returns nothing, or the one sentence why it could not."""


def case(run: Run, host: Host) -> Case:
    replica, node = run.node(host)
    return Case(run.plan, replica, node, run.seen[host.name], run.seen)


def step(run: Run, title: str, decide: Decide, apply: Apply, fix: str = "") -> None:
    """Called on every host while pyinfra prepares. Decides at once, from the look at the node, so that --dry tells the truth."""
    host: Host = ctx_host.get()  # type: ignore[no-untyped-call]
    changes = list(decide(case(run, host)))
    run.facts.setdefault("todo", {}).setdefault(host.name, {})[title] = changes
    if run.dry or not run.yes:
        for change in changes:
            tell(run, host, f"{'would ' if run.dry else 'will '}{change.what}", change.diff)
    _do(run=run, title=title, apply=apply, fix=fix, name=title)


def todo(run: Run, host: Host, title: str) -> list[Change]:
    found: list[Change] = run.facts.get("todo", {}).get(host.name, {}).get(title, [])
    return found


def anything(run: Run) -> bool:
    """Whether this run will change any node."""
    return any(changes for titles in run.facts.get("todo", {}).values() for changes in titles.values())


@operation()
def _do(run: Run, title: str, apply: Apply, fix: str) -> Generator[FunctionCommand, None, None]:
    host: Host = ctx_host.get()  # type: ignore[no-untyped-call]
    if todo(run, host, title):
        yield FunctionCommand(_work, (run, title, apply, fix), {})


def _work(state: State, host: Host, run: Run, title: str, apply: Apply, fix: str) -> bool:
    """False is pyinfra's red: this host takes no part in what follows."""
    if run.cancel.is_set():
        return False
    if not lock.take(run):
        return refuse(host, next(f["why"] for f in run.failures if f["stage"] == "lock"))
    changes = todo(run, host, title)
    with run.stage(title, host.name) as stage:
        for change in changes:
            tell(run, host, change.what, change.diff)
        why = apply(run, host, case(run, host), changes)
        stage["ok"] = not why
    if why and not run.cancel.is_set():
        run.fail(host.name, title, why, fix)
        return refuse(host, f"{title}: {why}{f'; fix: {fix}' if fix else ''}")
    return not why


def refuse(host: Host, why: str) -> bool:
    """One red line, no traceback."""
    host.log_styled(terminal.harmless(why), fg="red", log_func=logger.error)
    return False


def tell(run: Run, host: Host, text: str, diff: str = "") -> None:
    """A plain line on the terminal and in the events; the diff where --diff asks for it."""
    terminal.line(f"    [{host.name}] {text}", out=sys.stderr)
    run.folder.event("change", node=host.name, what=text)
    if diff and run.state.config.DIFF:
        for line in diff.splitlines():
            terminal.line((f"    {line}", {"+": "green", "-": "red"}.get(line[:1], "")), out=sys.stderr)
