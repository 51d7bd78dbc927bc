"""Whether a run said what was done to it: one sentence of its own with the right cause, about the right node. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CHECK = re.compile(r"[a-z]+\.[a-z-]+")
REFUSED = 2
"""The exit status of an inventory that is refused: there is no report, only sentences."""


@dataclass(frozen=True)
class Sentence:
    """What was said, and of which node; of none where it stands by itself."""

    node: str
    words: str


def sentences(report: Mapping[str, Any], err: str = "") -> Iterator[Sentence]:
    """Failures, findings that fail or warn, the doctor's verdicts; and why pyinfra itself did not reach a node, which only it knows."""
    yield from (Sentence(f["node"], f"{f['stage']}: {f['why']}") for f in report["failures"])
    yield from (Sentence(f["node"], f"{f['check']}: {f['observed']}") for f in report["findings"] if f["level"] in ("fail", "warn"))
    yield from (Sentence("", one["sentence"]) for one in report["facts"].get("report.doctor", {}).values())
    unreached = [n["name"] for n in report["nodes"] if not n["reached"]]
    yield from (Sentence(name, line) for line in err.splitlines() for name in unreached if name in line)


def named(says: str, who: Sequence[str], said: Sequence[Sentence]) -> bool:
    """`says` is a check's id or an expression; `who` are the names of the node to blame, none where there is none."""
    wanted = re.compile(rf"^{re.escape(says)}: " if CHECK.fullmatch(says) else says)
    about = re.compile("|".join(rf"(?<![\w.]){re.escape(name)}(?![\w]|\.\d)" for name in who)) if who else None
    return any(wanted.search(s.words) and (about is None or s.node in who or bool(about.search(s.words))) for s in said)


def refused(err: str) -> list[Sentence]:
    """An inventory's mistakes, one a line."""
    return [Sentence("", line) for line in err.splitlines()]
