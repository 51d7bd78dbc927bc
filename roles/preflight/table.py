"""Findings on a terminal: a table of node and check, then every problem as a sentence, then the verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from roles.plan.finding import LEVELS, Finding, verdict
from roles.run.terminal import Rows

MARKS = {"fail": ("FAIL", "red"), "warn": ("warn", "yellow"), "skip": ("skip", "dim"), "pass": ("ok", "green"), "": ("-", "dim")}
VERDICTS = {"ready": "bold green", "slow": "bold yellow", "blocked": "bold red"}
WIDE = 6


def worst(findings: Iterable[Finding]) -> str:
    levels = {f.level for f in findings}
    return next((level for level in LEVELS if level in levels), "")


def table(findings: Sequence[Finding], nodes: Sequence[str]) -> Rows:
    """Checks down, nodes across; for many nodes, how many of each kind."""
    found: dict[str, dict[str, list[Finding]]] = {}
    for f in findings:
        found.setdefault(f.check, {}).setdefault(f.node, []).append(f)
    kinds = {check: [worst(cells.get(n, [])) for n in nodes] for check, cells in sorted(found.items())}
    if len(nodes) <= WIDE:
        return Rows([(check, *(MARKS[k] for k in row)) for check, row in kinds.items()], ("", *nodes))
    return Rows([(check, *(_counted(row.count(k), k) for k in LEVELS)) for check, row in kinds.items()], right=range(1, 5))


def _counted(number: int, level: str) -> tuple[str, str]:
    word, shade = MARKS[level]
    return (f"{number} {word}" if number else "", shade)


def sentences(findings: Sequence[Finding]) -> list[tuple[tuple[str, str], str]]:
    """What needs attention, the worst first."""
    told: dict[tuple[str, str, str, str, str], list[str]] = {}
    for level in ("fail", "warn"):
        for f in findings:
            if f.level == level:
                told.setdefault((level, f.check, f.observed, f.expected, f.fix), []).append(f.node)
    lines = []
    for (level, check, observed, expected, fix), nodes in told.items():
        who = ", ".join(nodes[:4]) + (f" and {len(nodes) - 4} more" if len(nodes) > 4 else "")
        one = Finding(who, check, level, observed, expected, fix)  # type: ignore[arg-type]
        lines.append((MARKS[level], f"  {one.sentence()}"))
    return lines


def last_line(findings: Sequence[Finding]) -> tuple[tuple[str, str], str]:
    counts = {level: sum(f.level == level for f in findings) for level in LEVELS}
    said = verdict(list(findings))
    text = {
        "ready": "ready: nothing stands in the way",
        "slow": f"slow: it would run; {_count(counts['warn'], 'finding')} to look at",
        "blocked": f"blocked: {_count(counts['fail'], 'finding')} to mend before anything is started",
    }[said]
    return (text, VERDICTS[said]), f" ({counts['pass']} passed, {counts['skip']} skipped)"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"
