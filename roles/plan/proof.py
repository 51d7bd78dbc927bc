"""How an endpoint is proven and measured: verify and bench of the plan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from roles.plan.cluster import Replica
from roles.plan.keys import ClusterKeys
from roles.plan.recipe import Bench, Engine, Model, Recipe
from roles.plan.settings import argv, filled

UNKNOWN_SIZE_GB = 230.0
TOOLS = {"vllm-bench": ["vllm", "bench", "serve"], "sglang-bench": ["python3", "-m", "sglang.bench_serving"]}


def timeouts(engine: Engine, keys: ClusterKeys, model: Model) -> dict[str, int]:
    """Deadlines in seconds: ready grows with the weights, in steps of ten minutes; the inventory wins."""
    base = engine.timeouts
    size = UNKNOWN_SIZE_GB if model.size_gb is None else model.size_gb
    ready = math.ceil((base.ready_base + base.ready_per_gb * size) / 600) * 600
    own = {"listen": base.listen, "join": base.join, "ready": ready, "stall": base.stall, "stop": base.stop, "answer": base.answer}
    return own | {k: v for k, v in keys.timeouts.model_dump().items() if v is not None}


def endpoint(replica: Replica, ports: Mapping[str, Any]) -> str:
    return f"http://{replica.head.address}:{ports['api']}"


def verify(
    recipe: Recipe,
    engine: Engine,
    keys: ClusterKeys,
    replicas: tuple[Replica, ...],
    ports: Mapping[str, Any],
    served: str,
    ranks: int,
    deadlines: dict[str, int],
) -> dict[str, Any]:
    """Endpoints, paths, requests and the log stages that lead there."""
    requests: dict[str, Any] = dict(recipe.verify)
    for name in keys.variants:
        requests |= recipe.variants[name].verify
    return {
        "endpoints": {r.name: endpoint(r, ports) for r in replicas},
        "model": served,
        "auth": keys.auth.partition(":")[0],
        "paths": dict(engine.paths),
        "ranks": ranks,
        "rank_header": engine.rank_header,
        "requests": [{"name": n, "path": r.path, "body": {"model": served, **r.body}, "expect": r.expect} for n, r in requests.items()],
        "stages": [{"name": s.name, "on": s.on, "patterns": s.patterns} for s in engine.stages],
        "fatal": [{"name": n, "pattern": f.pattern, "means": f.means, "wrapper": f.wrapper} for n, f in engine.fatal.items()],
        "timeouts": deadlines,
    }


def bench(recipe: Recipe, replica: Replica, names: Mapping[str, Any], place: str) -> list[dict[str, Any]]:
    """The page's benchmarks against this replica, with the page's own results beside them."""
    return [
        {
            "name": name,
            "replica": replica.name,
            "node": replica.head.name,
            "argv": _argv(b, names, f"{place}: bench.{name}"),
            "note": b.note,
            "reference": b.reference.model_dump() if b.reference else None,
        }
        for name, b in recipe.bench.items()
    ]


def _argv(b: Bench, names: Mapping[str, Any], place: str) -> list[str]:
    words = list(TOOLS.get(b.tool, ["python3"]))
    if b.script:
        words.append(b.script)
    for option, value in b.options.items():
        words += argv(option, filled(value, names, place))
    return words
