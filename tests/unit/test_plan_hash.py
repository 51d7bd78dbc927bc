"""The plan's hash: the same wherever it is made, another where something else would run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from roles.plan.plan import make
from tests.unit.sources import plan, source

ROOT = Path(__file__).parents[2]


def test_the_hash_is_the_same_everywhere_and_whatever_the_order_of_hosts() -> None:
    script = "from tests.unit.sources import plan; print(plan().hash)"
    seen = set()
    for seed, where in (("1", ROOT), ("2", ROOT / "tests")):
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "LANG": "C", "TZ": f"UTC+{seed}"}
        seen.add(subprocess.run([sys.executable, "-c", script], cwd=where, env=env, capture_output=True, text=True, check=True).stdout)
    assert len(seen) == 1
    forward = source()
    backward = type(forward)("other.py", forward.cluster, forward.hosts[::-1], dict(reversed(forward.data.items())))
    assert make(forward).hash == make(backward).hash == seen.pop().strip()


@pytest.mark.parametrize("change", [{"ssh_user": "root"}, {"ssh_port": 2222}, {"_sudo": True}])
def test_how_a_node_is_reached_is_no_part_of_the_plan(change: dict[str, Any]) -> None:
    assert plan(**change).hash == plan().hash


@pytest.mark.parametrize(
    "change",
    [
        {"flags": {"seed": 1}},
        {"env": {"A": 1}},
        {"model": "MiniMax-M2.7"},
        {"weights": "/other"},
        {"mounts": ["/a:/b"]},
        {"privileges": "least"},
    ],
)
def test_what_runs_on_a_node_is_part_of_the_hash(change: dict[str, Any]) -> None:
    assert plan(**change).hash != plan().hash


def test_a_second_replica_does_not_touch_the_firsts_spec() -> None:
    def spec(replicas: int) -> str:
        argv = plan(replicas=replicas).replicas[0].nodes[0].run_argv
        return next(w for w in argv if w.startswith("bringup.spec="))

    assert spec(1) == spec(2)
    assert plan(replicas=1).hash != plan(replicas=2).hash
