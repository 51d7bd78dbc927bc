"""One replica brought up and proven; or its end, and the plan before it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable

from gevent.event import AsyncResult
from gevent.lock import BoundedSemaphore

from roles.plan.plan import ReplicaPlan
from roles.run import key, lock, look, remote
from roles.run.folder import now
from roles.run.progress import Progress
from roles.run.proven import Proven
from roles.run.run import Run
from roles.serve import back, drain, gang, stop, unit
from roles.serve.sight import Act, Sight
from roles.serve.sight import decide as decide_by
from roles.serve.state import Decision, agreed, decide

Told = Callable[[Run, ReplicaPlan], str]
"""What another role says of a replica: nothing when it is proven, else why not; or what a failed start makes of its evidence."""
Proves = Callable[[Run, ReplicaPlan], Proven]
CHANGES = ("restart", "back")
PROVEN, UNIT = gang.HERE / "proven.sh", gang.HERE / "unit_state.sh"


class Turns:
    """Replicas that are changed one after the other, in the plan's order, whichever of their hosts comes first."""

    def __init__(self, run: Run, at_once: int) -> None:
        decisions = run.facts["decisions"]
        self.pending = [r for r in run.plan.replicas if decisions[r.name].what in CHANGES]
        self.results = {r.name: AsyncResult() for r in self.pending}
        self.slots = BoundedSemaphore(at_once)
        self.failed = ""

    def next(self, run: Run) -> None:
        one = self.pending.pop(0)
        if self.failed:
            why = f"left as it is, since replica {self.failed} failed its change"
            run.fail(one.nodes[0].name, "rolling", why)
        else:
            try:
                why = up(run, one)
            except BaseException as e:
                self.results[one.name].set_exception(e if isinstance(e, Exception) else RuntimeError("ended"))
                raise
            self.failed = self.failed or (one.name if why else "")
        self.results[one.name].set(why)


def in_turn(run: Run, replica: ReplicaPlan) -> str:
    """--data rolling=N: only N replicas are taken down at a time, and after a failure the rest keep serving as they are."""
    limit = run.options.get("rolling")
    if not limit or run.facts["decisions"][replica.name].what not in CHANGES:
        return up(run, replica)
    turns = run.once("turns", lambda: Turns(run, limit))
    while turns.pending and not turns.results[replica.name].ready():
        with turns.slots:
            if turns.pending:
                turns.next(run)
    why: str = turns.results[replica.name].get()
    return why


def up(run: Run, replica: ReplicaPlan) -> str:
    """Nothing when the replica answers; else why not, and it is stopped, or what it was before."""
    if run.cancel.is_set():
        return "interrupted"
    if not lock.take(run):
        return next(f["why"] for f in run.failures if f["stage"] == "lock")
    if why := _moved(run, replica):
        return why
    decision: Decision = run.facts["decisions"][replica.name]
    if decision.what == "nothing":
        return ""
    if decision.what == "leave":
        return _left(run, replica, f"replica {replica.name} {decision.why}", _way_on(run, replica))
    if decision.what == "back" and not decision.kept:
        run.fail(replica.nodes[0].name, "rollback", f"replica {replica.name} {decision.why}", "serve the inventory that is meant")
        return decision.why
    progress = _progress(run)
    found: back.Kept | str = ""
    if decision.what == "back":
        found = back.kept(run, replica, decision.kept)
        if isinstance(found, str):
            run.fail(replica.nodes[0].name, "rollback", found)
            return found
    if decision.what in CHANGES:
        wanted = bool(decision.changes) or decision.what == "back"
        mute = bool(run.facts.get("silent", {}).get(replica.name))  # what hangs would be waited for in vain
        why = _stopped(run, replica, progress, drained=wanted and not mute)
        if why:
            return why
    if not isinstance(found, str):
        return _restored(run, found, decision.generation)
    one = gang.Gang(run, replica, decision, _secret(run, replica), progress)
    why, sight = _served(run, one)
    if not why:
        return _mark(run, replica)
    if run.cancel.is_set():
        return why
    if _act(one, sight) == "leave":
        _verdict(run, replica)
        return _as_it_is(run, replica, why, sight)
    return failed(run, replica, why) + back.after(run, replica, decision, _restored)


def _act(one: gang.Gang, sight: Sight) -> Act:
    """What is done about a start that did not come to its end."""
    return decide_by(sight, "proof" if one.healthy.is_set() else "start", ours=one.decision.what != "follow", over=True)


def _as_it_is(run: Run, replica: ReplicaPlan, why: str, sight: Sight) -> str:
    how = "running, unproven" if sight.unseen else "to its own units"
    return _left(run, replica, f"{why}; left {how}", f"{run.command}serve.py goes on")


def _way_on(run: Run, replica: ReplicaPlan) -> str:
    """What a person can do about a replica that runs and cannot be judged."""
    silent = run.facts.get("silent", {}).get(replica.name)
    if silent is not None and silent.refused:
        path, given = key.named_file(run.plan), run.plan.known.keys.auth.startswith("file:")
        take = f"put the nodes' key into {path}" if given else f"take the key from the nodes: move {path} away"
        return f"{take} and run again; or --data rekey=true, which restarts it with this machine's"
    return f"{run.command}status.py tells what its units say; {run.command}stop.py, then serve.py, begins it anew"


def _moved(run: Run, replica: ReplicaPlan) -> str:
    """Where a start began between look and lock, by another controller or the unit itself, the nodes are looked at again.

    Nothing when what was decided stands, or what is so now asks for no more.
    """
    name = next((n.name for n in replica.nodes if lock.moved(run, n.name)), "")
    if not name:
        return ""
    seen = look.look(run.state, [run.hosts[n.name] for n in replica.nodes], run.plan, run.cancel, FABRIC="off")
    if run.cancel.is_set():
        return "interrupted"
    silent = next((one for one in seen.values() if one.problem), None)
    if silent:
        run.fail(silent.node, "look", silent.problem)
        return f"{silent.node}: {silent.problem}"
    old: Decision = run.facts["decisions"][replica.name]
    new = decide(run.plan, replica, seen)
    if not agreed(old, new):
        why = f"{name}: another controller, or the unit itself, began a start since this run looked; run again to see what is so now"
        run.fail(name, "lock", why)
        return why
    run.facts["decisions"][replica.name] = new
    run.folder.event("decision", replica=replica.name, what=new.what, why=new.why, changes=list(new.changes))
    print(f"replica {replica.name} {new.why}, seen again: a start began there since the first look", file=sys.stderr)
    return ""


def _stopped(run: Run, replica: ReplicaPlan, progress: Progress, drained: bool) -> str:
    """Its logs kept, its requests let out if it is well, then all nodes at once; why not, if one still runs."""
    stop.kept(run, replica)
    cut = drain.drain(run, replica, progress) if drained else ""
    if run.cancel.is_set():
        return "interrupted"  # while it still serves: it is left as it was
    if cut:
        run.folder.event("drain", replica=replica.name, why=cut)
    for name, why in stop.stop_all(run, replica, progress.say).items():
        run.fail(name, "stop", why)
        return f"{name}: could not be stopped: {why}"
    return ""


def _restored(run: Run, found: back.Kept, generation: int) -> str:
    """The kept plan in the usual order, with the usual proof."""
    before = back.shadow(run, found)
    decision = Decision("start", "goes back", (), generation)
    one = gang.Gang(before, found.replica, decision, _secret(run, found.replica), _progress(run), kept=found.where)
    why, sight = _served(before, one)
    if not why:
        return _mark(before, found.replica)
    if not run.cancel.is_set() and _act(one, sight) == "leave":
        return _as_it_is(before, found.replica, why, sight)
    if not run.cancel.is_set():
        stop.stop_all(before, found.replica)
    return why


def _progress(run: Run) -> Progress:
    return run.once("progress", lambda: Progress([n.name for n in run.plan.nodes]))


def _secret(run: Run, replica: ReplicaPlan) -> str:
    secret = run.once("secret", lambda: key.made(run))
    return f"{run.plan.known.engine.auth_env}={secret}" if secret and key.secrets_path(run.plan, replica) else ""


def _served(run: Run, one: gang.Gang) -> tuple[str, Sight]:
    """Up, launched and proven; or why not, and what was seen of it. A proof that was cut short proves nothing."""
    with run.stage("up", replica=one.replica.name) as stage:
        stage["ok"] = one.up()
    if not stage["ok"]:
        return one.why or "interrupted", one.sight
    why = _launch(run, one.replica)
    if why:
        return why, _ended(run, one.replica)
    proves: Proves = run.facts["prove"]
    proven = proves(run, one.replica)
    if run.cancel.is_set():
        return proven.why or "interrupted", Sight.INTERRUPT
    if proven.why:
        return proven.why, Sight.REFUTED if proven.refuted else _ended(run, one.replica)
    return "", Sight.ASKED


def _ended(run: Run, replica: ReplicaPlan) -> Sight:
    """Where nothing could be learnt through the API, whether a node's own unit says that its engine ended."""

    def one(name: str) -> str:
        values = unit.values(run.plan, replica, run.node(name)[1])
        done = run.call(run.hosts[name], "unit", remote.script(UNIT, values=values), limit=20)
        word, _, why = done.text.partition("\n")
        if not done.ok or word not in ("inactive", "failed"):
            return ""
        run.fail(name, "unit", f"its unit ended: {why.strip() or word}")
        return word

    return Sight.NODE if any(remote.together({n.name: lambda n=n: one(n.name) for n in replica.nodes}).values()) else Sight.LATE  # type: ignore[misc]


def _mark(run: Run, replica: ReplicaPlan) -> str:
    """Proven is written where the next run looks for it; from here on an interrupt leaves the replica alone. Why not, where it was not."""
    for node in replica.nodes:
        run.undo.pop(node.name, None)

    def one(name: str) -> remote.Done:
        node = next(n for n in replica.nodes if n.name == name)
        values = unit.install_values(run.plan, replica, node, 0) | {"TEXT": f"{now()} {replica.spec}"}
        names = ("STATE", "CLUSTER", "REPLICA", "UNIT", "SPEC", "SCRIPT", "ENTRYPOINT", "TELL", "TEXT")
        return run.call(run.hosts[name], "proven", remote.script(PROVEN, values={k: values[k] for k in names}), limit=20)

    marked = remote.together({n.name: lambda n=n: one(n.name) for n in replica.nodes})  # type: ignore[misc]
    bad = {name: done.said for name, done in marked.items() if not done.ok}
    for name, said in bad.items():
        why = f"it serves, but that it is proven could not be written there, so it would not begin again by itself: {said}"
        run.fail(name, "proven", why, f"{run.command}serve.py proves it again")
    return "".join(f"{name}: proven: {said}" for name, said in [*bad.items()][:1])


def _left(run: Run, replica: ReplicaPlan, why: str, fix: str = "") -> str:
    """Nothing is known of it, so nothing is done to it."""
    for node in replica.nodes:
        run.undo.pop(node.name, None)
    if fix:
        run.fail(replica.nodes[0].name, "unseen", why, fix)
    return f"{why}; {fix}" if fix else why


def failed(run: Run, replica: ReplicaPlan, why: str) -> str:
    """A failed start leaves its evidence and nothing running, unless asked to keep it."""
    if run.cancel.is_set():
        return why
    if run.options.get("keep"):
        return f"{_left(run, replica, why)}; kept as it is (--data keep=true)"
    left = stop.stop_all(run, replica)
    _verdict(run, replica)
    return why + "".join(f"; {n} still runs: {w}" for n, w in left.items())


def _verdict(run: Run, replica: ReplicaPlan) -> None:
    """What the doctor makes of the evidence."""
    said = run.facts["on_failure"](run, replica)
    if said:
        print(f"\n{said}\n", flush=True)


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
