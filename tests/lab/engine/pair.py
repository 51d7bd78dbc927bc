"""python -m tests.lab.engine.pair [--down]: the plan's two-node engine on the lab's nodes, started step by step as `serve` would."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from roles.plan.container import STATE
from roles.plan.node import NodePlan
from roles.plan.plan import Plan, make
from roles.plan.source import Source
from tests.lab import nodes
from tests.lab.place import LabError, Place, Step, until

WEIGHTS = "/opt/lab/shared/models/chain"
KEYS = {"recipe": "lab/a2-dual", "model": "MiniMax-M2-lab", "weights": WEIGHTS, "arch": "x86_64", "auth": "off"}
NUMBERS = tuple(int(n) for n in os.environ.get("LAB_PAIR", "0,1").split(","))  # which nodes, where others use the first two
NAMES = tuple(f"n{n}" for n in NUMBERS)
Pair = list[tuple[nodes.Node, NodePlan]]


def the_plan(place: Place, **changes: Any) -> Plan:
    """What an inventory of the lab's first two nodes asks for."""
    hosts = [{"rank": rank, "address": place.address(n), "nic": nodes.CLUSTER_NIC} for rank, n in enumerate(NUMBERS)]
    names = [(place.ssh_address(n), host) for n, host in zip(NUMBERS, hosts, strict=True)]
    return make(Source("tests/lab/engine/pair.py", "pair", tuple(names), {**KEYS, "ssh_strict_host_key_checking": "yes", **changes}))


def members(place: Place, plan: Plan) -> Pair:
    return [(nodes.named(place, NAMES[part.rank]), part) for part in plan.replicas[0].nodes]


def up(place: Place, plan: Plan, pair: Pair, alone: Callable[[], None] = lambda: None) -> None:
    """Rank 0; every other rank once it can reach rank 0's rpc port; then health. `alone` is called while rank 0 waits for the others."""
    (node, first), *others = pair
    head, rpc = first.address, first.ports["rpc"]
    with Step(f"pulling {first.image}"), ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda m: nodes.ssh(place, m[0], f"docker pull -q {m[1].image} && mkdir -p {_folders(m[1])}"), pair))
    with Step("from the first docker run to /health"):
        _run(place, node, first)
        for other, part in others:
            with Step(f"rank 0 listens for rank {part.rank}"):
                _wait(place, pair[:1], node, f"ss -Hltn 'sport = :{rpc}' | grep -q .", f"{head}:{rpc}", 600)
                _wait(place, pair[:1], other, f"timeout 3 bash -c '</dev/tcp/{head}/{rpc}'", f"{head}:{rpc} from {other.name}", 240)
            alone()
            _run(place, other, part)
        url = f"http://{head}:{first.ports['api']}{plan.verify['paths']['health']}"
        _wait(place, pair, node, f"curl -fsS -m 3 -o /dev/null {url}", url, 1800)


def healthy(place: Place, plan: Plan, pair: Pair) -> bool:
    """Whether this very plan runs on both nodes and answers."""
    wanted = '{{index .Config.Labels "bringup.plan"}} {{.State.Status}}'
    for node, part in pair:
        label = nodes.ssh(place, node, f"docker inspect -f '{wanted}' {container_name(part)}", check=False)
        if label.split() != [plan.hash, "running"]:
            return False
    url = next(iter(plan.verify["endpoints"].values())) + plan.verify["paths"]["health"]
    return nodes.ssh(place, pair[0][0], f"curl -fsS -m 5 -o /dev/null {url} && echo yes", check=False).strip() == "yes"


def prove(place: Place, plan: Plan, pair: Pair) -> None:
    """The plan's own two requests, one on each rank; then who works, where, and with how much memory."""
    node = pair[0][0]
    before = generated(place, plan, node)
    for rank, request in enumerate(plan.verify["requests"]):
        with Step(f"{request['name']} on rank {rank}"):
            message = ask(place, plan, node, request, rank)["choices"][0]["message"]
        print(json.dumps({k: v for k, v in message.items() if v}, ensure_ascii=False))
    after = generated(place, plan, node)
    print("tokens generated:", {engine: count - before.get(engine, 0) for engine, count in after.items()})
    if any(after[engine] <= before.get(engine, 0) for engine in after) or len(after) != plan.verify["ranks"]:
        raise LabError(f"vllm:generation_tokens_total went from {before} to {after}, expected every rank's to grow")
    for member, part in pair:
        pids = f"$(docker top {container_name(part)} -eo pid | tail -n +2)"
        memory = f"for p in {pids}; do cat /proc/$p/smaps_rollup; done 2>/dev/null | awk '/^Pss:/ {{s += $2}} END {{print s}}'"
        workers = nodes.ssh(place, member, f"docker top {container_name(part)} -eo pid,args | grep -c VLLM::Worker").strip()
        held = nodes.ssh(place, member, "ls -l /proc/[0-9]*/fd 2>/dev/null | grep -o '/dev/davinci[0-9]*$' | sort -u | wc -l").strip()
        gib = int(nodes.ssh(place, member, memory)) / (1 << 20)
        print(f"{member.name}: {workers} workers hold {held} cards, {gib:.1f} GiB")


def down(place: Place, pair: Pair) -> None:
    """These two containers and no others; rank 1 first, so that rank 0 does not see it vanish."""
    for node, part in reversed(pair):
        with Step(f"stopping rank {part.rank}"):
            nodes.ssh(place, node, f"docker stop -t 60 {container_name(part)}; docker rm -f {container_name(part)}", check=False)


def _run(place: Place, node: nodes.Node, part: NodePlan) -> None:
    docker, run, *rest = part.run_argv
    nodes.ssh(place, node, shlex.join([docker, run, "-d", *rest]))


def _wait(place: Place, started: Pair, node: nodes.Node, script: str, what: str, seconds: float) -> None:
    def there() -> bool:
        for member, part in started:
            state = nodes.ssh(place, member, f"docker inspect -f '{{{{.State.Status}}}}' {container_name(part)}").strip()
            if state != "running":
                last = nodes.ssh(place, member, f"docker logs --tail 3 {container_name(part)} 2>&1")
                raise LabError(f"rank {part.rank} on {member.name} is {state}; it said: {last.strip()}")
        return nodes.ssh(place, node, f"({script}) 2>/dev/null && echo yes", check=False).strip() == "yes"

    until(there, what, seconds, 1)


def ask(place: Place, plan: Plan, node: nodes.Node, request: Mapping[str, Any], rank: int) -> dict[str, Any]:
    words = ["curl", "-sS", "-m", "300", "-H", "Content-Type: application/json", "-H", f"{plan.verify['rank_header']}: {rank}"]
    words += ["-d", json.dumps(request["body"]), next(iter(plan.verify["endpoints"].values())) + request["path"]]
    answer: dict[str, Any] = json.loads(nodes.ssh(place, node, shlex.join(words)))
    if "choices" not in answer:
        raise LabError(f"{request['name']} on rank {rank} was answered with {answer}")
    return answer


def generated(place: Place, plan: Plan, node: nodes.Node) -> dict[str, float]:
    """Tokens that each engine has generated, by its label."""
    url = next(iter(plan.verify["endpoints"].values())) + plan.verify["paths"]["metrics"]
    lines = nodes.ssh(place, node, f"curl -fsS {url}").splitlines()
    found = [line for line in lines if line.startswith("vllm:generation_tokens_total{")]
    return {line.partition('engine="')[2].partition('"')[0]: float(line.split()[-1]) for line in found}


def _folders(part: NodePlan) -> str:
    """A bind's source must exist; the driver's files do, what bringup keeps for the engine it makes."""
    return " ".join(m.split(":")[0] for m in part.mounts if m.startswith(STATE))


def container_name(part: NodePlan) -> str:
    return part.run_argv[part.run_argv.index("--name") + 1]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.engine.pair", description=__doc__)
    parser.add_argument("--down", action="store_true", help="stop and remove the two containers")
    args = parser.parse_args(argv)
    place = Place()
    try:
        plan = the_plan(place)
        pair = members(place, plan)
        if args.down:
            down(place, pair)
        else:
            up(place, plan, pair)
            prove(place, plan, pair)
    except LabError as e:
        print(f"lab: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
