"""The ordered start of every replica, side by side; and its end."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Generator

from pyinfra import logger
from pyinfra.api.command import FunctionCommand
from pyinfra.api.host import Host
from pyinfra.api.operation import operation
from pyinfra.api.state import State
from pyinfra.context import ctx_host

from roles.plan.plan import ReplicaPlan
from roles.run import change, key, lock, remote
from roles.run.checks import Case
from roles.run.folder import now
from roles.run.progress import Progress
from roles.run.run import Run
from roles.run.units import unit as unit_of
from roles.serve import gang, state, unit

Told = Callable[[Run, ReplicaPlan], str]
"""What another role says of a replica: nothing when it is proven, else why not; or what a failed start makes of its evidence."""


def whole(run: Run) -> None:
    """Nothing of a replica is started unless every node of it was reached; and no node is forgotten."""
    run.once("whole", lambda: _whole(run))


def _whole(run: Run) -> None:
    problems = []
    for replica in run.plan.replicas:
        missing = [n.name for n in replica.nodes if n.name not in run.hosts]
        here = [n.name for n in replica.nodes if n.name in run.hosts]
        if missing and here:
            why = ", ".join(f"{n} ({run.missing[n]})" for n in missing)
            problems.append(
                (
                    missing[0],
                    f"replica {replica.name} is not whole: {why}; nothing of it is started",
                    "reach all its nodes, or leave out --limit",
                )
            )
        elif missing and any("limit" not in run.missing[n] for n in missing):
            problems.append((missing[0], f"replica {replica.name} was not reached", "ssh to its nodes by hand"))
    forgiven = str(run.options.get("forget", "")).split(",")
    for name, address in state.departed(run.plan, run.seen).items():
        if name not in forgiven:
            fix = f"run clean with the old inventory, or --data forget={name}"
            problems.append((name, f"{name} ({address}) left the inventory, and our engine may still run on it", fix))
    for node, why, fix in problems:
        run.fail(node, "whole", why, fix)
        print(f"{why}; fix: {fix}", file=sys.stderr)
    if problems:
        run.close(1)
        sys.exit(1)


def start(run: Run, prove: Told, on_failure: Told) -> None:
    """Called on every host while pyinfra prepares: what each replica needs is known from the look. `prove` is the last stage."""
    host: Host = ctx_host.get()  # type: ignore[no-untyped-call]
    replica, _ = run.node(host)
    run.once(f"decide {replica.name}", lambda: _decide(run, replica))
    run.facts["prove"], run.facts["on_failure"] = prove, on_failure
    _up(run=run, name="Bring up and prove")


def _decide(run: Run, replica: ReplicaPlan) -> state.Decision:
    answers = run.facts.get("silent", {}).get(replica.name, "")
    decision = state.decide(run.plan, replica, run.seen, answers)
    run.facts.setdefault("decisions", {})[replica.name] = decision
    print(f"replica {replica.name} {decision.why}: {_means(run, replica, decision)}", file=sys.stderr)
    for line in decision.changes:
        print(f"    {line}", file=sys.stderr)
    run.folder.event("decision", replica=replica.name, what=decision.what, why=decision.why, changes=list(decision.changes))
    if run.dry and decision.what in ("start", "restart"):
        for step in replica.steps:
            if step["do"] not in ("probe", "open"):
                print(f"    {step['node']}: {_step(step)}", file=sys.stderr)
    return decision


def _step(step: dict[str, object]) -> str:
    rest = {k: v for k, v in step.items() if k not in ("node", "do") and v not in (None, [], "")}
    return f"{step['do']} " + " ".join(f"{k}={v}" for k, v in rest.items())


def _means(run: Run, replica: ReplicaPlan, decision: state.Decision) -> str:
    order = " then ".join(n.name for n in replica.nodes[:4]) + (" ..." if len(replica.nodes) > 4 else "")
    would = "would be " if run.dry else ""
    return {
        "nothing": "left alone",
        "follow": f"{would}followed until it is proven",
        "start": f"{would}started, {order}",
        "restart": f"{would}stopped and started again, {order}",
    }[decision.what]


@operation()
def _up(run: Run) -> Generator[FunctionCommand, None, None]:
    host: Host = ctx_host.get()  # type: ignore[no-untyped-call]
    replica, _ = run.node(host)
    if run.facts["decisions"][replica.name].what != "nothing":
        yield FunctionCommand(_bring_up, (run,), {})


def _bring_up(state: State, host: Host, run: Run) -> bool:
    """The first host of a replica starts all of it; the others get its result: all or nothing."""
    replica, _ = run.node(host)
    why = run.once(f"up {replica.name}", lambda: _gang(run, replica))
    if why and not run.cancel.is_set():
        if host.name == replica.nodes[0].name:
            host.log_styled(f"replica {replica.name}: {why}", fg="red", log_func=logger.error)
        return False
    return not why


def _gang(run: Run, replica: ReplicaPlan) -> str:
    """Nothing when the replica answers; else why not, and it is stopped."""
    if run.cancel.is_set():
        return "interrupted"
    if not lock.take(run):
        return next(f["why"] for f in run.failures if f["stage"] == "lock")
    decision = run.facts["decisions"][replica.name]
    progress = run.once("progress", lambda: Progress([n.name for n in run.plan.nodes]))
    secret = run.once("secret", lambda: key.made(run))
    variable = run.plan.known.engine.auth_env
    if decision.what == "restart":
        gang.kept(run, replica)
        left = gang.stop_all(run, replica, progress.say)
        if left:
            name, why = next(iter(left.items()))
            run.fail(name, "stop", why)
            return f"{name}: could not be stopped: {why}"
    one = gang.Gang(run, replica, decision, f"{variable}={secret}" if secret and key.secrets_path(run.plan, replica) else "", progress)
    with run.stage("up", replica=replica.name) as stage:
        stage["ok"] = one.up()
    if not stage["ok"]:
        return failed(run, replica, one.why or "interrupted")
    why = _launch(run, replica) or run.facts["prove"](run, replica)
    if why:
        return failed(run, replica, why)
    _mark(run, replica)
    return ""


def _mark(run: Run, replica: ReplicaPlan) -> None:
    """Proven is written where the next run looks for it; from here on an interrupt leaves the replica alone."""
    for node in replica.nodes:
        run.undo.pop(node.name, None)
        values = {**unit.values(run.plan, replica, node), "TEXT": f"{now()} {replica.spec}"}
        text = remote.script(values=values) + 'printf "%s\\n" "$TEXT" >"$STATE/$CLUSTER/$REPLICA/proven"'
        run.call(run.hosts[node.name], "proven", text, limit=20)


def failed(run: Run, replica: ReplicaPlan, why: str) -> str:
    """A failed start leaves its evidence and nothing running, unless asked to keep it."""
    if run.cancel.is_set():
        return why
    if run.options.get("keep"):
        for node in replica.nodes:
            run.undo.pop(node.name, None)
        return f"{why}; kept as it is (--data keep=true)"
    left = gang.stop_all(run, replica)
    verdict = run.facts["on_failure"](run, replica)
    if verdict:
        print(f"\n{verdict}\n", flush=True)
    return why + "".join(f"; {n} still runs: {w}" for n, w in left.items())


def _launch(run: Run, replica: ReplicaPlan) -> str:
    """Engines that load their model by a second command (xinference launch)."""
    node = replica.nodes[0]
    if not node.after_ready_argv:
        return ""
    known = unit.values(run.plan, replica, node)
    inside = ["docker", "exec", str(known["UNIT"])] if node.runtime == "docker" else []
    with run.stage("launch", node.name, replica.name) as stage:
        limit = float(run.plan.verify["timeouts"]["ready"])
        done = run.call(run.hosts[node.name], "launch", shlex.join([*inside, *node.after_ready_argv]), limit=limit)
        stage["ok"] = done.ok
    if done.ok:
        return ""
    why = f"{node.name}: launch: {shlex.join(node.after_ready_argv[:4])} ...: {done.said}"
    run.fail(node.name, "launch", done.said)
    return why


def stop(run: Run) -> None:
    """Every node's unit and container; what is left of them is a failure."""
    change.step(run, "Stop the engine", _running, _stop)


def _running(case: Case) -> list[change.Change]:
    one = unit_of(case.seen, case.node.runtime)
    return [change.Change(f"stop rank {case.node.rank} (generation {one.generation})")] if one.any else []


def _stop(run: Run, host: Host, case: Case, changes: object) -> str:
    return gang.stop(run, case.replica, case.node)
