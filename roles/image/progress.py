"""How far the pulls are: layers counted from Docker's lines; rows of the live block on a terminal, else a plain line now and then."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

from roles.run import progress, terminal

LAYER = re.compile(r"([0-9a-f]{12}): (.+)")
HALF = ("Verifying Checksum", "Download complete", "Extracting")
WHOLE = ("Pull complete", "Already exists")
EVERY = 10.0
STEP = 10
MANY = 8


@dataclass
class Pull:
    """One node's layers."""

    begins: str = "asking the registry"
    since: float = 0.0
    layers: dict[str, float] = field(default_factory=dict)
    told: float = 0.0
    told_percent: int = 0

    def line(self, text: str) -> None:
        """One line of `docker pull` without a terminal."""
        if text.startswith("from "):
            self.layers.clear()
        found = LAYER.fullmatch(text.strip())
        if found:
            state = 1.0 if found[2].startswith(WHOLE) else 0.5 if found[2].startswith(HALF) else 0.0
            self.layers[found[1]] = max(state, self.layers.get(found[1], 0.0))

    @property
    def percent(self) -> int:
        return int(100 * sum(self.layers.values()) / len(self.layers)) if self.layers else 0

    def text(self, now: float) -> str:
        """Downloaded counts half: what is downloaded must still be unpacked."""
        here = sum(state > 0 for state in self.layers.values())
        done = sum(state == 1 for state in self.layers.values())
        what = f"{done} of {len(self.layers)} layers, {here} downloaded" if self.layers else self.begins
        return f"{what}, {now - self.since:.0f} s"


@dataclass
class Progress:
    """All nodes that pull at the same time."""

    out: TextIO = field(default_factory=lambda: sys.stderr)
    clock: Callable[[], float] = time.monotonic
    pulls: dict[str, Pull] = field(default_factory=dict)
    told: float = 0.0

    def __post_init__(self) -> None:
        self.live = progress.Progress() if terminal.redraws(self.out) else None

    def start(self, node: str, begins: str = "asking the registry") -> None:
        self.pulls[node] = Pull(begins, self.clock(), told=self.clock())

    def line(self, node: str, text: str) -> None:
        self.pulls[node].line(text)
        self.tick()

    def end(self, node: str) -> None:
        self.pulls.pop(node, None)
        if self.live:
            self.live.forget(node)

    def tick(self) -> None:
        """Says what is due; called with every line, and now and then when nothing comes."""
        now = self.clock()
        if self.live:
            for node, pull in self.pulls.items():
                self.live.show(node, f"image: {pull.text(now)} ({pull.percent}%)" if pull.layers else f"image: {pull.text(now)}")
        elif len(self.pulls) > MANY:
            if now - self.told >= EVERY:
                self.told = now
                node, slowest = min(self.pulls.items(), key=lambda pair: pair[1].percent)
                self._write(f"image: {len(self.pulls)} nodes are pulling, the slowest is {node}: {slowest.text(now)}\n")
        else:
            for node, pull in self.pulls.items():
                self._one(node, pull, now)

    def _one(self, node: str, pull: Pull, now: float) -> None:
        if now - pull.told >= EVERY or pull.percent >= pull.told_percent + STEP:
            pull.told, pull.told_percent = now, pull.percent
            self._write(f"    [{node}] image: {pull.text(now)}\n")

    def _write(self, text: str) -> None:
        self.out.write(text)
        self.out.flush()
