"""One proven or refuted sentence."""

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

    def data(self) -> dict[str, Any]:
        return {"name": self.name, "ok": self.ok, "said": self.said, "seconds": round(self.seconds, 2)}
