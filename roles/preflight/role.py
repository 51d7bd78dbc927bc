"""Look at every node once, judge, and say all of it at once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from dataclasses import replace

from pyinfra.api.command import FunctionCommand
from pyinfra.api.host import Host
from pyinfra.api.operation import operation
from pyinfra.api.state import State

from roles.plan.finding import Finding, verdict
from roles.preflight import table
from roles.run import change, checks, lock, look, terminal
from roles.run.run import Run
from roles.run.seen import MARK, Seen


def see(run: Run, **options: object) -> None:
    """One exec per node that was reached; nodes that were not have a finding instead."""
    run.once("look", lambda: _see(run, options))


def _see(run: Run, options: dict[str, object]) -> None:
    chosen = {"FABRIC": run.options.get("fabric", "rail"), **options}
    with run.stage("look") as stage:
        run.seen.update(look.look(run.state, run.hosts.values(), run.plan, run.cancel, **chosen))
        run.seen.update({name: Seen(name, problem=why) for name, why in run.missing.items() if "--limit" not in why})
        for name, seen in run.seen.items():
            text = "".join(f"{MARK}{s.name} {s.code}\n" + "".join(f"{x}\n" for x in s.lines) for s in seen.sections.values())
            run.folder.keep(name, "probe", text, fresh=True)
        run.findings[:] = judged(run)
        stage["ok"] = verdict(run.findings) != "blocked"


def judged(run: Run) -> list[Finding]:
    """All findings; their fixes name the inventory at hand."""
    found = checks.judge(run.plan, run.seen, checks.skipped(run.options.get("skip")))
    return [replace(f, fix=f.fix.replace("pyinfra INVENTORY deploy/", run.command)) for f in found]


def answered(run: Run) -> None:
    """A node whose probe broke off told nothing; it must not be taken for clean."""
    run.once("answered", lambda: _answered(run))


def _answered(run: Run) -> None:
    silent = {name: seen.problem for name, seen in run.seen.items() if seen.problem and name in run.hosts}
    for name, why in silent.items():
        run.fail(name, "look", why)
        terminal.line(f"{name}: {why}; nothing was changed on any node", out=sys.stderr)
    if silent:
        run.close(1)
        sys.exit(1)


def check(run: Run) -> int:
    """The verb: everything found, as a table and as sentences. 0 unless something blocks."""
    see(run, PARSE=1)
    show(run, run.findings, whole=True)
    return 1 if blocking(run) else 0


def blocking(run: Run) -> list[Finding]:
    return [f for f in run.findings if f.level == "fail"]


def settled(first: list[Finding], second: list[Finding]) -> list[Finding]:
    """What was in order stays so: nodes move between two looks, an engine that just ends is still in its driver's table. Pure.

    The lock is our own by the second one; a node that says nothing then was not looked at.
    """
    open_ = {(f.node, f.check) for f in first if (f.level != "pass" and f.check != "node.lock") or f.check == "node.reached"}
    known = {(f.node, f.check) for f in first} - open_
    return [*(f for f in first if (f.node, f.check) in known), *(f for f in second if (f.node, f.check) not in known)]


def show(run: Run, findings: list[Finding], whole: bool) -> None:
    names = [n.name for n in run.plan.nodes if n.name in run.seen]
    if whole:
        terminal.show(table.table(findings, names), "")
    for sentence in table.sentences(findings):
        terminal.line(*sentence)
    for warning in run.plan.warnings:
        terminal.line(f"plan  {warning}")
    terminal.line(*table.last_line(findings))
    terminal.line(f"report: {run.folder.path / 'report.json'}")


def gate(run: Run) -> None:
    """Before anything is changed: what blocks ends the run here, all of it said."""
    run.once("gate", lambda: _gate(run))


def _gate(run: Run) -> None:
    stop = blocking(run)
    held = [f for f in run.findings if f.check == "node.lock" and f.level == "warn" and not run.options.get("takeover")]
    if stop or held:
        show(run, [*stop, *held], whole=False)
        for f in [*stop, *held]:
            run.fail(f.node, f"check {f.check}", f.observed, f.fix)
        run.close(1)
        sys.exit(1)
    told = [f for f in run.findings if f.level == "warn"]
    if told:
        show(run, told, whole=False)


def again(run: Run, begins: Callable[[Run], bool] = lambda run: False, **options: object) -> None:
    """After prepare changed something, and before an engine begins: look once more, at what could not be seen at first.

    Nothing of a replica that fails is started, or stopped for a change.
    """
    _again(run=run, begins=begins, options=options, name="Check what was prepared")


@operation()
def _again(run: Run, begins: Callable[[Run], bool], options: dict[str, object]) -> Generator[FunctionCommand, None, None]:
    if change.anything(run) or begins(run):
        yield FunctionCommand(_checked, (run, options), {})


def _checked(state: State, host: Host, run: Run, options: dict[str, object]) -> bool:
    if run.cancel.is_set():
        return False
    if not lock.take(run):  # before this look: what changed since the first one is told by the lock
        return change.refuse(host, next(f["why"] for f in run.failures if f["stage"] == "lock"))
    run.once("again", lambda: _see_again(run, options))
    replica, _ = run.node(host)
    members = {n.name for n in replica.nodes}
    mine = [f for f in run.findings if f.level == "fail" and f.node in members]
    for f in mine:
        if f.node == host.name:
            change.refuse(host, f.sentence())
    return not mine


def _see_again(run: Run, options: dict[str, object]) -> None:
    hosts = [h for h in run.hosts.values() if h in run.state.active_hosts]
    with run.stage("look again") as stage:
        run.seen.update(look.look(run.state, hosts, run.plan, run.cancel, FABRIC="off", **options))
        before = list(run.findings)
        run.findings[:] = settled(before, judged(run))
        for sentence in table.sentences([f for f in run.findings if f.level == "warn" and f not in before]):
            terminal.line(*sentence)
        for f in blocking(run):
            run.fail(f.node, f"check {f.check}", f.observed, f.fix)
        stage["ok"] = not blocking(run)
