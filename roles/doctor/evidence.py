"""What a bundle holds, as lines with the controller's time: every node, every source. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from roles.doctor import times
from roles.plan.errors import PlanError, shown

Files = Mapping[str, str]
"""A bundle, unpacked: path and text."""
HEAD = "bundle.json"
FORMAT = 1
ANSI = re.compile(r"\x1b\[[0-9;]*m")
SAFE = re.compile(r"[^A-Za-z0-9_.-]")
BEFORE = {"dmesg": 600.0}
"""How long before the engine's start a line may stand and still be part of it."""
MARGIN = 5.0
ENDING = re.compile(r"Shutdown initiated \(timeout=|\bShutting down\b|bringup: stopping as asked")
"""From here on a log tells how the engine was ended, not why."""
EXACT = 1.0
"""An offset below this is the way of the answer, not the clock: nodes that keep time are compared as they write it."""


@dataclass(frozen=True)
class Line:
    """One line, at the controller's time where it is known."""

    at: float | None
    text: str


@dataclass(frozen=True)
class Log:
    """One file of one node: a log, or a look at how things are."""

    node: str
    source: str
    name: str
    lines: tuple[Line, ...]

    @cached_property
    def text(self) -> str:
        return "\n".join(line.text for line in self.lines)

    @cached_property
    def living(self) -> tuple[Line, ...]:
        """The lines up to where the engine was asked to end."""
        end = next((i for i, line in enumerate(self.lines) if ENDING.search(line.text)), len(self.lines))
        return self.lines[:end] if self.source == "engine" else self.lines


@dataclass(frozen=True)
class Node:
    """One node as it was found."""

    name: str
    replica: str
    rank: int
    address: str = ""
    nic: str = ""
    problem: str = ""
    offset: float | None = None
    """Its clock less the controller's."""
    facts: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    planned: Mapping[str, str] = field(default_factory=dict)
    unit: Mapping[str, str] = field(default_factory=dict)
    logs: tuple[Log, ...] = ()

    @property
    def runs(self) -> bool:
        return self.unit.get("ActiveState") == "active" and self.unit.get("container", "running") == "running"

    def of(self, source: str) -> Iterator[Log]:
        return (log for log in self.logs if log.source == source)


@dataclass(frozen=True)
class Evidence:
    """One replica, all its nodes in rank order, and what is known of the plan."""

    replica: str
    nodes: tuple[Node, ...]
    known: Mapping[str, Any]
    plan: Mapping[str, Any]
    failures: tuple[Mapping[str, str], ...] = ()
    findings: tuple[Mapping[str, str], ...] = ()
    command: str = "pyinfra INVENTORY deploy/"
    verb: str = "doctor"
    asked: bool = True
    """Whether its nodes were asked; else only what the run itself said is known."""
    started: bool = True
    """Whether the run came to start any of it."""
    made: float = 0.0

    @property
    def healthy(self) -> bool:
        """Everything runs and the endpoint says so: errors of single requests are not the cluster's."""
        return all(n.runs for n in self.nodes) and bool(self.nodes) and self.nodes[0].unit.get("health") == "200"

    def node(self, name: str) -> Node:
        return next(n for n in self.nodes if n.name == name)

    @property
    def fails(self) -> tuple[Mapping[str, str], ...]:
        """The findings that block."""
        return tuple(f for f in self.findings if f["level"] == "fail")

    @property
    def ended(self) -> tuple[Mapping[str, str], ...]:
        """Why this very run did not do what was asked; the doctor's own verb knows only of an earlier one."""
        return self.failures if self.verb != "doctor" else ()

    @property
    def head(self) -> dict[str, Any]:
        """Rank 0's part of the plan."""
        found: dict[str, Any] = self.planned(self.nodes[0].name) if self.nodes else {}
        return found

    def planned(self, name: str) -> dict[str, Any]:
        nodes = (n for r in self.plan.get("replicas", []) for n in r["nodes"])
        return next((n for n in nodes if n["name"] == name), {})


def safe(name: str) -> str:
    """A node's name as a folder: @fake/n0 is a name too."""
    return SAFE.sub("_", name)


def read(files: Files) -> list[Evidence]:
    """A bundle's replicas; a sentence where it is none."""
    try:
        head = json.loads(files[HEAD])
        if head["format"] != FORMAT:
            raise PlanError(f"{HEAD}: is of format {shown(head['format'])}, expected {FORMAT}: read it with the bringup that made it")
        return [_replica(files, head, name) for name in head["replicas"]]
    except KeyError as e:
        raise PlanError(f"{HEAD}: {e.args[0]} is missing, expected a bundle that the doctor wrote") from None
    except (ValueError, TypeError, AttributeError) as e:
        raise PlanError(f"{HEAD}: cannot be read ({e}), expected a bundle that the doctor wrote") from None


def _replica(files: Files, head: Mapping[str, Any], name: str) -> Evidence:
    members = sorted((n for n in head["nodes"] if n["replica"] == name), key=lambda n: n["rank"])
    nodes = tuple(_node(files, n, float(head["made"]), head["plan"]) for n in members)
    others = {n["name"] for n in head["nodes"] if n["replica"] != name}
    return Evidence(
        name, nodes, head["known"], head["plan"], command=head["command"], made=float(head["made"]),
        verb=head.get("verb", "doctor"), asked=head.get("asked", True), started=head.get("started", True),
        failures=tuple(f for f in head["failures"] if f["node"] not in others),
        findings=tuple(f for f in head["findings"] if f["node"] not in others),
    )  # fmt: skip


def _node(files: Files, about: Mapping[str, Any], made: float, plan: Mapping[str, Any]) -> Node:
    folder = f"nodes/{safe(about['name'])}/"
    texts = {path[len(folder) : -len(".txt")]: text for path, text in files.items() if path.startswith(folder) and path.endswith(".txt")}
    facts, unit = pairs(texts.get("facts", "")), pairs(texts.get("unit", ""))
    offset = about.get("offset")
    applied = offset if offset is not None and abs(offset) >= EXACT else 0.0
    planned: dict[str, Any] = next((n for r in plan["replicas"] for n in r["nodes"] if n["name"] == about["name"]), {})
    return Node(
        name=about["name"], replica=about["replica"], rank=about["rank"], address=about.get("address") or "", nic=about.get("nic") or "",
        problem=about.get("problem", ""), offset=offset, facts=facts, env=pairs(texts.get("env", "")), unit=unit,
        planned=planned.get("env", {}), logs=tuple(_logs(about["name"], texts, facts, made, applied)),
    )  # fmt: skip


def pairs(text: str) -> dict[str, str]:
    """Lines of `key=value`."""
    return {k.strip(): v.strip() for k, sep, v in (line.partition("=") for line in text.split("\n")) if sep}


def _logs(node: str, texts: Mapping[str, str], facts: Mapping[str, str], made: float, offset: float) -> Iterator[Log]:
    """The node's files as logs. What serve kept of a log, and older logs, count only where the log itself is not there."""
    names = sorted(texts)
    engine = next((n for n in ("engine", "engine.run") if texts.get(n, "").strip()), None)
    engine = engine or next((n for n in reversed(names) if n.startswith("old.") and texts[n].strip()), None)
    collected, host = made + offset, times.offset_of(facts.get("zone", ""))
    sample = texts.get(engine, "").split("\n")[:400] if engine else []
    clock = times.Clock(collected, number(facts.get("boot")), times.zone(sample, host, collected))
    began = number(facts.get("generation_at")) if engine is None or not engine.startswith("old.") else None
    for name in names:
        source = name.split(".")[0]
        if source in ("engine", "old"):
            if name != engine:
                continue
            source = "engine"
        yield Log(node, source, name, tuple(_lines(source, texts[name], clock, offset, began)))


def number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _lines(source: str, text: str, clock: times.Clock, offset: float, began: float | None) -> Iterator[Line]:
    """Lines with the controller's time. One without a time has that of the line before it; before the first, that of the first."""
    earliest = began - MARGIN - BEFORE.get(source, 0.0) if began is not None else None
    waiting: list[str] = []
    last: float | None = None
    for raw in ANSI.sub("", text).replace("\r", "\n").split("\n"):
        if not raw.strip():
            continue
        found = times.kernel(raw, clock) if source == "dmesg" else times.stamped(raw, clock)
        words = found.text.rstrip()
        if found.at is None and last is None:
            waiting.append(words)
            continue
        last = found.at if found.at is not None else last
        assert last is not None
        for early in waiting:
            yield Line(last - offset, early)
        waiting.clear()
        if earliest is None or last >= earliest:
            yield Line(last - offset, words)
    yield from (Line(None, early) for early in waiting)
