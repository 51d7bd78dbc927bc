"""Findings as tables: what needs attention line by line, what is well by check. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from roles.plan.finding import LEVELS
from roles.run.report.words import who

MOST = 600
"""Rows of one table; report.json has them all."""
VARIANTS = 3


@dataclass(frozen=True)
class Row:
    """The same finding on one or many nodes."""

    level: str
    check: str
    nodes: str
    more: tuple[str, ...]
    observed: str
    expected: str
    fix: str


@dataclass(frozen=True)
class Findings:
    """Three tables: to look at, skipped, passed."""

    wrong: tuple[Row, ...]
    skipped: tuple[Row, ...]
    passed: tuple[Row, ...]
    left_out: int
    counts: Mapping[str, int]


def findings(found: Iterable[Mapping[str, Any]], nodes: Sequence[str]) -> Findings:
    """Identical findings share a row; passes of one check do, whatever was seen."""
    alike: dict[tuple[str, ...], list[str]] = {}
    well: dict[str, dict[str, list[str]]] = {}
    counts: dict[str, int] = {str(level): 0 for level in LEVELS}
    for f in found:
        one = {k: str(f.get(k, "")) for k in ("node", "check", "level", "observed", "expected", "fix")}
        counts[one["level"]] = counts.get(one["level"], 0) + 1
        if one["level"] == "pass":
            well.setdefault(one["check"], {}).setdefault(one["observed"], []).append(one["node"])
        else:
            key = tuple(one[k] for k in ("level", "check", "observed", "expected", "fix"))
            alike.setdefault(key, []).append(one["node"])
    rows = [_row(*key, names=names, nodes=nodes) for key, names in alike.items()]
    wrong = sorted((r for r in rows if r.level != "skip"), key=lambda r: (_rank(r.level), r.check))
    skipped = sorted((r for r in rows if r.level == "skip"), key=lambda r: r.check)
    passed = [_passed(check, seen, nodes) for check, seen in sorted(well.items())]
    left_out = max(len(wrong) - MOST, 0) + max(len(skipped) - MOST, 0)
    return Findings(tuple(wrong[:MOST]), tuple(skipped[:MOST]), tuple(passed), left_out, counts)


def _rank(level: str) -> int:
    return [*LEVELS, level].index(level)


def _row(level: str, check: str, observed: str, expected: str, fix: str, *, names: Sequence[str], nodes: Sequence[str]) -> Row:
    said, more = who(names, len(nodes))
    return Row(level, check, said, more, observed, expected, fix)


def _passed(check: str, seen: Mapping[str, Sequence[str]], nodes: Sequence[str]) -> Row:
    """One check on all nodes it passed on; the values where they are few."""
    names = [n for group in seen.values() for n in group]
    values = list(seen)
    observed = "; ".join(values[:VARIANTS]) + (f"; and {len(values) - VARIANTS} more values" if len(values) > VARIANTS else "")
    said, more = who(names, len(nodes))
    return Row("pass", check, said, more, observed, "", "")


def by_node(found: Iterable[Mapping[str, Any]], level: str) -> dict[str, int]:
    """How many findings of a level each node has."""
    counts: dict[str, int] = {}
    for f in found:
        if f.get("level") == level:
            counts[str(f.get("node"))] = counts.get(str(f.get("node")), 0) + 1
    return counts
