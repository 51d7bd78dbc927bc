"""One replica's start: every node in its turn, all followed, the first failure ends the others."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import gevent
from gevent.event import Event

from roles.plan.node import NodePlan
from roles.plan.plan import ReplicaPlan
from roles.run import remote
from roles.run.folder import now
from roles.run.follow import Event as Told
from roles.run.follow import Follower, duration
from roles.run.progress import Progress
from roles.run.run import Run
from roles.serve import unit
from roles.serve.deaths import Deaths, Says, of_end, of_wrapper
from roles.serve.state import Decision

HERE = Path(__file__).parent
BEFORE, INSTALL, RESTORE, BEGIN = (HERE / f"{name}.sh" for name in ("before", "install", "restore", "begin"))
GATE, FOLLOW, STOP, LAST = (HERE / f"{name}.sh" for name in ("gate", "follow", "stop", "last"))
DIED, LATE = 10, 11
AGAIN = "run serve again when the node answers: it goes on from here"


class Either:
    """Set when any of its events is: a wait that ends for more than one reason."""

    def __init__(self, *events: Event) -> None:
        self.events = events

    def is_set(self) -> bool:
        return any(e.is_set() for e in self.events)


@dataclass
class Gang:
    """The nodes of one replica while they start."""

    run: Run
    replica: ReplicaPlan
    decision: Decision
    secret: str
    progress: Progress
    kept: str = ""
    """The kept plan that is put back, instead of files made from this run's plan."""
    listening: Event = field(default_factory=Event)
    healthy: Event = field(default_factory=Event)
    failed: Event = field(default_factory=Event)
    why: str = ""
    began: float = field(default_factory=time.monotonic)
    ended: dict[str, str] = field(default_factory=dict)
    """What a unit wrote when it ended, by node."""

    def __post_init__(self) -> None:
        self.deaths = Deaths([n.name for n in self.replica.nodes], self._died, lambda: self.cancel.is_set())

    @property
    def cancel(self) -> Either:
        return Either(self.run.cancel, self.failed)

    @property
    def limits(self) -> dict[str, int]:
        found: dict[str, int] = self.run.plan.verify["timeouts"]
        return found

    def up(self) -> bool:
        """True when every node runs and the endpoint answers."""
        jobs = {n.name: gevent.spawn(self._node, n) for n in self.replica.nodes}
        gevent.joinall(list(jobs.values()))
        self.progress.end()
        for name, job in jobs.items():
            if job.exception is not None:
                self.fail(name, "start", f"a fault of bringup itself: {job.exception!r}")
        return self.healthy.is_set() and not self.failed.is_set() and not self.run.cancel.is_set()

    def fail(self, node: str, stage: str, why: str, fix: str = "") -> None:
        """The first failure ends all waits of this replica; what others say afterwards is kept, too."""
        if self.run.cancel.is_set():
            return
        first = not self.failed.is_set()
        why = self.run.masked(why)
        self.run.fail(node, stage, why, fix)
        if first:
            self.why = f"{node}: {stage}: {why}" + (f"; fix: {fix}" if fix else "")
        self.failed.set()

    def _node(self, node: NodePlan) -> None:
        if self.decision.what != "follow":
            if node.rank != 0 and not (self._wait(self.listening) and self._gate(node, "reach", self.limits["join"])):
                return
            if self.cancel.is_set() or not self._start(node):
                return
        if node.rank == 0 and len(self.replica.nodes) > 1 and self.decision.what != "follow":
            gate = gevent.spawn(self._gate, node, "listen", self.limits["listen"])
            gate.link(lambda g: self.listening.set() if g.value else None)
        self._follow(node)

    def _wait(self, event: Event) -> bool:
        while not event.wait(0.1):
            if self.cancel.is_set():
                return False
        return True

    def _start(self, node: NodePlan) -> bool:
        """Files, unit, start: one exec. What an interrupt must stop is known before it."""
        run, host = self.run, self.run.hosts[node.name]
        ended = Event()
        run.undo[node.name] = lambda: self._undo(node, ended)
        values = unit.install_values(run.plan, self.replica, node, self.decision.generation) | {"KEPT": self.kept}
        text = remote.script(BEFORE, RESTORE if self.kept else INSTALL, BEGIN, values=values)
        with run.stage("start", node.name, self.replica.name) as stage:
            self.progress.say(node.name, f"start rank {node.rank}")
            try:
                done = run.call(host, "start", text, secret=f"{self.secret}\n", limit=120, cancel=None)
            finally:
                ended.set()
            stage["ok"] = done.ok
        if not done.ok:
            self.fail(node.name, "start", f"the unit could not be started: {done.said}", f"journalctl -u {values['UNIT']}")
        return done.ok

    def _undo(self, node: NodePlan, ended: Event) -> None:
        """A start that is on its way is let through first: a stop before it would stop nothing."""
        ended.wait(10)
        stop(self.run, self.replica, node)

    def _gate(self, node: NodePlan, how: str, limit: int) -> bool:
        """The rpc port listens on rank 0's address, or is reached from a later rank."""
        head = self.replica.nodes[0]
        port = head.ports["rpc"]
        values = {**unit.values(self.run.plan, self.replica, node), "HOW": how, "AT": head.address, "PORT": port, "LIMIT": limit}
        with self.run.stage(how, node.name, self.replica.name) as stage:
            done = self.run.call(
                self.run.hosts[node.name], how, remote.script(GATE, values=values), limit=limit + 30, cancel=self.cancel, tied=True
            )
            stage["ok"] = done.ok
        if done.ok:
            self.progress.say(node.name, f"{head.address}:{port} {'listens' if how == 'listen' else 'is reached'}")
        elif not self.cancel.is_set() and done.code != DIED:  # a unit that died is told by whoever follows it
            why = f"{head.address}:{port} did not {'listen' if how == 'listen' else 'answer'} within {limit} s"
            fix = f"check {node.nic or 'the network'} and firewalls"
            if done.code in (remote.LATE, remote.LOST):  # the script ends by itself; here the node said nothing at all
                why, fix = f"the node was not heard any more over SSH ({done.said})", AGAIN
            elif done.code != LATE:
                why = f"{why}: {done.said}"
            elif how == "listen":
                fix = f"see the engine's log in {self.run.folder.path}/nodes"
            self.fail(node.name, how, why, fix)
        return done.ok

    def _follow(self, node: NodePlan) -> None:
        """The engine's log, until the endpoint answers, somebody failed, or time is up."""
        verify = self.run.plan.verify
        at = time.monotonic()
        follower = Follower(verify["stages"], verify["fatal"], node.rank, self.limits["stall"], last=at, heard=at)
        stages = _Stages(self.run, node.name, self.replica.name)
        guard = gevent.spawn(self._mind, node, follower)

        def on_line(line: str, reply: remote.Reply) -> None:
            if not line.startswith("\x1e"):
                self.run.folder.keep(node.name, "engine.log", line.partition("\x1e")[0] + "\n")
            for told in follower.feed(line, time.monotonic()):
                self._told(node, follower, stages, told)

        values = unit.values(self.run.plan, self.replica, node)
        cancel = Either(self.run.cancel, self.failed, self.healthy)
        ended = remote.run(
            self.run.state, self.run.hosts[node.name], "bringup-follow", remote.script(FOLLOW, values=values),
            on_line=on_line, cancel=cancel, tied=True, keep=False,
        )  # fmt: skip
        guard.kill()
        stages.end(self.healthy.is_set())
        if ended.code == remote.LOST and not cancel.is_set():
            self.fail(node.name, follower.stage, f"the SSH connection was lost ({ended.said})", AGAIN)
        elif ended.ok and not cancel.is_set() and not self.deaths:
            self.deaths.note(Says.SILENCE, node.name, follower.stage, f"the unit ended; {follower.last_words()}")
        if self.deaths:
            self._wait(self.failed)

    def _told(self, node: NodePlan, follower: Follower, stages: _Stages, told: Told) -> None:
        if told.kind == "stage":
            stages.begin(told.text)
            self.progress.say(node.name, told.text)
        elif told.kind == "progress":
            self.run.folder.event("progress", node=node.name, stage=follower.stage, done=told.done, total=told.total)
            self.progress.show(node.name, f"{follower.stage} {told.text}")
        elif told.kind == "health" and told.text == "200" and node.rank == 0:
            self._healthy(node)
        elif told.kind == "fatal":
            gevent.spawn_later(0.3, self._fatal, node, follower, told)  # what follows the line belongs to it
        elif told.kind == "ended":
            self.ended[node.name] = told.text.partition(" ")[2] or "the unit ended"
        elif told.kind == "journal":
            cause = follower.cause()
            words = cause or follower.last_words()
            said = "; ".join(w for w in (self.ended.get(node.name, ""), told.text, words and f"its last words: {words}") if w)
            self.deaths.note(of_end(cause), node.name, follower.stage, said)

    def _fatal(self, node: NodePlan, follower: Follower, told: Told) -> None:
        cause = follower.cause() if told.wrapper else ""
        why = f"{told.text}: {cause or told.line[:300]}"
        self.deaths.note(of_wrapper(cause) if told.wrapper else Says.FATAL, node.name, follower.stage, why)

    def _died(self, node: str, stage: str, why: str) -> None:
        self.fail(node, stage, why, f"the whole log is in {self.run.folder.path}/nodes")

    def _healthy(self, node: NodePlan) -> None:
        if not self.healthy.is_set():
            self.run.folder.event("healthy", node=node.name, replica=self.replica.name)
            self.progress.say(node.name, f"the endpoint answers after {duration(time.monotonic() - self.began)}")
            gevent.spawn_later(0.7, self.healthy.set)  # the log's last lines are on their way

    def _mind(self, node: NodePlan, follower: Follower) -> None:
        """Deadline and stall, while the log says nothing."""
        end = time.monotonic() + self.limits["ready"]
        while True:
            gevent.sleep(1)
            at = time.monotonic()
            unheard = follower.unheard(at)
            if unheard:
                self.fail(node.name, follower.stage, unheard, AGAIN)
                return
            stalled = follower.stalled(at)
            if stalled:
                self.fail(node.name, follower.stage, f"stalled: {stalled}", "timeouts.stall in the inventory, if the storage is that slow")
                return
            if at > end:
                why = f"not ready within {duration(self.limits['ready'])}, in stage {follower.stage}"
                self.fail(node.name, follower.stage, why, "timeouts.ready in the inventory")
                return


class _Stages:
    """A node's stages in the report: one ends where the next begins."""

    def __init__(self, run: Run, node: str, replica: str) -> None:
        self.run, self.node, self.replica = run, node, replica
        self.entry: dict[str, object] | None = None

    def begin(self, name: str) -> None:
        self.end(True)
        self.entry = {"stage": name, "node": self.node, "replica": self.replica, "start": now(), "end": None, "ok": None}
        self.run.stages.append(self.entry)
        self.run.folder.event("stage", stage=name, node=self.node, replica=self.replica)

    def end(self, ok: bool) -> None:
        if self.entry is not None and self.entry["end"] is None:
            self.entry["end"], self.entry["ok"] = now(), ok


def stop(run: Run, replica: ReplicaPlan, node: NodePlan) -> str:
    """End one node's unit and container; nothing, or why it still runs."""
    if node.name not in run.hosts:
        return "not reached"
    if not remote.answers(run.state, run.hosts[node.name]):
        run.folder.event("stopped", node=node.name, replica=replica.name, ok=False)
        return "it does not answer over SSH; its unit ends by itself when it finds rank 0 or its time gone"
    values = unit.values(run.plan, replica, node)
    limit = float(run.plan.verify["timeouts"]["stop"]) + 60
    done = run.call(run.hosts[node.name], "stop", remote.script(STOP, values=values), limit=limit, cancel=None)
    run.folder.event("stopped", node=node.name, replica=replica.name, ok=done.ok)
    return "" if done.ok else done.said


def kept(run: Run, replica: ReplicaPlan) -> None:
    """The end of every rank's log, in the run folder before a restart takes it away."""

    def one(node: NodePlan) -> None:
        text = remote.script(LAST, values=unit.values(run.plan, replica, node))
        done = remote.run(run.state, run.hosts[node.name], "bringup-last", text, limit=60, cancel=run.cancel)
        run.folder.keep(node.name, "before.log", "".join(remote.numbered(done.lines)), fresh=True)

    remote.together({n.name: (lambda n=n: one(n)) for n in replica.nodes if n.name in run.hosts})  # type: ignore[misc]


def stop_all(run: Run, replica: ReplicaPlan, say: Callable[[str, str], None] | None = None) -> dict[str, str]:
    """All nodes at once: clients see rank 0 go, and no rank waits for another. What still runs, by node."""
    tasks = {n.name: (lambda n=n: stop(run, replica, n)) for n in replica.nodes if n.name in run.hosts}
    left: dict[str, str] = remote.together(tasks)
    for name, why in left.items():
        if say:
            say(name, f"still runs: {why}" if why else "stopped")
    for name in [n for n, why in left.items() if not why]:
        run.undo.pop(name, None)
    return {n: why for n, why in left.items() if why}
