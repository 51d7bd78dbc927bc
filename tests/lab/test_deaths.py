"""What each death looks like, in stock processes (tp 1, dp 2): health says little, a request says more, exit codes say 0."""

from __future__ import annotations

import pytest

from tests.lab.conftest import RunningLab
from tests.lab.deaths import DEATHS, Death, watch
from tests.lab.engine import build, pair

pytestmark = pytest.mark.lab
SHORT = ("rank 1 stopped", "worker of rank 1")


@pytest.mark.parametrize("death", [pytest.param(d, id=d.name, marks=[] if d.name in SHORT else [pytest.mark.long]) for d in DEATHS])
def test_a_death_is_seen_as_the_table_says(lab: RunningLab, death: Death) -> None:
    build.build(lab.place)
    plan = pair.the_plan(lab.place, recipe="lab/a2-dual-tp1")
    members = pair.members(lab.place, plan)
    pair.down(lab.place, members)
    try:
        pair.up(lab.place, plan, members)
        seen = watch(lab.place, plan, members, death, before=8, after=12)
    finally:
        pair.down(lab.place, members)
    assert seen == death.seen
