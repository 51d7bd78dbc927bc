"""What each death of a process looks like in the two-node engine: a table, and how it is seen."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from roles.plan.plan import Plan
from tests.lab import nodes
from tests.lab.engine import pair
from tests.lab.place import Place

BODY = {"model": "minimax-lab", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
STATE = "docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' bringup-pair-r0"
STOP = "docker stop -t 60 bringup-pair-r0"


def kill(title: str, container: str = "bringup-pair-r0") -> str:
    """End one process of the container, by its title, with KILL."""
    return f"docker top {container} -eo pid,args | awk '/{title}/ {{print $1}}' | xargs kill -KILL"


@dataclass(frozen=True)
class Death:
    """What is done to which rank, then what is seen: /health, one request, and how both containers are some time after it."""

    name: str
    rank: int
    script: str
    health: str
    answer: str
    first: str
    second: str

    @property
    def seen(self) -> tuple[str, ...]:
        return self.health, self.answer, self.first, self.second


DEATHS = [
    Death("rank 1 stopped", 1, STOP, "200", "500", "exited 0", "exited 0"),
    Death("worker of rank 1", 1, kill("VLLM::Worker"), "000", "000", "exited 0", "exited 0"),
    Death("engine of rank 1", 1, kill("VLLM::EngineCore"), "200", "500", "exited 0", "exited 0"),
    Death("main of rank 1", 1, kill("vllm serve"), "200", "500", "exited 0", "exited 137"),
    Death("worker of rank 0", 0, kill("VLLM::Worker"), "000", "000", "exited 0", "running 0"),
    Death("engine of rank 0", 0, kill("VLLM::EngineCore"), "000", "000", "exited 0", "running 0"),
    Death("main of rank 0", 0, kill("vllm serve"), "000", "000", "exited 137", "running 0"),
]


def watch(place: Place, plan: Plan, members: pair.Pair, death: Death, before: float, after: float) -> tuple[str, ...]:
    """Brings a death about: health `before` seconds later, one request, and the containers `after` seconds later still."""
    url = next(iter(plan.verify["endpoints"].values()))
    status = "-s -o /dev/null -w '%{http_code}'"
    first = members[0][0]
    nodes.ssh(place, members[death.rank][0], death.script)
    time.sleep(before)
    health = nodes.ssh(place, first, f"curl -m 3 {status} {url}/health || :").strip()
    body = f"-H 'Content-Type: application/json' -d '{json.dumps(BODY)}'"
    answer = nodes.ssh(place, first, f"curl -m 20 {status} {body} {url}/v1/chat/completions || :").strip()
    time.sleep(after)
    return health, answer, *(nodes.ssh(place, node, STATE).strip() for node, _ in members)
