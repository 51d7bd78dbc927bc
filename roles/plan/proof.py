"""How an endpoint is proven: verify of the plan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from roles.plan.cluster import Replica
from roles.plan.keys import ClusterKeys
from roles.plan.recipe import Engine, Model, Recipe

UNKNOWN_SIZE_GB = 230.0


def timeouts(engine: Engine, keys: ClusterKeys, model: Model) -> dict[str, int]:
    """Deadlines in seconds: ready grows with the weights, in steps of ten minutes; the inventory wins."""
    base = engine.timeouts
    size = UNKNOWN_SIZE_GB if model.size_gb is None else model.size_gb
    ready = math.ceil((base.ready_base + base.ready_per_gb * size) / 600) * 600
    own = {name: getattr(base, name) for name in ("listen", "join", "stall", "stop", "drain", "answer")} | {"ready": ready}
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
        "restart": keys.restart,
        "liveness": keys.liveness.model_dump(),
    }
