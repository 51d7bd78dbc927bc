"""What befalls a replica that serves, and how its nodes bring it back without a controller."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.lab import image, nodes
from tests.lab.conftest import RunningLab
from tests.lab.deaths import kill
from tests.lab.place import docker
from tests.lab.verbs import Site


def unit(site: Site) -> str:
    return f"bringup-{site.cluster}-r0"


def folder(site: Site) -> str:
    return f"/var/lib/bringup/{site.cluster}/r0"


def history(lab: RunningLab, site: Site) -> str:
    lines = [f"{n} {line}" for n in site.members for line in lab.exec(n, f"cat {folder(site)}/history").splitlines()]
    return "\n".join(sorted(lines, key=lambda line: line.split()[1]))


def generations(lab: RunningLab, site: Site) -> set[int]:
    return {int(lab.exec(n, f"cat {folder(site)}/generation")) for n in site.members}


def answers(lab: RunningLab, site: Site, rank: int) -> bool:
    """One real token of this rank, asked for on the first node, with the site's key where it has one."""
    body = json.dumps({"model": "minimax-lab", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1})
    url = f"http://{site.address(site.members[0])}:20004/v1/chat/completions"
    file = site.path / "config" / "bringup" / site.cluster / "api-key"
    key = f"-H 'Authorization: Bearer {file.read_text(encoding='utf-8').strip()}'" if file.exists() else ""
    curl = f"curl -sS -m 10 {key} -H 'Content-Type: application/json' -H 'X-data-parallel-rank: {rank}' -d '{body}' {url}"
    said = lab.exec(site.members[0], f"{curl} 2>&1 || :")
    return '"completion_tokens":1' in said.replace(" ", "")


def back(lab: RunningLab, site: Site, after: int, seconds: float = 240) -> float:
    """Seconds until both ranks answer in one generation that is newer; fails with the history."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if all(n == "running" for n in (nodes.states(lab.place)[m] for m in site.members)):
            now = generations(lab, site)
            if len(now) == 1 and min(now) > after and all(answers(lab, site, rank) for rank in range(len(site.members))):
                return time.monotonic() - began
        time.sleep(1)
    raise AssertionError(f"not back after {seconds:.0f} s; generations {generations(lab, site)}\n{history(lab, site)}")


def power(lab: RunningLab, *members: str) -> None:
    """The nodes lose power, and get it back a little later."""
    for node in members:
        docker(lab.place, "kill", node)
    time.sleep(3)
    nodes.up(lab.place, image.node_image(lab.place), nodes.described(lab.place))


def cut(lab: RunningLab, site: Site) -> None:
    """No packet between the two nodes until both have noticed; SSH comes by the other network."""
    first, second = site.members
    rules = [f"INPUT -s {site.address(first)} -j DROP", f"OUTPUT -d {site.address(first)} -j DROP"]
    for rule in rules:
        lab.exec(second, f"iptables -I {rule}")
    try:
        end = time.monotonic() + 150
        while not all("stopping" in s or "gathering" in s or "waiting" in s for s in states(lab, site)):
            assert time.monotonic() < end, history(lab, site)
            time.sleep(1)
    finally:
        for rule in rules:
            lab.exec(second, f"iptables -D {rule}")


def states(lab: RunningLab, site: Site) -> list[str]:
    return [lab.exec(n, f"cat {folder(site)}/state") for n in site.members]


@dataclass(frozen=True)
class Outage:
    """One of them; `often` says whether every run of the tests tries it."""

    name: str
    happens: Callable[[RunningLab, Site], object]
    often: bool = False


def killed(rank: int, title: str) -> Callable[[RunningLab, Site], object]:
    return lambda lab, site: lab.exec(site.members[rank], kill(title, unit(site)))


OUTAGES = [
    Outage("main of rank 0", killed(0, "vllm serve")),
    Outage("engine of rank 0", killed(0, "VLLM::EngineCore")),
    Outage("worker of rank 0", killed(0, "VLLM::Worker")),
    Outage("main of rank 1", killed(1, "vllm serve")),
    Outage("engine of rank 1", killed(1, "VLLM::EngineCore"), often=True),
    Outage("worker of rank 1", killed(1, "VLLM::Worker")),
    Outage("container of rank 1 stopped", lambda lab, site: lab.exec("n1", f"docker stop {unit(site)}")),
    Outage("node of rank 0 without power", lambda lab, site: power(lab, site.members[0])),
    Outage("node of rank 1 without power", lambda lab, site: power(lab, site.members[1])),
    Outage("both nodes without power", lambda lab, site: power(lab, *site.members)),
    Outage("no network between the nodes", cut),
    Outage("Docker restarted under rank 0", lambda lab, site: lab.exec(site.members[0], "systemctl restart docker")),
    Outage("Docker restarted under rank 1", lambda lab, site: lab.exec(site.members[1], "systemctl restart docker")),
    Outage("unit's script of rank 0 killed", lambda lab, site: lab.exec(site.members[0], f"systemctl kill -s KILL {unit(site)}")),
]
