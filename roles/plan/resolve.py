"""What is the same for all nodes of a cluster: recipe, engine, image, settings, layout, ports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from roles.plan import container, proof, proxy, setup
from roles.plan import image as images
from roles.plan.check import collect
from roles.plan.cluster import Cluster
from roles.plan.errors import PlanError
from roles.plan.keys import ClusterKeys
from roles.plan.library import Library
from roles.plan.recipe import Engine, Hardware, Model, Recipe
from roles.plan.rules import Case, Layout, doubtful, refused
from roles.plan.settings import Known, Settings, choose, filled, text

HCCL_PORTS = 32
GANG_PORT = 27431
SSH_PORT = 22


@dataclass(frozen=True)
class Resolved:
    """Everything a node's commands are made from, except who the node is."""

    cluster: Cluster
    keys: ClusterKeys
    recipe: Recipe
    engine: Engine
    hardware: Hardware
    model: Model
    runtime: str
    build: images.Engine
    settings: Settings
    layout: Layout
    ports: dict[str, Any]
    deadlines: dict[str, int]
    patches: list[dict[str, Any]]
    numbers: list[int]
    weights: str | None
    served: str
    names: dict[str, Any]
    warnings: tuple[str, ...]
    place: str
    file: str

    @property
    def folders(self) -> list[str]:
        """Folders of weights that must be complete on every node."""
        return [f for f in (self.weights, self.keys.draft) if f]


def resolve(cluster: Cluster, keys: ClusterKeys, recipe: Recipe, lib: Library) -> Resolved:
    """All choices of a cluster, or a PlanError with every reason against them."""
    place, file = f"{cluster.file}: {cluster.name}", f"files/recipes/{keys.recipe}.yaml"
    engine = lib.engine(recipe.engine, f'{file}: "engine"')
    hardware = lib.hardware(recipe.hardware, f'{file}: "hardware"')
    model = lib.model(keys.model, f'{place}: "model"')
    model = lib.model(recipe.resolves.get(model.name, model.name), f'{file}: "resolves"')
    tables = tuple(lib.table(t, f'files/engines/{recipe.engine}.yaml: "options"') for t in engine.options)
    runtime = keys.runtime or recipe.runtime
    build = images.choose(recipe, hardware, keys, runtime, tables[0], place)
    size = len(cluster.replicas[0].nodes)
    collect(f"{place}: {reason}" for reason in proxy.refused(keys, hardware, cluster.replicas))
    own = {str(k): v for k, v in recipe.ports.items()} | ({"gang": GANG_PORT} if size > 1 else {}) | proxy.ports(keys)
    ports = _ports(own, keys, place)
    facts = _facts(keys, model, runtime, size, recipe)
    settings = choose(recipe, engine, Known(tables, build.version), facts, keys.variants, keys.flags, keys.env, place)
    layout = _layout(settings, engine, {"nodes": size}, place)
    case = Case(keys.recipe, recipe, engine, hardware, model, keys, size, layout, settings, build.version)
    collect(f"{place}: {reason}" for reason in refused(case))
    deadlines = proof.timeouts(engine, keys, model)
    numbers = list(keys.devices) if keys.devices is not None else list(range(layout.devices))
    folder = keys.weights or f"{container.STATE}/models/{model.name}"
    names: dict[str, Any] = {
        "cluster": cluster.name, "nodes": size, "api": ports["api"], "rpc": ports.get("rpc"), "hccl": _first(ports.get("hccl")),
        "weights": folder, "draft": keys.draft, "model": model.name, "public": model.public, "served_short": model.served,
        "devices": ",".join(map(str, numbers)), "jemalloc": build.jemalloc(keys.arch or hardware.arch), "profiler": keys.profiler,
        "ready": deadlines["ready"], "version": str(build.version), "recipe": keys.recipe,
    }  # fmt: skip
    served = settings.value(engine.layout.get("served"))
    names["served"] = model.public if served is None else text(filled(served, names, file))
    return Resolved(
        cluster=cluster, keys=keys, recipe=recipe, engine=engine, hardware=hardware, model=model, runtime=runtime, build=build,
        settings=settings, layout=layout, ports=ports, deadlines=deadlines, numbers=numbers, names=names, place=place, file=file,
        patches=setup.chosen(recipe.setup, build.version, file) if runtime == "docker" else [],
        weights=folder if keys.weights or not engine.launch else None,  # a launch step fetches its own unless it is given one
        served=names["served"],
        warnings=(
            *cluster.warnings, *build.warnings, *settings.warnings,
            *(f"{place}: {doubt}" for doubt in (*doubtful(case), *proxy.doubtful(keys, engine))),
        ),
    )  # fmt: skip


def _facts(keys: ClusterKeys, model: Model, runtime: str, size: int, recipe: Recipe) -> frozenset[str]:
    found = {f"format:{model.format}", f"topology:{keys.topology}", f"runtime:{runtime}"}
    found |= {name for name in ("draft", "weights", "profiler") if getattr(keys, name)}
    found |= {"multi-node"} if size > 1 else set()
    found |= {"hccl-moved"} if keys.ports.hccl not in (None, recipe.ports.get("hccl")) else set()
    return frozenset(found)


def _ports(known: Mapping[str, int], keys: ClusterKeys, place: str) -> dict[str, Any]:
    own = {k: v for k, v in keys.ports.model_dump().items() if v is not None}
    collect(
        f'{place}: "ports.{k}" is {v}, but recipe {keys.recipe} has no such port; expected {", ".join(known)}'
        for k, v in own.items()
        if k not in known
    )
    numbers = {str(k): own.get(k, v) for k, v in known.items()}
    taken = {SSH_PORT: "ssh"}
    spans: dict[str, range] = {}
    for name in sorted(numbers, key=lambda k: k in own):  # the inventory's last: a clash is its to mend
        span = range(numbers[name], numbers[name] + (HCCL_PORTS if name == "hccl" else 1))
        clash = next((p for p in span if p in taken), None)
        if clash is not None:
            other = f"{taken[clash]} ({_shown(spans.get(taken[clash], range(clash, clash + 1)))})"
            raise PlanError(
                f'{place}: "ports.{name}" is {numbers[name]}, which collides with {other} on the same node; expected another port'
            )
        taken.update(dict.fromkeys(span, name))
        spans[name] = span
    return {name: _shown(spans[name]) if name == "hccl" else port for name, port in numbers.items()}


def _shown(span: range) -> str:
    return f"{span[0]}-{span[-1]}" if len(span) > 1 else str(span[0])


def _first(ports: str | None) -> int | None:
    return int(ports.partition("-")[0]) if ports else None


def _layout(settings: Settings, engine: Engine, names: Mapping[str, Any], place: str) -> Layout:
    def number(what: Any, default: int) -> int:
        flag = engine.layout.get(what)
        value = settings.value(flag)
        if value is None:
            return default
        value = filled(value, names, place)
        if isinstance(value, str) and value.isascii() and value.isdigit():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 65536:
            raise PlanError(f'{place}: "flags.{flag}" is {value!r}, expected a whole number from 1 on')
        return value

    dp = number("dp", 1)
    ep = settings.value(engine.layout.get("ep"))
    return Layout(
        tp=number("tp", 1),
        dp=dp,
        dp_local=number("dp_local", dp),
        pcp=number("pcp", 1),
        pp=number("pp", 1),
        ep=number("ep", 1) > 1 if engine.ep_is_size else bool(ep),
    )
