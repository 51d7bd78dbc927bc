"""What a look at a node found: one sentence's worth of fact, and the command that mends it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["fail", "warn", "skip", "pass"]
LEVELS: tuple[Level, ...] = ("fail", "warn", "skip", "pass")


@dataclass(frozen=True)
class Finding:
    """Node, check id, what was seen, what was expected, what to do."""

    node: str
    check: str
    level: Level
    observed: str
    expected: str = ""
    fix: str = ""

    def data(self) -> dict[str, Any]:
        return asdict(self)

    def sentence(self) -> str:
        """One line for people."""
        parts = [f"{self.node}: {self.check}: {self.observed}"]
        parts += [f"expected {self.expected}"] if self.expected else []
        parts += [f"fix: {self.fix}"] if self.fix else []
        return "; ".join(parts)


def verdict(findings: list[Finding]) -> Literal["ready", "slow", "blocked"]:
    """blocked: something fails; slow: it would run, not as it should."""
    levels = {f.level for f in findings}
    return "blocked" if "fail" in levels else "slow" if "warn" in levels else "ready"
