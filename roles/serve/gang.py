"""One replica's start: every node in its turn, all followed, the first failure ends the others."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import gevent
from gevent.event import Event

from roles.plan.node import NodePlan
from roles.plan.plan import ReplicaPlan
from roles.run import remote
from roles.run.follow import Event as Told
from roles.run.follow import Follower, duration
from roles.run.progress import Progress
from roles.run.run import Run
from roles.serve import stop, unit
from roles.serve.deaths import Deaths, Says, of_end, of_wrapper
from roles.serve.sight import Sight
from roles.serve.stages import Stages
from roles.serve.state import Decision

HERE = Path(__file__).parent
BEFORE, INSTALL, RESTORE, BEGIN = (HERE / f"{name}.sh" for name in ("before", "install", "restore", "begin"))
GATE, FOLLOW = HERE / "gate.sh", HERE / "follow.sh"
DIED, LATE = 10, 11
UNHEARD = (remote.LOST, remote.LATE)
AGAIN = "run serve again when the node answers: it goes on from here"
PAUSES = (0.5, 15.0)
"""Seconds between two tries to see a node again: at first, and at most."""
STEADY = 60.0
"""Seconds after which a view that held is a new one: its next break is said again."""
BEYOND = 60.0
"""Seconds past `ready` until which a start that cannot be seen is watched for: by then the units have ended what did not get ready."""


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
    blind: dict[str, str] = field(default_factory=dict)
    """Nodes whose engine cannot be seen just now, and why: a broken view ends nothing."""
    stalled: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Nodes whose engine showed no sign of life for a while, in which stage, and what was seen: said, and no end of it."""
    unseen: Event = field(default_factory=Event)
    """Set when the engines' own time is over and nothing is known of them: all is left as it is."""

    def __post_init__(self) -> None:
        self.deaths = Deaths([n.name for n in self.replica.nodes], self._died, lambda: self.cancel.is_set())

    @property
    def cancel(self) -> remote.Either:
        return remote.Either(self.run.cancel, self.failed)

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
                self._unseen({name: f"a fault of bringup itself: {job.exception!r}"})
        return self.healthy.is_set() and not self.failed.is_set() and not self.run.cancel.is_set()

    @property
    def sight(self) -> Sight:
        """What the end of the wait tells of the engines."""
        return Sight.NODE if self.failed.is_set() else Sight.LOST

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
            if self.cancel.is_set() or self.unseen.is_set():
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
        if done.code in UNHEARD:  # it may well have begun: its log will tell
            self.blind[node.name] = done.said
            return True
        if not done.ok:
            self.fail(node.name, "start", f"the unit could not be started: {done.said}", f"journalctl -u {values['UNIT']}")
        return done.ok

    def _undo(self, node: NodePlan, ended: Event) -> None:
        """A start that is on its way is let through first: a stop before it would stop nothing."""
        ended.wait(10)
        stop.stop(self.run, self.replica, node)

    def _gate(self, node: NodePlan, how: str, limit: int) -> bool:
        """The rpc port listens on rank 0's address, or is reached from a later rank."""
        head = self.replica.nodes[0]
        port = head.ports["rpc"]
        values = {**unit.values(self.run.plan, self.replica, node), "HOW": how, "AT": head.address, "PORT": port, "LIMIT": limit}
        with self.run.stage(how, node.name, self.replica.name) as stage:
            done = self._asked(node, how, remote.script(GATE, values=values), limit + 30)
            stage["ok"] = done.ok
        if done.ok:
            self.progress.say(node.name, f"{head.address}:{port} {'listens' if how == 'listen' else 'is reached'}")
        elif not self.cancel.is_set() and done.code != DIED:  # a unit that died is told by whoever follows it
            why = f"{head.address}:{port} did not {'listen' if how == 'listen' else 'answer'} within {limit} s"
            fix = f"check {node.nic or 'the network'} and firewalls"
            if done.code in UNHEARD:
                self._unseen({node.name: done.said})
                return False
            if done.code != LATE:
                why = f"{why}: {done.said}"
            elif how == "listen":
                fix = f"see the engine's log in {self.run.folder.path}/nodes"
            self.fail(node.name, how, why, fix)
        return done.ok

    def _asked(self, node: NodePlan, how: str, text: str, limit: int) -> remote.Done:
        """A script that waits on the node; where the node is not heard any more it is reached again, and asked again."""
        host, end, pause = self.run.hosts[node.name], self.began + self.limits["ready"] + BEYOND, PAUSES[0]
        while True:
            done = self.run.call(host, how, text, limit=limit, cancel=remote.Either(self.cancel, self.unseen), tied=True)
            if done.code not in UNHEARD or self.cancel.is_set() or time.monotonic() > end:
                return done
            self.progress.say(node.name, f"it is not heard any more ({done.said}); looking again")
            self.cancel.wait(pause)
            pause = min(pause * 2, PAUSES[1])
            if not self.cancel.is_set() and not remote.answers(self.run.state, host):
                remote.reach_again(host)

    def _follow(self, node: NodePlan) -> None:
        """The engine's log, until the endpoint answers, somebody failed, or its unit said that it ended; opened again when it breaks."""
        verify = self.run.plan.verify
        at = time.monotonic()
        follower = Follower(verify["stages"], verify["fatal"], node.rank, self.limits["stall"], last=at, heard=at)
        stages = Stages(self.run, node.name, self.replica.name)
        over = remote.Either(self.run.cancel, self.failed, self.healthy, self.unseen)
        host, end, pause = self.run.hosts[node.name], at + self.limits["ready"], 0.0
        while True:
            began = time.monotonic()
            ended = self._stream(node, follower, stages, over, end)
            if over.is_set() or node.name in self.ended:
                break
            if not pause or time.monotonic() - began > STEADY:
                self.progress.say(node.name, f"its log is not seen any more ({ended.said}); looking again, the engine is left alone")
                pause = PAUSES[0]
            self.blind[node.name] = ended.said
            over.wait(pause)
            pause = min(pause * 2, PAUSES[1])
            if ended.code == remote.LOST and not over.is_set() and not remote.answers(self.run.state, host):
                remote.reach_again(host)
            self._give_up(end)
        stages.end(self.healthy.is_set())
        if node.name in self.blind and self.failed.is_set():
            self.run.fail(node.name, follower.stage, f"it could not be seen any more ({self.blind[node.name]})", AGAIN)
        if node.name in self.ended and not over.is_set() and not self.deaths:
            self.deaths.note(Says.SILENCE, node.name, follower.stage, f"the unit ended; {follower.last_words()}")
        if self.deaths:
            self._wait(self.failed)

    def _give_up(self, end: float) -> None:
        """The units end a start that did not get ready in its time; where that is over and none has, nothing is known."""
        if time.monotonic() >= end + BEYOND and not self.cancel.is_set():
            late = f"not ready within {duration(self.limits['ready'])}, and its unit did not end it"
            self._unseen(self.blind or {self.replica.nodes[0].name: late})

    def _unseen(self, why: dict[str, str]) -> None:
        """The wait is over, and how the engines do is not known."""
        if self.unseen.is_set():
            return
        for name, said in why.items():
            self.run.fail(name, "follow", f"its engine could not be seen any more ({said})", AGAIN)
        self.why = ", ".join(f"{n}: its engine could not be seen any more ({w})" for n, w in why.items())
        self.unseen.set()

    def _stream(self, node: NodePlan, follower: Follower, stages: Stages, over: remote.Either, end: float) -> remote.Done:
        """One look at the log, from its beginning; it ends with the unit, or when it breaks."""
        deaf = Event()
        follower.heard = time.monotonic()
        guard = gevent.spawn(self._mind, node, follower, end, deaf)
        self.run.folder.keep(node.name, "engine.log", "", fresh=True)

        def on_line(line: str, reply: remote.Reply) -> None:
            self.blind.pop(node.name, None)
            if not line.startswith("\x1e"):
                self.run.folder.keep(node.name, "engine.log", line.partition("\x1e")[0] + "\n")
            for told in follower.feed(line, time.monotonic()):
                self._told(node, follower, stages, told)

        values = unit.values(self.run.plan, self.replica, node)
        done = remote.run(
            self.run.state, self.run.hosts[node.name], "bringup-follow", remote.script(FOLLOW, values=values),
            on_line=on_line, cancel=remote.Either(over, deaf), tied=True, keep=False,
        )  # fmt: skip
        guard.kill()
        return remote.Done(remote.LOST, (follower.unheard(time.monotonic()),)) if deaf.is_set() and not over.is_set() else done

    def _told(self, node: NodePlan, follower: Follower, stages: Stages, told: Told) -> None:
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
            stage, seen = self.stalled.get(node.name, ("", ""))
            stalled = seen if stage == follower.stage else ""
            parts = (self.ended.get(node.name, ""), told.text, stalled, words and f"its last words: {words}")
            said = "; ".join(w for w in parts if w)
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

    def _mind(self, node: NodePlan, follower: Follower, end: float, deaf: Event) -> None:
        """Deadline and stall, while the log says nothing; `deaf` is set when the node itself is not heard."""
        while True:
            gevent.sleep(1)
            at = time.monotonic()
            if follower.unheard(at):
                deaf.set()
                return
            stage = follower.stage
            if (stalled := follower.stalled(at)) and self.stalled.get(node.name, ("", ""))[0] != stage:
                self.stalled[node.name] = (stage, f"stalled: {stalled}")
                self.run.folder.event("stalled", node=node.name, stage=stage, why=stalled)
                until = f"it is watched on until timeouts.ready ({duration(self.limits['ready'])}) is over"
                self.progress.say(node.name, f"it seems stalled: {stalled}; {until}")
            self._give_up(end)
