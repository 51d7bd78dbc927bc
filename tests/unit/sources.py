"""Inventories for tests, built in memory: the smallest that each recipe accepts."""

from __future__ import annotations

from typing import Any

from roles.plan.library import library
from roles.plan.plan import Plan, make
from roles.plan.source import Source

STRICT = {"ssh_strict_host_key_checking": "yes"}
MODELS = {
    "vllm-ascend/a2-single": "MiniMax-M2.5-w8a8-QuaRot",
    "vllm-ascend/": "MiniMax-M2.5",
    "vllm/": "MiniMax-M2.1",
    "sglang/": "MiniMax-M2.1",
    "xinference/": "MiniMax-M2",
    "lab/": "MiniMax-M2-lab",
    "": "MiniMax-M2.5",
}
NODES = {"vllm-ascend/a2-dual": 2, "vllm-ascend/a2-multi": 3, "lab/a2-dual": 2, "lab/a2-dual-tp1": 2}


def model_for(recipe: str) -> str:
    return next(m for prefix, m in MODELS.items() if recipe.startswith(prefix))


def hosts(count: int, replica: str = "r0", first: int = 11) -> list[tuple[str, dict[str, Any]]]:
    """`count` hosts of one replica, 10.0.x.y."""
    names = [f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(first, first + count)]
    return [(n, {"rank": i, "address": n, "nic": "enp67s0f0np0", "replica": replica}) for i, n in enumerate(names)]


def source(recipe: str = "vllm-ascend/a2-dual", nodes: int | None = None, replicas: int = 1, **data: Any) -> Source:
    """An inventory of `recipe` with sensible data and the given keys over it."""
    size = nodes or NODES.get(recipe, 1)
    members = [h for r in range(replicas) for h in hosts(size, f"r{r}", 11 + r * size)]
    keys = {"recipe": recipe, "model": model_for(recipe), "weights": "/models/weights", **STRICT, **data}
    return Source("test.py", "test", tuple(members), {k: v for k, v in keys.items() if v is not None})


def plan(recipe: str = "vllm-ascend/a2-dual", nodes: int | None = None, replicas: int = 1, **data: Any) -> Plan:
    return make(source(recipe, nodes, replicas, **data))


def recipes() -> list[str]:
    return library().recipes()
