"""One node's part of the plan: its container, its engine command, its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from roles.plan import container
from roles.plan.cluster import Node, Replica
from roles.plan.resolve import Resolved
from roles.plan.settings import Chosen, argv, filled, text


@dataclass(frozen=True)
class Explained:
    """One flag or variable as it is written, with its reason."""

    words: tuple[str, ...]
    why: str
    source: str


@dataclass(frozen=True)
class NodePlan:
    """One node's part; `asdict` keys are the plan's contract."""

    name: str
    address: str
    rank: int
    nic: str | None
    runtime: str
    image: str | None
    run_argv: list[str]
    serve_argv: list[str]
    setup: list[dict[str, Any]]
    after_ready_argv: list[str]
    env: dict[str, str]
    devices: list[str]
    mounts: list[str]
    ports: dict[str, Any]
    flags: tuple[Explained, ...] = field(default=(), repr=False)
    variables: tuple[Explained, ...] = field(default=(), repr=False)

    def data(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("flags", "variables")}


def node_names(replica: Replica, node: Node) -> dict[str, Any]:
    """The names of a recipe's templates that differ from node to node."""
    return {"address": node.address, "nic": node.nic, "rank": node.rank, "head": replica.head.address, "replica": replica.name}


def node_plan(r: Resolved, replica: Replica, node: Node) -> NodePlan:
    """Everything one node runs."""
    names = r.names | node_names(replica, node)
    env = _env(r, node, names)
    flags = [_explained(c, names, r.file) for c in r.settings.flags if c.applies(node.rank)]
    later = [_explained(c, names, r.file) for c in r.settings.launch] if node.rank == 0 and r.engine.launch else []
    serve = [*(str(filled(w, names, r.file)) for w in r.engine.command), *(w for f in flags for w in f.words)]
    launch = [*r.engine.launch, *(w for f in later for w in f.words)] if later else []
    devices: list[str] = []
    mounts: list[str] = []
    if r.runtime == "docker":
        devices = container.devices(r.hardware, r.numbers)
        mounts = container.mounts(r.hardware, r.keys, r.cluster.name, replica.name, r.weights, bool(r.patches), r.place)
        run = _docker(r, replica, node, env, devices, mounts, serve)
    else:
        venv = f"{container.STATE}/{r.cluster.name}/venv/bin"
        serve, launch = _in_venv(serve, venv), _in_venv(launch, venv)
        run = ["/usr/bin/env", *(f"{k}={v}" for k, v in env.items()), *serve]
    return NodePlan(
        name=node.name, address=node.address, rank=node.rank, nic=node.nic, runtime=r.runtime, image=r.build.image,
        run_argv=run, serve_argv=serve, setup=r.patches, after_ready_argv=launch, env=env, devices=devices, mounts=mounts,
        ports=r.ports, flags=tuple(flags), variables=_reasons(r, node, env),
    )  # fmt: skip


def _env(r: Resolved, node: Node, names: Mapping[str, Any]) -> dict[str, str]:
    """The recipe's and the inventory's variables, then what the plan adds by itself."""
    env = {c.name: text(_value(c, names, f"{r.file}: env.{c.name}")) for c in r.settings.env if c.applies(node.rank)}
    if r.recipe.jemalloc and "LD_PRELOAD" not in {*env, *r.keys.env}:
        env["LD_PRELOAD"] = r.names["jemalloc"]
    narrowed = r.runtime == "docker" and r.hardware.gpus  # --gpus chooses them, and inside the container they count from 0
    if r.keys.devices is not None and r.hardware.visible_env and not narrowed:
        env.setdefault(r.hardware.visible_env, r.names["devices"])
    return env


def _in_venv(words: list[str], folder: str) -> list[str]:
    return [f"{folder}/{words[0]}", *words[1:]] if words else []


def _docker(
    r: Resolved, replica: Replica, node: Node, env: dict[str, str], devices: list[str], mounts: list[str], serve: list[str]
) -> list[str]:
    assert r.build.image is not None
    labels = {"bringup.cluster": r.cluster.name, "bringup.replica": replica.name, "bringup.rank": str(node.rank)}
    secret = r.keys.auth != "off" and r.engine.auth_env is not None
    return container.run_argv(
        recipe=r.recipe,
        hardware=r.hardware,
        keys=r.keys,
        name=container.unit(r.cluster.name, replica.name),
        image=r.build.image,
        device_paths=devices,
        numbers=r.numbers,
        mount_list=mounts,
        labels=labels,
        env=env,
        env_file=container.secrets_file(r.cluster.name, replica.name) if secret else None,
        command=["/bin/sh", container.ENTRYPOINT, *serve] if r.patches else serve,
    )


def _value(c: Chosen, names: Mapping[str, Any], place: str) -> Any:
    return c.value if c.literal else filled(c.value, names, place)


def _explained(c: Chosen, names: Mapping[str, Any], file: str) -> Explained:
    return Explained(tuple(argv(c.name, _value(c, names, f"{file}: flags.{c.name}"))), c.why, c.source)


def _reasons(r: Resolved, node: Node, env: Mapping[str, str]) -> tuple[Explained, ...]:
    """Every variable with its reason; the two the plan adds by itself say so."""
    chosen = {c.name: c for c in r.settings.env if c.applies(node.rank)}
    added = {"LD_PRELOAD": "jemalloc, at the path of the image's system and processor: less fragmentation of host memory"}
    return tuple(
        Explained(
            (f"{k}={v}",),
            chosen[k].why if k in chosen else added.get(k, "the inventory's devices"),
            chosen[k].source if k in chosen else "",
        )
        for k, v in env.items()
    )
