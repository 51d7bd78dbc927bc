"""Stages on a time axis: rows of bars per node, and the same as tables. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from roles.run.report.words import when

PHASES = {
    "look": "looking", "prepare": "preparing", "start": "starting", "wait": "waiting for a port",
    "engine": "engine", "proof": "proof", "bench": "benchmark", "failed": "failed", "cut": "not ended",
}  # fmt: skip
NAMED = {
    "look": "look", "look again": "look", "collect": "look", "examine": "look", "up": "start", "start": "start", "listen": "wait",
    "reach": "wait", "launch": "start", "drain": "start", "proof": "proof",
}  # fmt: skip
WHOLE = "all nodes"
ENVELOPE = "up"
"""Spans what its nodes' stages tell one by one."""
TOGETHER = 0.005
"""Seconds by which a stage may begin before the last one's end was written."""
LEAST, GAP = 0.0035, 0.0012
"""The narrowest bar that is seen, and the seam between two of them, as shares of the whole."""


@dataclass(frozen=True)
class Span:
    """One stage of one node, in seconds from the run's begin."""

    node: str
    stage: str
    phase: str
    begin: float
    end: float
    ok: bool | None

    @property
    def seconds(self) -> float:
        return self.end - self.begin

    @property
    def shade(self) -> str:
        """How its bar looks: that it failed matters more than what it was."""
        return "failed" if self.ok is False else "cut" if self.ok is None else self.phase


@dataclass(frozen=True)
class Bar:
    """A span's place in the plot; what is only waited for is thin and shares the slot of what goes on meanwhile."""

    span: Span
    slot: int
    begin: float
    end: float

    @property
    def label(self) -> str:
        """Short enough to stand in it, with a mark for those who do not see colours."""
        mark = {False: "✕ ", None: "… ", True: ""}[self.span.ok]
        return mark + self.span.stage.removeprefix("bench ")


@dataclass(frozen=True)
class Timeline:
    """Everything that took time."""

    seconds: float
    rows: tuple[tuple[str, int], ...]
    """Name and number of slots, from top to bottom; what overlaps takes another slot."""
    bars: tuple[Bar, ...]
    spans: tuple[Span, ...] = field(default=(), repr=False)

    @property
    def slots(self) -> int:
        return sum(count for _, count in self.rows)

    @property
    def shades(self) -> list[str]:
        return [p for p in PHASES if any(s.shade == p for s in self.spans)]


def timeline(report: Mapping[str, Any], plan: Mapping[str, Any] | None) -> Timeline | None:
    """Rows in the plan's order; nothing where no stage ever began."""
    stages = [s for s in report.get("stages") or () if when(s.get("start"))]
    if not stages:
        return None
    starts = [t for s in stages if (t := when(s["start"]))]
    origin = min([*starts, *([began] if (began := when(report.get("began"))) else [])])
    ends = [t for s in stages if (t := when(s.get("end")))]
    last = max([*starts, *ends, *([ended] if (ended := when(report.get("ended"))) else [])])
    whole = max((last - origin).total_seconds(), 0.001)
    engine = {str(s.get("name")) for s in ((plan or {}).get("verify") or {}).get("stages") or ()}
    spans = [_span(s, origin, whole, engine) for s in stages if not _told_by_others(s, stages)]
    order = [WHOLE, *(str(n.get("name")) for n in report.get("nodes") or ())]
    names = sorted({s.node for s in spans}, key=lambda n: (order.index(n) if n in order else len(order), n))
    rows: list[tuple[str, int]] = []
    bars: list[Bar] = []
    for name in names:
        own = [s for s in spans if s.node == name]
        lanes = _lanes([s for s in own if s.phase != "wait"])
        slot = sum(count for _, count in rows)
        for i, lane in enumerate([*lanes, *([s] for s in own if s.phase == "wait")]):
            bars += _bars(lane, slot + (i if i < len(lanes) else 0), whole)
        rows.append((name, max(len(lanes), 1)))
    return Timeline(whole, tuple(rows), tuple(bars), tuple(sorted(spans, key=lambda s: (s.begin, s.end))))


def _told_by_others(stage: Mapping[str, Any], stages: Iterable[Mapping[str, Any]]) -> bool:
    return stage.get("stage") == ENVELOPE and any(s.get("node") and s.get("replica") == stage.get("replica") for s in stages)


def _span(stage: Mapping[str, Any], origin: datetime, whole: float, engine: set[str]) -> Span:
    name, replica = str(stage.get("stage", "")), str(stage.get("replica") or "")
    begin, end = when(stage["start"]), when(stage.get("end"))
    assert begin is not None
    at = (begin - origin).total_seconds()
    node = str(stage.get("node") or "") or (f"replica {replica}" if replica else WHOLE)
    until = (end - origin).total_seconds() if end else whole
    return Span(
        node, name, phase(name, replica, engine), at, max(until, at), bool(stage["ok"]) if end and stage.get("ok") is not None else None
    )


def phase(stage: str, replica: str, engine: Iterable[str]) -> str:
    """What kind of work a stage is; `weights` is a download without a replica and a step of the engine with one."""
    if stage.startswith("bench "):
        return "bench"
    if replica and stage in engine:
        return "engine"
    return NAMED.get(stage, "prepare")


def _lanes(spans: Sequence[Span]) -> list[list[Span]]:
    """One after the other where they can be, side by side where they overlap; steps of one kind stay together."""
    lanes: list[list[Span]] = []
    for span in sorted(spans, key=lambda s: (s.begin, s.end)):
        free = [lane for lane in lanes if lane[-1].end <= span.begin + TOGETHER]
        if free:
            min(free, key=lambda lane: lane[-1].phase != span.phase).append(span)
        else:
            lanes.append([span])
    return lanes


def _bars(lane: Sequence[Span], slot: int, whole: float) -> list[Bar]:
    """A stage of a moment is drawn as wide as can be seen, if the next one leaves it room; the tables have it anyway."""
    made = []
    for span, after in zip(lane, [*lane[1:], None], strict=True):
        room = (after.begin if after else whole * (1 + LEAST)) - span.begin
        wide = min(max(span.seconds, LEAST * whole), room)
        if wide >= LEAST * whole * 0.7:
            seam = GAP * whole if wide > 3 * GAP * whole else 0.0
            made.append(Bar(span, slot, span.begin, span.begin + wide - seam))
    return made


@dataclass(frozen=True)
class Stage:
    """One stage over all nodes."""

    name: str
    phase: str
    begin: float
    seconds: float
    slowest: Span
    quickest: Span
    nodes: int
    failed: tuple[str, ...]
    cut: tuple[str, ...]


def by_stage(line: Timeline) -> list[Stage]:
    """In the order they began."""
    groups: dict[tuple[str, str], list[Span]] = {}
    for span in line.spans:
        groups.setdefault((span.phase, span.stage), []).append(span)
    made = []
    for (kind, name), spans in groups.items():
        begin, end = min(s.begin for s in spans), max(s.end for s in spans)
        failed = tuple(dict.fromkeys(s.node for s in spans if s.ok is False))
        cut = tuple(dict.fromkeys(s.node for s in spans if s.ok is None))
        slowest, quickest = max(spans, key=lambda s: s.seconds), min(spans, key=lambda s: s.seconds)
        made.append(Stage(name, PHASES[kind], begin, end - begin, slowest, quickest, len({s.node for s in spans}), failed, cut))
    return made


def by_node(line: Timeline, stages: Sequence[Stage]) -> list[tuple[str, list[list[Span]]]]:
    """Each node's spans under each stage, in the order of the stages."""
    cells: dict[tuple[str, str, str], list[Span]] = {}
    for span in line.spans:
        cells.setdefault((span.node, PHASES[span.phase], span.stage), []).append(span)
    return [(name, [cells.get((name, s.phase, s.name), []) for s in stages]) for name, _ in line.rows]


def summary(line: Timeline, said: str) -> str:
    """The plot in one sentence, for those who do not see it."""
    failed = [s for s in line.spans if s.ok is False]
    nodes = sum(name != WHOLE for name, _ in line.rows)
    text = f"Time axis of {said}: {len(line.spans)} stages on {nodes} node{'s' * (nodes != 1)}"
    if failed:
        text += f"; {failed[0].stage} failed on {failed[0].node}" + (f", and {len(failed) - 1} more" if len(failed) > 1 else "")
    return f"{text}. The tables below have every figure."
