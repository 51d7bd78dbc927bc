"""Findings on a terminal: a table of node and check, then every problem as a sentence, then the verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from roles.plan.finding import LEVELS, Finding, verdict

MARKS = {"fail": ("FAIL", "31"), "warn": ("warn", "33"), "skip": ("skip", "2"), "pass": ("ok", "32")}
WIDE = 6


def worst(findings: Iterable[Finding]) -> str:
    levels = {f.level for f in findings}
    return next((level for level in LEVELS if level in levels), "")


def table(findings: Sequence[Finding], nodes: Sequence[str], colour: bool) -> str:
    """Checks down, nodes across; for many nodes, how many of each kind."""
    rows: dict[str, dict[str, list[Finding]]] = {}
    for f in findings:
        rows.setdefault(f.check, {}).setdefault(f.node, []).append(f)
    width = max((len(c) for c in rows), default=5) + 2
    lines = []
    if len(nodes) <= WIDE:
        columns = [max(len(n), 4) + 2 for n in nodes]
        lines.append(" " * width + "".join(n.ljust(w) for n, w in zip(nodes, columns, strict=True)).rstrip())
        for check, cells in sorted(rows.items()):
            marks = "".join(_mark(worst(cells.get(n, [])), w, colour) for n, w in zip(nodes, columns, strict=True))
            lines.append(check.ljust(width) + marks.rstrip())
    else:
        for check, cells in sorted(rows.items()):
            kinds = [worst(cells.get(n, [])) for n in nodes]
            counted = ", ".join(f"{kinds.count(k)} {_mark(k, 0, colour)}" for k in LEVELS if k in kinds)
            lines.append(check.ljust(width) + counted)
    return "\n".join(lines)


def sentences(findings: Sequence[Finding], colour: bool) -> list[str]:
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
        lines.append(f"{_mark(level, 0, colour)}  {one.sentence()}")
    return lines


def last_line(findings: Sequence[Finding], colour: bool) -> str:
    counts = {level: sum(f.level == level for f in findings) for level in LEVELS}
    said = verdict(list(findings))
    text = {
        "ready": "ready: nothing stands in the way",
        "slow": f"slow: it would run; {_count(counts['warn'], 'finding')} to look at",
        "blocked": f"blocked: {_count(counts['fail'], 'finding')} to mend before anything is started",
    }[said]
    shades = {"ready": "32", "slow": "33", "blocked": "31"}
    return (f"\033[1;{shades[said]}m{text}\033[0m" if colour else text) + f" ({counts['pass']} passed, {counts['skip']} skipped)"


def _mark(level: str, width: int, colour: bool) -> str:
    word, shade = MARKS.get(level, ("-", "2"))
    padded = word.ljust(width)
    return f"\033[{shade}m{padded}\033[0m" if colour else padded


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"
