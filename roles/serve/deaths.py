"""Nodes tell their ends within a moment of each other: the one that says most is the cause, not the first to be heard."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from enum import IntEnum

import gevent

MOMENT, PATIENCE = 1.0, 6.0
"""Seconds in which deaths are taken for one, and for which a silent peer of a mere echo is waited for."""
ECHO = re.compile(r"[Cc]onnection (closed|reset|refused)|[Bb]roken pipe|peer|remote")


class Says(IntEnum):
    """How much a death says, most first."""

    FATAL = 0
    CAUSE = 1
    LAST_WORDS = 2
    ECHO = 3
    """It only noticed that its peer is gone."""
    ENDED = 4
    SILENCE = 5


def of_wrapper(cause: str) -> Says:
    return Says.ECHO if ECHO.search(cause) else Says.CAUSE


def of_end(cause: str) -> Says:
    return Says.LAST_WORDS if cause and not ECHO.search(cause) else Says.ENDED


class Deaths:
    """`tell` hears them all, the cause first; `over` says that nobody listens any more."""

    def __init__(self, nodes: Sequence[str], tell: Callable[[str, str, str], None], over: Callable[[], bool]) -> None:
        self.nodes, self.tell, self.over = nodes, tell, over
        self.notes: list[tuple[Says, int, str, str, str]] = []

    def __bool__(self) -> bool:
        return bool(self.notes)

    def note(self, says: Says, node: str, stage: str, why: str) -> None:
        self.notes.append((says, len(self.notes), node, stage, why))
        if len(self.notes) == 1:
            gevent.spawn_later(MOMENT, self._settle, time.monotonic() + PATIENCE)

    def _settle(self, end: float) -> None:
        """Where all that is known are echoes, a peer that has said nothing yet is given time to tell what it died of."""
        silent = set(self.nodes) - {node for _, _, node, _, _ in self.notes}
        if silent and min(self.notes)[0] >= Says.ECHO and time.monotonic() < end and not self.over():
            gevent.spawn_later(0.2, self._settle, end)
            return
        for _, _, node, stage, why in sorted(self.notes):
            self.tell(node, stage, why)
