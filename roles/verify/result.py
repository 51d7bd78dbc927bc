"""One sentence of a proof: it holds, it is refuted, or it could not be seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Result:
    """What was asked for, whether it is so, in words."""

    name: str
    ok: bool
    said: str
    seconds: float = 0.0
    refuted: bool = False
    """A complete answer was wrong. Where `ok` is false without it nothing is known: a time-out, an error of the API, a refused key."""
    refused: bool = False
    """The API did not take our key."""

    def data(self) -> dict[str, Any]:
        return {"name": self.name, "ok": self.ok, "said": self.said, "seconds": round(self.seconds, 2)}
