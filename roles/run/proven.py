"""What a proof came to, as verify tells it to serve."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Proven:
    """`why` is empty when it holds; `refuted` when a complete answer was wrong, and not only nothing to be seen."""

    why: str = ""
    refuted: bool = False
    refused: bool = False
    """The API did not take this machine's key."""
