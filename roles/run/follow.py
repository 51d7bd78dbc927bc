"""A start as its log tells it: stages, progress, fatal lines, signs of life. Pure; it is fed lines and a clock."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from roles.run.seen import MARK

KEPT = 40
SILENT = 45.0
"""Seconds without the node's tick, which comes about every second."""
PREFIX = re.compile(r"^(?:\([^)]*pid=\d+\) )?(?:[A-Z]+ )?(?:\d\d-\d\d \d\d:\d\d:\d\d )?(?:\[[^\]]+\] )?")
EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(?:Error|Exception|Failed|Exit|Interrupt|Warning)\b: .")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Event:
    """Something a person wants to know: kind is stage, progress, fatal, health, ended or container."""

    kind: str
    text: str = ""
    line: str = ""
    done: int = 0
    total: int = 0
    wrapper: bool = False


@dataclass
class Follower:
    """One node's start."""

    stages: Sequence[Mapping[str, Any]]
    fatal: Sequence[Mapping[str, Any]]
    rank: int
    stall: float
    now: float = 0.0
    reached: int = -1
    since: float = 0.0
    last: float = 0.0
    """When there was the last sign of life."""
    heard: float = 0.0
    """When the node itself was last heard: a node that hangs says less than an engine that does."""
    signs: tuple[int, int] = (0, 0)
    words: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT))
    progress: tuple[int, int, float] | None = None
    _compiled: list[tuple[str, list[re.Pattern[str]]]] = field(default_factory=list)
    _fatal: list[tuple[str, str, re.Pattern[str], bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        mine = [s for s in self.stages if s["on"] == "all" or (s["on"] == "first") == (self.rank == 0)]
        self._compiled = [(s["name"], [re.compile(p) for p in s["patterns"]]) for s in mine]
        self._fatal = [(f["name"], f["means"], re.compile(f["pattern"]), bool(f.get("wrapper"))) for f in self.fatal]

    @property
    def stage(self) -> str:
        return self._compiled[self.reached][0] if self.reached >= 0 else "start"

    def feed(self, raw: str, now: float) -> Iterator[Event]:
        """One line of the stream; a mark may stand in the middle of it."""
        self.now = self.heard = now
        for part in re.split(f"({MARK}.*)", raw):
            if part.startswith(MARK):
                yield from self._mark(part[len(MARK) :], now)
            elif part.strip():
                yield from self._line(ANSI.sub("", part).rstrip(), now)

    def _line(self, line: str, now: float) -> Iterator[Event]:
        self.last = now
        self.words.append(line)
        for name, means, pattern, wrapper in self._fatal:
            if pattern.search(line):
                yield Event("fatal", f"{means} ({name})", line.strip(), wrapper=wrapper)
        for i in range(len(self._compiled) - 1, max(self.reached, 0) - 1, -1):
            name, patterns = self._compiled[i]
            found = next((m for p in patterns if (m := p.search(line))), None)
            if not found:
                continue
            if i > self.reached:
                self.reached, self.since, self.progress = i, now, None
                yield Event("stage", name, line.strip())
            groups = found.groupdict()
            if groups.get("done") and groups.get("total"):
                done, total = int(groups["done"]), int(groups["total"])
                first = self.progress or (done, total, now)
                self.progress = (first[0], total, first[2])
                yield Event("progress", self._eta(done, total, now), done=done, total=total)
            return

    def _eta(self, done: int, total: int, now: float) -> str:
        """`45/126, about 4 min left`."""
        assert self.progress is not None
        began, _, at = self.progress
        left = ""
        if done > began and done < total and now > at:
            left = f", about {duration((now - at) / (done - began) * (total - done))} left"
        return f"{done}/{total}{left}"

    def _mark(self, text: str, now: float) -> Iterator[Event]:
        word, _, rest = text.strip().partition(" ")
        if word == "alive":
            numbers = [int(n) for n in rest.split() if n.isdigit()]
            if len(numbers) == 2 and (numbers[0] > self.signs[0] + (1 << 20) or numbers[1] > self.signs[1] + (8 << 20)):
                self.signs = (numbers[0], numbers[1])
                self.last = now
        else:
            yield Event(word, rest.strip())

    def stalled(self, now: float) -> str:
        """Why a start is taken for stalled: silence with nothing read and no memory growth; empty while it moves."""
        silent = now - self.last
        if silent < self.stall:
            return ""
        said = self.words[-1].strip() if self.words else "nothing at all"
        return (
            f"no log line, nothing read and no memory growth for {duration(silent)} in stage {self.stage}; "
            f"{self.signs[0] >> 20} MiB read so far; its last line: {said[:160]}"
        )

    def unheard(self, now: float) -> str:
        """Why the node is taken for gone though its connection stands; empty while it ticks."""
        silent = now - self.heard
        return "" if silent < SILENT else f"nothing was heard from the node for {duration(silent)}: it hangs, or the way to it is cut"

    def cause(self) -> str:
        """The first exception that is still remembered: what stands above a wrapper's line."""
        wrappers = [pattern for _, _, pattern, wrapper in self._fatal if wrapper]
        for word in self.words:
            text = PREFIX.sub("", word.strip())
            if EXCEPTION.match(text) and not any(p.search(text) for p in wrappers):
                return text[:300]
        return ""

    def last_words(self, count: int = 3) -> str:
        """The lines that tell most: the last errors, else the last lines."""
        errors = [w.strip() for w in self.words if re.search(r"error|exception|refused|failed|cannot|not found", w, re.IGNORECASE)]
        return " | ".join((errors or [w.strip() for w in self.words])[-count:])[:500]


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
