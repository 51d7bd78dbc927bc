"""What each death looks like, in stock processes (tp 1, dp 2): health says little, a request says more, exit codes say 0."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest

from tests.lab import nodes
from tests.lab.conftest import RunningLab
from tests.lab.engine import build, pair

pytestmark = pytest.mark.lab
URL = "http://10.77.0.11:20004"
HEALTH = f"curl -s -m 3 -o /dev/null -w '%{{http_code}}' {URL}/health || :"
BODY = '{"model": "minimax-lab", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}'
ASK = f"curl -s -m 20 -o /dev/null -w '%{{http_code}}' -H 'Content-Type: application/json' -d '{BODY}' {URL}/v1/chat/completions || :"
STOP = "docker stop -t 60 bringup-pair-r0"


def kill(title: str) -> str:
    """End one process of the container, by its title, with KILL."""
    return f"docker top bringup-pair-r0 -eo pid,args | awk '/{title}/ {{print $1}}' | xargs kill -KILL"


@dataclass(frozen=True)
class Death:
    """What is done to which rank, then what is seen: /health 8 s later, one request, and how both containers are 12 s after it."""

    name: str
    rank: int
    script: str
    health: str
    answer: str
    first: str
    second: str


DEATHS = [
    Death("rank 1 stopped", 1, STOP, "200", "500", "exited 0", "exited 0"),
    Death("worker of rank 1", 1, kill("VLLM::Worker"), "000", "000", "exited 0", "exited 0"),
    Death("engine of rank 1", 1, kill("VLLM::EngineCore"), "200", "500", "exited 0", "exited 0"),
    Death("main of rank 1", 1, kill("vllm serve"), "200", "500", "exited 0", "exited 137"),
    Death("worker of rank 0", 0, kill("VLLM::Worker"), "000", "000", "exited 0", "running 0"),
    Death("engine of rank 0", 0, kill("VLLM::EngineCore"), "000", "000", "exited 0", "running 0"),
    Death("main of rank 0", 0, kill("vllm serve"), "000", "000", "exited 137", "running 0"),
]
SHORT = ("rank 1 stopped", "worker of rank 1")


@pytest.mark.parametrize("death", [pytest.param(d, id=d.name, marks=[] if d.name in SHORT else [pytest.mark.long]) for d in DEATHS])
def test_a_death_is_seen_as_the_table_says(lab: RunningLab, death: Death) -> None:
    build.build(lab.place)
    plan = pair.the_plan(lab.place, recipe="lab/a2-dual-tp1")
    members = [(nodes.named(lab.place, f"n{part.rank}"), part) for part in plan.replicas[0].nodes]
    pair.down(lab.place, members)
    try:
        pair.up(lab.place, plan, members)
        lab.ssh(f"n{death.rank}", death.script)
        time.sleep(8)
        health, answer = lab.ssh("n0", HEALTH).strip(), lab.ssh("n0", ASK).strip()
        time.sleep(12)
        seen = [lab.ssh(n, "docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' bringup-pair-r0").strip() for n in ("n0", "n1")]
    finally:
        pair.down(lab.place, members)
    assert (health, answer, *seen) == (death.health, death.answer, death.first, death.second)
