"""The running engine of one rank: takes requests from the front ends, makes tokens, counts them."""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from . import answers
from .knobs import Knobs
from .wire import Wire

KV_TOKENS = 1234560


class Request:
    """One request on its way."""

    def __init__(self, front: Wire, message: dict[str, Any], garbled: bool) -> None:
        self.front, self.id = front, str(message["add"])
        self.prompt = int(message["prompt"])
        self.limit = int(message["limit"])
        self.endless = bool(message.get("endless"))
        self.left = deque(answers.say(bool(message.get("chat")), message.get("tool"), garbled, bool(message.get("think", True))))
        self.made = 0

    def token(self) -> str:
        self.made += 1
        return self.left.popleft() if self.left else answers.FILLER

    def finish(self) -> str | None:
        """Why it is over, once it is."""
        if not self.left and not self.endless:
            return "stop"
        return "length" if self.made >= self.limit else None


class Serving:
    """The loop of an engine core; `check` is called all the time and raises when the engine must die."""

    def __init__(self, rank: int, knobs: Knobs, fronts: list[Wire], max_seqs: int, check: Callable[[], None]) -> None:
        self.rank, self.knobs, self.fronts, self.max_seqs, self.check = rank, knobs, fronts, max_seqs, check
        self.running: list[Request] = []
        self.waiting: deque[Request] = deque()
        self.count = {"prompt": 0, "generation": 0, "stop": 0, "length": 0, "abort": 0}
        self.told: dict[str, float] = {}
        self.stopping = False

    def hung(self) -> bool:
        return self.knobs.on("hang") or self.knobs.ranks("mute", self.rank)

    def run(self) -> None:
        self.tell()
        while not self.stopping:
            self.check()
            busy = bool(self.running or self.waiting) and not self.hung()
            ready, _, _ = select.select(self.fronts, [], [], 0 if busy else 0.03)
            for front in ready:
                self.take(front)
            if busy:
                time.sleep(self.knobs.number("token", 0.002))
            self.step()

    def take(self, front: Wire) -> None:
        messages = front.read()
        if messages is None:
            # The front end is gone. An engine core does not mind: it goes on with nobody to answer.
            self.fronts.remove(front)
            self.running = [r for r in self.running if r.front is not front]
            return
        for message in messages:
            if "add" in message:
                self.waiting.append(Request(front, message, self.knobs.on("garbled")))
            elif "abort" in message and not self.hung():
                self.drop(str(message["abort"]))

    def drop(self, name: str) -> None:
        before = len(self.running) + len(self.waiting)
        self.running = [r for r in self.running if r.id != name]
        self.waiting = deque(r for r in self.waiting if r.id != name)
        self.count["abort"] += before - len(self.running) - len(self.waiting)

    def step(self) -> None:
        """Starts what fits and makes one token of each; a hung engine only takes requests in."""
        hung = self.hung()
        while self.waiting and len(self.running) < self.max_seqs:
            self.running.append(self.waiting.popleft())
            if not hung:
                self.count["prompt"] += self.running[-1].prompt
        out: list[tuple[Request, dict[str, Any]]] = []
        for request in [] if hung else list(self.running):
            text = request.token()
            self.count["generation"] += 1
            message: dict[str, Any] = {"id": request.id, "text": text}
            if (reason := request.finish()) is not None:
                message["end"] = reason
                self.count[reason] += 1
                self.running.remove(request)
            out.append((request, message))
        # Counters first: who has an answer finds it counted.
        self.tell()
        for request, message in out:
            request.front.send(**message)

    def stats(self) -> dict[str, float]:
        held = sum(r.prompt + r.made for r in self.running)
        return {**self.count, "running": len(self.running), "waiting": len(self.waiting), "kv": held / KV_TOKENS}

    def tell(self) -> None:
        now = self.stats()
        if now != self.told:
            self.told = now
            for front in self.fronts:
                front.send(stats=now)

    def dead(self) -> None:
        """Tells every front end that this engine is no more."""
        for front in self.fronts:
            front.send(dead=self.rank)
