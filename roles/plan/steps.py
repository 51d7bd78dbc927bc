"""What a run does to one replica, in order."""

from __future__ import annotations

from typing import Any

from roles.plan.cluster import Replica

DO = {
    "probe": "look at the node once; nothing is changed",
    "open": "these connections must be possible (checked; with firewall: true also opened)",
    "tune": "host settings: sysctl, cpufreq, limits",
    "image": "the image is present, the same digest on every node",
    "venv": "the environment is made by uv, the same versions on every node",
    "weights": "the checkpoint is complete at this path, the same on every node",
    "proxy": "nginx listens on this port for everyone else, in front of the engine",
    "start": "the node's unit is started: it runs setup, if any, and the engine",
    "listen": "the port listens on this address",
    "reach": "the port is reached from this node",
    "follow": "the engine's log is followed until its last stage",
    "health": "the health path answers 200",
    "launch": "after_ready_argv is run once",
    "model": "the model list names the served model",
    "prove": "one completion from every data-parallel rank, then the recipe's requests",
}
"""The closed list of what a step can do."""

Step = dict[str, Any]


def order(
    replica: Replica,
    *,
    runtime: str,
    image: str | None,
    mirrors: list[str],
    packages: list[str],
    weights: list[str],
    proxy: Step,
    tuned: bool,
    ports: dict[str, Any],
    paths: dict[str, str],
    timeouts: dict[str, int],
    launches: bool,
    served: str,
    ranks: int,
) -> list[Step]:
    """Prepare every node; then the first rank, its rpc port, the others; then the proof."""
    head, rest = replica.head, replica.nodes[1:]
    steps: list[Step] = [{"node": n.name, "do": "probe"} for n in replica.nodes]
    steps += connections(replica, ports)
    steps += [{"node": n.name, "do": "tune"} for n in replica.nodes] if tuned else []
    if runtime == "docker":
        steps += [{"node": n.name, "do": "image", "image": image, "mirrors": mirrors} for n in replica.nodes]
    else:
        steps += [{"node": n.name, "do": "venv", "packages": packages} for n in replica.nodes]
    steps += [{"node": n.name, "do": "weights", "path": w} for w in weights for n in replica.nodes]
    steps += [{"node": head.name, "do": "proxy", **proxy}] if proxy else []
    steps.append({"node": head.name, "do": "start", "rank": 0})
    if rest:
        gate = {"address": head.address, "port": ports["rpc"]}
        steps.append({"node": head.name, "do": "listen", **gate, "timeout": timeouts["listen"]})
        steps += [{"node": n.name, "do": "reach", **gate, "timeout": timeouts["join"]} for n in rest]
        steps += [{"node": n.name, "do": "start", "rank": n.rank} for n in rest]
    steps += [{"node": n.name, "do": "follow", "timeout": timeouts["ready"], "stall": timeouts["stall"]} for n in replica.nodes]
    steps.append({"node": head.name, "do": "health", "path": paths["health"], "port": ports["api"], "timeout": timeouts["ready"]})
    if launches:
        steps.append({"node": head.name, "do": "launch", "timeout": timeouts["ready"]})
    steps.append({"node": head.name, "do": "model", "path": paths["models"], "port": ports["api"], "model": served})
    steps.append({"node": head.name, "do": "prove", "path": paths["chat"], "port": ports["api"], "ranks": ranks})
    return steps


def connections(replica: Replica, ports: dict[str, Any]) -> list[Step]:
    """Which connections the replica needs: clients to the API, or to the proxy in front of it; between its nodes everything.

    Between nodes the engines also use random ports (ZMQ, gloo: about 130 at tp 8), so a list of
    port numbers would be a lie: all TCP between the nodes, closed to everyone else.
    """
    head = replica.head
    front = str(ports.get("proxy", ports["api"]))
    steps: list[Step] = [{"node": head.name, "do": "open", "from": ["any"], "to": head.address, "ports": [front]}]
    if len(replica.nodes) > 1:
        named = [str(ports[p]) for p in ("rpc", "hccl", "master", "gang") if p in ports]
        for node in replica.nodes:
            others = [n.address for n in replica.nodes if n is not node] if len(replica.nodes) <= 8 else [f"replica {replica.name}"]
            steps.append({"node": node.name, "do": "open", "from": others, "to": node.address, "ports": ["1-65535"], "named": named})
    return steps
