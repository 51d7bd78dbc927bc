"""What may end an engine: every kind of sight at every stage, of our own start and of another's."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from roles.serve.sight import Act, Sight, Stage, decide

STAGES = get_args(Stage)
STARTING = ("start", "weights", "graph")
UNSEEN = [s for s in Sight if s.unseen]


@pytest.mark.parametrize(("sight", "stage", "ours", "over"), list(product(UNSEEN, STAGES, (True, False), (True, False))))
def test_what_cannot_be_seen_never_ends_an_engine(sight: Sight, stage: Stage, ours: bool, over: bool) -> None:
    expected: Act = "watch" if stage in STARTING and not over else "leave"
    assert decide(sight, stage, ours, over) == expected


@pytest.mark.parametrize(
    ("sight", "ours", "acts"),
    [
        #                          look     start    weights  graph    proof    serving
        (Sight.ASKED, True, ("end", "end", "end", "end", "end", "end")),
        (Sight.ASKED, False, ("end", "end", "end", "end", "end", "end")),
        (Sight.INTERRUPT, True, ("end", "end", "end", "end", "end", "leave")),
        (Sight.INTERRUPT, False, ("leave", "leave", "leave", "leave", "leave", "leave")),
        (Sight.REFUTED, True, ("end", "end", "end", "end", "end", "leave")),
        (Sight.REFUTED, False, ("leave", "leave", "leave", "leave", "leave", "leave")),
        (Sight.NODE, True, ("end", "end", "end", "end", "end", "leave")),
        (Sight.NODE, False, ("leave", "leave", "leave", "leave", "leave", "leave")),
    ],
)
def test_what_ends_one(sight: Sight, ours: bool, acts: tuple[Act, ...]) -> None:
    assert tuple(decide(sight, stage, ours) for stage in STAGES) == acts


def test_every_kind_of_sight_is_decided_somewhere_above() -> None:
    assert len(UNSEEN) >= 12
    assert {s for s in Sight if not s.unseen} == {Sight.ASKED, Sight.INTERRUPT, Sight.REFUTED, Sight.NODE}
