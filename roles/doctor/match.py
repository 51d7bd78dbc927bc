"""Which rules are seen in the evidence: the first line of each log, and how often. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from roles.doctor.evidence import Evidence, Line, Log, Node
from roles.doctor.pattern import Pattern, pattern
from roles.doctor.rules import STATES, Rule

LATEST = float("inf")


@dataclass(frozen=True)
class Match:
    """One rule, seen on one node."""

    rule: Rule
    node: str
    rank: int
    source: str
    log: str
    at: float | None
    line: str
    count: int = 1
    peer: Mapping[str, str] = field(default_factory=dict)
    """What the line itself says of the other side: its rank, its data-parallel rank or its address."""
    order: int = 0

    @property
    def timed(self) -> bool:
        return self.source not in STATES

    @property
    def key(self) -> tuple[float, int, int, int, str]:
        """Earlier first; of one moment, the narrower rule, then the first rank."""
        return (self.at if self.at is not None else LATEST, -self.rule.specific, self.rank, self.order, self.rule.id)


def matches(evidence: Evidence, rules: Sequence[Rule], extra: Sequence[Log] = ()) -> list[Match]:
    """Everything that is seen, on every node; one match for a rule and a node, its earliest."""
    first: dict[tuple[str, str], Match] = {}
    for node in evidence.nodes:
        logs = [*node.logs, *(log for log in extra if log.node == node.name)]
        for rule in rules:
            if not applies(rule, evidence, node):
                continue
            for log in logs:
                found = _seen(rule, node, log) if log.source in rule.where else None
                if found is not None:
                    before = first.get((rule.id, node.name))
                    first[(rule.id, node.name)] = found if before is None else _earlier(before, found)
    return sorted(first.values(), key=lambda m: m.key)


def _earlier(one: Match, two: Match) -> Match:
    """What the run itself says of a log's line is the same event again."""
    best = min(one, two, key=lambda m: m.key)
    return replace(best, count=sum(m.count for m in (one, two) if m.source != "run") or best.count)


def applies(rule: Rule, evidence: Evidence, node: Node) -> bool:
    """A condition on what is not known does not hold."""
    when, known = rule.when, evidence.known
    return (
        (not when.engines or known.get("engine") in when.engines)
        and (not when.vendors or known.get("vendor") in when.vendors)
        and (not when.hardware or known.get("hardware") in when.hardware)
        and (not when.formats or known.get("format") in when.formats)
        and (when.versions is None or _within(str(known.get("version", "")), when.versions))
        and (when.driver is None or _within(node.facts.get("driver", ""), when.driver))
        and len(evidence.nodes) >= when.nodes
    )


def _within(version: str, bounds: str) -> bool:
    """24.1.rc2 and 25.0.rc1.b099 are versions, too."""
    found = re.match(r"\d+(?:\.\d+)*(?:\.?rc\d+)?", version.strip())
    try:
        return bool(found) and SpecifierSet(bounds).contains(Version(found[0]), prereleases=True)  # type: ignore[index]
    except InvalidVersion:
        return False


def _seen(rule: Rule, node: Node, log: Log) -> Match | None:
    wanted = [pattern(p) for p in rule.patterns]
    if not any(p.literal in log.text for p in wanted):
        return None
    first: Match | None = None
    count = 0
    for i, line, found in _lines(rule, wanted, log):
        count += 1
        if first is None:
            peer = {k: v for k, v in found.groupdict().items() if v}
            first = Match(rule, node.name, node.rank, log.source, log.name, line.at, line.text.strip(), 1, peer, i)
    return first and replace(first, count=count)


def _lines(rule: Rule, wanted: Sequence[Pattern], log: Log) -> Iterator[tuple[int, Line, re.Match[str]]]:
    """Lines that match, within what `after` and `until` leave of the log; that others go away while it is ended says nothing."""
    lines = log.living if rule.kind == "wrapper" or rule.look_at == "other" else log.lines
    after, until, unless = ([pattern(p) for p in some] for some in (rule.after, rule.until, rule.unless))
    open_ = not after
    for i, line in enumerate(lines):
        if not open_:
            open_ = any(p.search(line.text) for p in after)
            continue
        if any(p.search(line.text) for p in until):
            return
        found = next((m for p in wanted if (m := p.search(line.text))), None)
        if found and not any(p.search(line.text) for p in unless):
            yield i, line, found
