"""One errand carried out: couriers on the nodes it needs, the board between them, all of it by whichever host comes first."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

import gevent
from gevent.event import Event
from pyinfra.api.host import Host

from roles.plan.container import STATE
from roles.run import remote
from roles.run.progress import Progress
from roles.run.run import Run
from roles.weights import launch, manifest, source
from roles.weights.board import Board, Member, Sends
from roles.weights.errand import FEW, Errand
from roles.weights.sizes import Speed, size

TICK = 0.25
SILENCE = 90.0
STALL = 900.0
GOODBYE = 20.0
MANY = 16
"""More nodes than this share one line of progress."""
NOTE = """\
mkdir -p -- "$(dirname "$RECORD")" && cat > "$RECORD.part" && mv -f "$RECORD.part" "$RECORD"
"""


def carry(run: Run, errand: Errand) -> dict[str, str]:
    """Why it did not work out, by node; nothing when all of them have all of it."""
    here = {n: h for n, h in run.hosts.items() if h not in run.state.failed_hosts}
    try:
        work = Carried(run, errand, here)
    except source.NoToken as e:
        return {n: str(e) for n in errand.jobs}
    why = work.all_of_it()
    return why | work.notes(why)


class Carried:
    """The state of one errand while it goes on."""

    def __init__(self, run: Run, errand: Errand, here: Mapping[str, Host]) -> None:
        self.run, self.errand, self.here = run, errand, here
        self.record = manifest.place(STATE, run.plan.cluster, errand.folder)
        self.board = self._board()
        self.replies: dict[str, remote.Reply] = {}
        self.stops = {n: Event() for n in self.board.members}
        self.heard = dict.fromkeys(self.board.members, time.monotonic())
        self.speeds = {n: Speed() for n in self.board.members}
        goals = [n for n, m in self.board.members.items() if m.goal]
        self.progress = Progress(goals)
        self.many = Speed() if len(goals) > MANY else None
        self.moved = (0, time.monotonic())

    def _board(self) -> Board:
        """Everyone with something to do, and a few who have all of it to give."""
        errand = self.errand
        goals = [n for n, job in errand.jobs.items() if job.kind != "note" and n in self.here]
        whole = [n for n in errand.whole if n in self.here]
        origin = whole[0] if whole else errand.origin
        getting = any(errand.jobs[n].kind == "copy" for n in goals)
        givers = [n for n in whole if n not in goals][: FEW if getting else 1]
        wanted = {n: f.size for n, f in errand.held[origin].files.items() if manifest.matters(n)} if whole else None
        members = [self._member(n, n in goals) for n in (*givers, *goals)] if goals else []
        recorded = errand.held[origin].manifest.source if whole else ""
        return Board(members, origin, wanted, secrets.token_urlsafe(18), recorded)

    def _member(self, name: str, goal: bool) -> Member:
        _, node = self.run.plan.node(name)
        job = self.errand.jobs.get(name)
        download = self._download() if job and job.kind == "download" else None
        return Member(name, node.address, goal, job.hashes if job and not download else (), download)

    def _download(self) -> dict[str, Any]:
        repo, keys = self.errand.repo, self.run.plan.known.keys
        assert repo is not None
        image = self.run.plan.nodes[0].image or "the environment"
        token = source.token(keys.hub_token)
        return {
            "hub": repo.hub, "repo": repo.id, "endpoint": repo.endpoint, "proxy": keys.proxy or "", "token": token, "image": image,
        }  # fmt: skip

    def all_of_it(self) -> dict[str, str]:
        """Until everyone has everything or has failed, or the run was cancelled."""
        jobs = [gevent.spawn(self._courier, n) for n in self.board.members]
        while not self.board.over and not self.run.cancel.is_set():
            gevent.sleep(TICK)
            self._watch()
        if not self.run.cancel.is_set():
            self._send([(n, {"do": "end"}) for n, m in self.board.members.items() if m.alive])
            gevent.joinall(jobs, timeout=GOODBYE)
        for stop in self.stops.values():
            stop.set()
        gevent.joinall(jobs, timeout=GOODBYE)
        self.progress.end()
        unfinished = {n: "interrupted" for n, m in self.board.members.items() if m.goal and not m.sealed}
        self._report()
        return unfinished if self.run.cancel.is_set() else {**unfinished, **self.board.failures}

    def _courier(self, name: str) -> None:
        """One node's courier from start to end; whatever ends it, the board hears of it."""
        try:
            _, node = self.run.plan.node(name)
            text = launch.script(self.run.plan, node, self.errand.folder, self.record)
            orders = launch.payload(self._order(name))
            host = self.here[name]
            done = self.run.call(
                host, "weights", text, secret=orders, on_line=lambda line, reply: self._line(name, line, reply), cancel=self.stops[name]
            )
            why = self._why(name, done)
        except Exception as e:  # else the other nodes would wait for it
            why = f"{type(e).__name__}: {e}"
        self._send(self.board.lost(name, why))

    def _why(self, name: str, done: remote.Done) -> str:
        """Docker's own reason stands before its advice; Python's stands last."""
        image = self.run.plan.node(name)[1].image
        words = [line.strip() for line in done.lines if line.strip() and not line.startswith("{")]
        if any("No such image" in w for w in words):
            return f"image {image} is not on this node; prepare loads it first"
        if any('exec: "python3"' in w for w in words):
            return f"image {image} has no python3, which copies the weights"
        reason = next((w for w in words if w.startswith("docker: ")), words[-1] if words else f"exit code {done.code}, without a word")
        return f"its courier ended: {done.said if done.code < 0 else reason}"

    def _order(self, name: str) -> dict[str, Any]:
        m = self.board.members[name]
        return {
            "folder": self.errand.folder, "manifest": self.record, "model": self.errand.model.name if self.errand.model else "",
            "address": m.address, "serve": len(self.board.members) > 1, "token": self.board.token, "slots": self.board.slots,
            "count": len(self.board.wanted or ()) if m.goal else 0, "source": self.board.source,
        }  # fmt: skip

    def _line(self, name: str, line: str, reply: remote.Reply) -> None:
        self.replies[name] = reply
        self.heard[name] = time.monotonic()
        if not line.startswith("{"):
            return
        try:
            said = json.loads(line)
        except ValueError:
            return
        sends = self.board.heard(name, said)
        if not self.board.members[name].failed:
            self._tell(name, said)
        self._send(sends)

    def _tell(self, name: str, said: Mapping[str, Any]) -> None:
        """What a person should know beside the bytes."""
        if said["ev"] == "resumed":
            self.progress.say(name, f"{said['name']} goes on after {size(said['at'])}")
        elif said["ev"] in ("missed", "again"):
            self.progress.say(name, f"{said['why']}; tried again")
        elif said["ev"] == "listing":
            self.progress.say(name, f"{said['source']}: {len(said['files'])} files, {size(sum(s for _, s in said['files']))}")
        elif said["ev"] == "sealed":
            self.progress.say(
                name, f"{self.errand.folder} is whole: {len(self.board.wanted or ())} files, {size(self._moved(name))} moved or hashed"
            )

    def _moved(self, name: str) -> int:
        return min(self.board.members[name].bytes, self.board.total(name))

    def _send(self, sends: Sends) -> None:
        for name, command in sends:
            reply = self.replies.get(name)
            if reply:
                reply(json.dumps(command) + "\n")

    def _watch(self) -> None:
        """The bytes, and whoever has fallen silent."""
        now = time.monotonic()
        self._show(now)
        for name, m in self.board.members.items():
            if m.alive and not m.sealed and now - self.heard[name] > SILENCE:
                self.stops[name].set()
                self._send(self.board.lost(name, f"its courier says nothing for {SILENCE:.0f} s"))
        total = sum(m.bytes for m in self.board.members.values())
        if total != self.moved[0]:
            self.moved = (total, now)
        elif now - self.moved[1] > STALL:
            for name, m in self.board.members.items():
                if m.goal and not m.sealed:
                    self._send(self.board.lost(name, f"no byte was moved for {STALL / 60:.0f} min"))

    def _show(self, now: float) -> None:
        """Bytes, speed and what is left: of each node, or of all together when they are many."""
        if self.many is not None:
            goals = [n for n, m in self.board.members.items() if m.goal]
            self.many.note(now, sum(self._moved(n) for n in goals))
            ended = sum(self.board.members[n].sealed for n in goals)
            self.progress.show("all", f"{self.many.words(sum(map(self.board.total, goals)))}, {ended} of {len(goals)} nodes have all")
            return
        for name, m in self.board.members.items():
            if m.goal and m.ready and not m.failed and not m.sealed:
                self.speeds[name].note(now, self._moved(name) if self.board.wanted else m.bytes)
                self.progress.show(name, self.speeds[name].words(self.board.total(name)))

    def notes(self, failed: Mapping[str, str]) -> dict[str, str]:
        """Nodes that share the file system get the manifest of the one that acted."""
        why: dict[str, str] = {}
        for name, leader in self.errand.follows.items():
            if name not in self.errand.jobs or name not in self.here or self.run.cancel.is_set():
                continue
            if leader in failed or leader not in self.here:
                why[name] = f"{self.errand.folder} is shared with {leader}: {failed.get(leader, 'which takes no part')}"
                continue
            head = remote.script(values={"RECORD": self.record})
            text = self.run.call(self.here[leader], "manifest", head + 'cat -- "$RECORD"\n', limit=30)
            done = self.run.call(self.here[name], "manifest", head + NOTE, secret=f"{text.text}\n", limit=30)
            if not (text.ok and done.ok):
                why[name] = f"the manifest could not be noted: {done.said if text.ok else text.said}"
        return why

    def _report(self) -> None:
        moved = {n: self._moved(n) for n, m in self.board.members.items() if m.goal}
        facts = self.run.facts.setdefault("report.weights", {})
        facts[self.errand.folder] = {"source": self.board.source, "origin": self.board.origin, "bytes": moved}
