"""The plugin's collectives and expert mapping are right, not merely running: one worker and sixteen say the same tokens."""

from __future__ import annotations

import pytest

from tests.lab.conftest import RunningLab
from tests.lab.engine import build, numerics

pytestmark = pytest.mark.lab


def test_tp1_and_tp8_dp2_expert_parallel_give_the_same_greedy_tokens_in_float32(lab: RunningLab) -> None:
    """26 answers: each rank alone, and both with skewed concurrent load, which is what catches wrong row offsets."""
    build.build(lab.place)
    assert numerics.compare(lab.place) == 0
