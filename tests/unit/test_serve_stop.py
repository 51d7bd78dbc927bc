"""What a stop has to do on a node, from what was seen of its unit."""

from __future__ import annotations

import pytest

from roles.run.checks import Case
from roles.run.seen import MARK, Seen, sections
from roles.serve import role
from tests.unit.sources import plan

PLAN = plan("vllm-ascend/a2-dual")
REPLICA = PLAN.replicas[0]


@pytest.mark.parametrize(
    ("unit", "told"),
    [
        ("active=active\ncontainer=running\ngeneration=3\nenabled=enabled", "stop rank 1 (generation 3)"),
        ("active=inactive\ncontainer=running\ngeneration=3\nenabled=disabled", "stop rank 1 (generation 3)"),
        ("active=failed\ncontainer=exited\ngeneration=3\nenabled=enabled", "keep rank 1 down: it would begin at the next reboot"),
        ("active=inactive\nenabled=disabled", ""),
        ("active=inactive\nenabled=", ""),
        ("", ""),
    ],
)
def test_what_runs_is_stopped_and_what_would_begin_again_is_kept_down(unit: str, told: str) -> None:
    node = REPLICA.nodes[1]
    seen = Seen(node.name, sections(f"{MARK}unit 0\n{unit}\n"))
    assert [c.what for c in role._running(Case(PLAN, REPLICA, node, seen, {node.name: seen}))] == ([told] if told else [])
