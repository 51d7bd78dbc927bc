"""From what was seen to one verdict: the earliest real cause on any rank, the other node where a code points there. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from roles.doctor.differences import Difference, differences
from roles.doctor.differences import log as difference_log
from roles.doctor.evidence import Evidence, Line, Log
from roles.doctor.match import LATEST, Match, applies, matches
from roles.doctor.pattern import pattern
from roles.doctor.rules import Rule

What = Literal["cause", "unknown", "wrapper", "symptom", "unreachable", "blocked", "failed", "nothing"]
BACK = 2100.0
"""A collective waits so long (HCCL_EXEC_TIMEOUT 1836 s) before it says that its peer is gone."""
TOLERANCE = 60.0
"""Effects are sometimes written before their causes: logs are flushed late, clocks are off a little."""
EXCEPTION = re.compile(r"(?:^|[\])] )(?P<name>[A-Za-z_][\w.]*(?:Error|Exception|Exit|Failed|Timeout)): (?P<text>\S.*)")
QUIET = re.compile(r"^(?:\([^)]*pid=\d+\) )*(?:INFO|DEBUG|WARNING)\b")
LIMITED = "--limit"


@dataclass(frozen=True)
class Verdict:
    """What happened to one replica, and what else was seen."""

    replica: str
    what: What
    match: Match | None = None
    """The line that counts."""
    unknown: tuple[str, float | None, str] | None = None
    """An error no rule knows: node, time, line."""
    via: Match | None = None
    """The line on another node that pointed there."""
    trace: tuple[str, ...] = ()
    """What is known of the node a line points at, when nothing wrong was found on it."""
    also: tuple[Match, ...] = ()
    notes: tuple[Match, ...] = ()
    differences: tuple[Difference, ...] = ()
    missing: tuple[tuple[str, str], ...] = ()

    @property
    def wrong(self) -> bool:
        return self.what != "nothing" or any(LIMITED not in why for _, why in self.missing)


def analyse(evidence: Evidence, rules: Sequence[Rule]) -> Verdict:
    """The same evidence and rules give the same verdict."""
    apart = differences(evidence)
    run = _run_log(evidence)
    seen = matches(evidence, rules, [difference_log(apart, evidence), *run])
    effects, promoted = _explained(seen)
    causes = [m for m in seen if (m.rule.kind == "cause" or m in promoted) and m not in effects]
    missing = tuple((n.name, n.problem) for n in evidence.nodes if n.problem)
    what, match, unknown, via, trace = _chosen(evidence, seen, causes, promoted, any(LIMITED not in why for _, why in missing), rules)
    rest = [m for m in seen if m not in (match, via) and not (match and (m.node, m.line) == (match.node, match.line))]
    return Verdict(
        evidence.replica, what, match, unknown, via, trace,
        also=tuple(m for m in rest if m.rule.kind != "note" and (what == "wrapper" or m.rule.kind != "wrapper")),
        notes=tuple(m for m in rest if m.rule.kind == "note"),
        differences=apart, missing=missing,
    )  # fmt: skip


Chosen = tuple[What, Match | None, tuple[str, float | None, str] | None, Match | None, tuple[str, ...]]


def _chosen(
    evidence: Evidence, seen: Sequence[Match], causes: Sequence[Match], promoted: Sequence[Match], missing: bool, rules: Sequence[Rule]
) -> Chosen:
    """Causes, then errors nobody knows, then what serve itself said, then wrappers, then symptoms; then who or what stopped it."""
    real = [m for m in causes if m.rule.look_at == "self"]
    pointers = [m for m in causes if m.rule.look_at == "other"]
    timed = sorted((m for m in [*real, *pointers] if m.timed or m in promoted), key=lambda m: _effective(m, seen))
    if timed:
        first = timed[0]
        if first.rule.look_at == "other":
            return _followed(evidence, first, real, seen, rules)
        return "cause", first, None, _pointer_to(first, [m for m in seen if m.rule.look_at == "other"]), ()
    stated = [m for m in real if not m.timed]
    if stated:
        return "cause", min(stated, key=lambda m: m.key), None, None, ()
    if not evidence.healthy:
        unknown = _unknown(evidence, rules)
        if unknown:
            return "unknown", None, unknown, None, ()
        own = [m for m in seen if m.rule.kind == "symptom" and m.source == "run"]
        if own:
            return "symptom", own[0], None, None, _trace(evidence, own[0]) if own[0].rule.look_at == "other" else ()
        wrappers = sorted((m for m in seen if m.rule.kind == "wrapper"), key=lambda m: (m.source == "unit", m.key))
        if wrappers:
            first = wrappers[0]
            return "wrapper", first, None, None, _trace(evidence, first) if first.rule.look_at == "other" else ()
    symptoms = [m for m in seen if m.rule.kind == "symptom"]
    if symptoms:
        first = min(symptoms, key=lambda m: m.key)
        return "symptom", first, None, None, _trace(evidence, first) if first.rule.look_at == "other" else ()
    if missing:
        return "unreachable", None, None, None, ()
    if evidence.fails:
        return "blocked", None, None, None, ()
    if evidence.ended and not evidence.healthy:
        return "failed", None, None, None, ()
    return "nothing", None, None, None, ()


def _explained(seen: Sequence[Match]) -> tuple[list[Match], list[Match]]:
    """Effects of something else that is seen; and what became a cause because its effects are there."""
    effects: list[Match] = []
    promoted: list[Match] = []
    for cause in seen:
        for effect in seen:
            if effect.rule.id in cause.rule.explains and _before(cause, effect):
                effects.append(effect)
                if cause not in promoted:
                    promoted.append(cause)
    return effects, [m for m in promoted if m not in effects]


def _before(cause: Match, effect: Match) -> bool:
    """How things are now is compared with no time."""
    if not cause.timed or cause.at is None or effect.at is None:
        return True
    return cause.at <= effect.at + TOLERANCE


def _effective(match: Match, seen: Sequence[Match]) -> tuple[float, int, int, int, str]:
    """What is no line of a log counts from its first effect on."""
    if match.at is not None:
        return match.key
    times = [m.at for m in seen if m.rule.id in match.rule.explains and m.at is not None]
    return (min(times, default=LATEST), *match.key[1:])


def _followed(evidence: Evidence, pointer: Match, real: Sequence[Match], seen: Sequence[Match], rules: Sequence[Rule]) -> Chosen:
    """A line that only waited for another rank: what happened there wins, if it happened in time."""
    others = pointed(evidence, pointer)
    there = [m for m in real if m.node in others and m.timed and _in_time(m.at, pointer.at)]
    if there:
        return "cause", min(there, key=lambda m: m.key), None, pointer, ()
    unknown = _unknown(evidence, rules, others)
    if unknown and _in_time(unknown[1], pointer.at):
        return "unknown", None, unknown, pointer, ()
    return "cause", pointer, None, None, _trace(evidence, pointer)


def _in_time(at: float | None, pointed: float | None) -> bool:
    return at is None or pointed is None or pointed - BACK <= at <= pointed + TOLERANCE


def _pointer_to(cause: Match, pointers: Sequence[Match]) -> Match | None:
    """The line on another node that waited for this one."""
    return next((p for p in pointers if p.node != cause.node and _in_time(cause.at, p.at)), None)


def pointed(evidence: Evidence, pointer: Match) -> list[str]:
    """The node the line names; all others where it names none."""
    tensor, local = _flag(evidence, "--tensor-parallel-size"), _flag(evidence, "--data-parallel-size-local")
    rank = None
    if pointer.peer.get("rank", "").isdigit():
        rank = int(pointer.peer["rank"]) // max(tensor * local, 1)
    elif pointer.peer.get("dp", "").isdigit():
        rank = int(pointer.peer["dp"]) // max(local, 1)
    address = pointer.peer.get("address")
    named = [n.name for n in evidence.nodes if n.rank == rank or (address and address in (n.address, n.name))]
    rest = [n.name for n in evidence.nodes if n.name != pointer.node]
    return [n for n in named if n != pointer.node] if named else rest


def _flag(evidence: Evidence, name: str) -> int:
    argv = evidence.head.get("serve_argv", [])
    at = argv.index(name) + 1 if name in argv else len(argv)
    return int(argv[at]) if at < len(argv) and str(argv[at]).isdigit() else 1


def _trace(evidence: Evidence, pointer: Match) -> tuple[str, ...]:
    """The last words of the nodes a line points at."""
    told = []
    for name in pointed(evidence, pointer):
        node = evidence.node(name)
        lines = [line for log in node.of("engine") for line in log.lines]
        if node.problem or not lines:
            told.append(f"{name}: {node.problem or 'no log of its engine was found'}")
            continue
        before = [x for x in lines if x.at is None or pointer.at is None or x.at <= pointer.at + 1.0] or lines[:1]
        told.append(f"{name}: nothing known is wrong in its log; its last line by then: {before[-1].text.strip()[:200]}")
    return tuple(told)


def _unknown(evidence: Evidence, rules: Sequence[Rule], names: Sequence[str] | None = None) -> tuple[str, float | None, str] | None:
    """The earliest exception that no wrapper's line is."""
    found: list[tuple[float, int, str, Line]] = []
    for node in evidence.nodes:
        if names is not None and node.name not in names:
            continue
        known = [pattern(p) for r in rules if applies(r, evidence, node) for p in r.patterns]
        for line in (x for log in node.of("engine") for x in log.living):
            if EXCEPTION.search(line.text) and not QUIET.match(line.text) and not any(p.search(line.text) for p in known):
                found.append((line.at if line.at is not None else LATEST, node.rank, node.name, line))
                break
    if not found:
        return None
    _, _, name, line = min(found, key=lambda f: f[:3])
    return name, line.at, line.text.strip()


def _run_log(evidence: Evidence) -> list[Log]:
    """What serve itself said of its failures, as evidence of the node it said it of; until it serves again. Findings are told as such."""
    if evidence.healthy or not evidence.nodes:
        return []
    names = [n.name for n in evidence.nodes]
    by_node: dict[str, list[Line]] = {}
    for failure in (f for f in evidence.failures if not f["stage"].startswith("check ")):
        node = failure["node"] if failure["node"] in names else names[0]
        by_node.setdefault(node, []).append(Line(None, f"{failure['stage']}: {failure['why']}"))
    return [Log(node, "run", "run", tuple(lines)) for node, lines in by_node.items()]
