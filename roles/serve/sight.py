"""Who may end an engine: decided here, from what was seen of it and by whom, and nowhere else. Pure.

A broken view never ends an engine. What ends one: the user, an agreed change, the node's own evidence, or a
proof that was refuted on a start that this run made.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal

Act = Literal["watch", "leave", "end"]
Stage = Literal["look", "start", "weights", "graph", "proof", "serving"]


class Sight(Enum):
    """What was seen, in words; `unseen` when it tells nothing of the engine."""

    INTERRUPT = "the user interrupted this run"
    ASKED = "the user asked for it: stop, clean, or an agreed change"
    NODE = "the node's own unit, or the engine's own log, says that it ended"
    REFUTED = "a complete answer of our engine is wrong"
    LOST = "the SSH connection was lost"
    STREAM = "the stream of the log ended without the unit's word"
    CUT_OFF = "a probe was cut off"
    LATE = "no answer came in time"
    HTTP = "the API answered with an error of its own (5xx)"
    KEY = "the API refused the key (401, 403)"
    SILENT = "health does not answer"
    METRICS = "the counters cannot be read"
    FORWARDING = "sshd forwards nothing"
    NOISE = "the answer cannot be read"
    STALL = "no sign of life was seen for a while"
    NOT_READY = "it is not ready, though its time is over"

    @property
    def unseen(self) -> bool:
        return self not in (Sight.INTERRUPT, Sight.ASKED, Sight.NODE, Sight.REFUTED)


def decide(sight: Sight, stage: Stage, ours: bool, over: bool = False) -> Act:
    """`ours`: this run made the start. `over`: more than a minute past the time in which the units end what does not get ready."""
    if sight is Sight.ASKED:
        return "end"
    if not sight.unseen:  # what another began, or what serves, its own units end and begin again
        return "end" if ours and stage != "serving" else "leave"
    starting = stage in ("start", "weights", "graph")
    return "watch" if starting and not over else "leave"
