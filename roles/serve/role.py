"""The ordered start of every replica, side by side; and its end."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable

from pyinfra import logger
from pyinfra.api.command import FunctionCommand
from pyinfra.api.host import Host
from pyinfra.api.operation import operation
from pyinfra.api.state import State
from pyinfra.context import ctx_host

from roles.plan.plan import ReplicaPlan
from roles.run import change, remote
from roles.run.checks import Case
from roles.run.run import Run
from roles.run.units import unit as unit_of
from roles.serve import bring, state, unit
from roles.serve import stop as ending
from roles.serve.bring import Proves, Told


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
    departed = state.departed(run.plan, run.seen)
    for name, address in departed.items():
        if name not in forgiven:
            fix = f"clean it with the old inventory and --limit {name} if it can be reached, then serve with --data forget={name}"
            problems.append((name, f"{name} ({address}) left the inventory, and our engine may still run on it", fix))
    for node, why, fix in problems:
        run.fail(node, "whole", why, fix)
        print(f"{why}; fix: {fix}", file=sys.stderr)
    if problems:
        run.close(1)
        sys.exit(1)
    if departed and not run.dry:
        _forget(run, departed)


def _forget(run: Run, names: Iterable[str]) -> None:
    """Said once, it need not be said again: where the record names them, they are forgotten beside it."""
    for name, host in run.hosts.items():
        if state.recorded(run.seen[name]):
            replica, node = run.node(name)
            values = {**unit.values(run.plan, replica, node), "NAMES": "\n".join(names)}
            text = remote.script(values=values) + 'printf "%s\n" "$NAMES" >>"$STATE/$CLUSTER/$REPLICA/forgotten"\n'
            run.call(host, "forget", text, limit=20)


def start(run: Run, prove: Proves, on_failure: Told) -> None:
    """Called on every host while pyinfra prepares: what each replica needs is known from the look. `prove` is the last stage."""
    host: Host = ctx_host.get()  # type: ignore[no-untyped-call]
    replica, _ = run.node(host)
    run.once(f"decide {replica.name}", lambda: _decide(run, replica))
    run.facts["prove"], run.facts["on_failure"] = prove, on_failure
    _up(run=run, name="Bring up and prove")


def goes_back(run: Run) -> bool:
    """--data rollback=now: the nodes have all it needs, and the inventory may be what is wrong."""
    return run.options.get("rollback") == "now"


def begins(run: Run) -> bool:
    """Whether an engine is about to be started, from the first look; then the image's own engine is asked about its command before."""
    return any(_decided(run, r).what in ("start", "restart") for r in run.plan.replicas if _here(run, r))


def _decided(run: Run, replica: ReplicaPlan) -> state.Decision:
    silent = run.facts.get("silent", {}).get(replica.name, state.ANSWERS)
    return state.decide(run.plan, replica, run.seen, silent, bool(run.options.get("rekey")))


def _here(run: Run, replica: ReplicaPlan) -> bool:
    return all(n.name in run.hosts for n in replica.nodes)


def _decide(run: Run, replica: ReplicaPlan) -> state.Decision:
    decision = state.back(run.plan, replica, run.seen) if goes_back(run) else _decided(run, replica)
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
    if decision.what == "back" and not decision.kept:
        return "nothing can be done"
    return {
        "nothing": "left alone",
        "leave": "left as it is",
        "follow": f"{would}followed until it is proven",
        "start": f"{would}started, {order}",
        "restart": f"{would}stopped and started again, {order}",
        "back": f"{would}stopped and started again by its kept plan, {order}",
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
    why = run.once(f"up {replica.name}", lambda: _unready(run, state, replica) or bring.in_turn(run, replica))
    if why and not run.cancel.is_set():
        if host.name == replica.nodes[0].name:
            host.log_styled(f"replica {replica.name}: {why}", fg="red", log_func=logger.error)
        return False
    return not why


def _unready(run: Run, state: State, replica: ReplicaPlan) -> str:
    """pyinfra goes on without a host that failed; a replica does not."""
    lost = [n.name for n in replica.nodes if run.hosts[n.name] not in state.active_hosts]
    if not lost:
        return ""
    why = f"{', '.join(lost)} could not be prepared; nothing of the replica was started or stopped"
    if not any(f["node"] in lost for f in run.failures):
        run.fail(lost[0], "prepare", why)
    return why


def stop(run: Run) -> None:
    """Every node's unit and container; what is left of them is a failure."""
    change.step(run, "Stop the engine", _running, _stop)


def _running(case: Case) -> list[change.Change]:
    one = unit_of(case.seen, case.node.runtime)
    if one.any:
        return [change.Change(f"stop rank {case.node.rank} (generation {one.generation})")]
    return [change.Change(f"keep rank {case.node.rank} down: it would begin at the next reboot")] if one.enabled else []


def _stop(run: Run, host: Host, case: Case, changes: object) -> str:
    return ending.stop(run, case.replica, case.node)
