"""The plugin's collectives and expert mapping are right, not merely running: one worker and sixteen say the same tokens."""

from __future__ import annotations

import pytest

from tests.lab.conftest import RunningLab
from tests.lab.engine import build, numerics

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("tokens", [8, pytest.param(numerics.TOKENS, marks=pytest.mark.long)])
def test_tp1_and_tp8_dp2_expert_parallel_give_the_same_greedy_tokens_in_float32(lab: RunningLab, tokens: int) -> None:
    """26 answers: each rank alone, and both with skewed concurrent load, which is what catches wrong row offsets."""
    build.build(lab.place)
    assert numerics.compare(lab.place, tokens) == 0
