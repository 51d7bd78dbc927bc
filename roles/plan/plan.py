"""Inventory + recipe = plan: the ordered steps and every command, printable, comparable, hashed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from roles.plan import proof, proxy, scenarios
from roles.plan.cluster import Replica, blamed, cluster_keys, form
from roles.plan.errors import PlanError
from roles.plan.library import Library, library
from roles.plan.node import NodePlan, node_names, node_plan
from roles.plan.resolve import Resolved, resolve
from roles.plan.settings import filled
from roles.plan.source import Source
from roles.plan.steps import Step, order


@dataclass(frozen=True)
class ReplicaPlan:
    """One engine: its nodes in rank order and the steps that bring it up."""

    name: str
    nodes: tuple[NodePlan, ...]
    steps: tuple[Step, ...]
    spec: str = field(default="", repr=False)
    """What runs on its nodes, as one hash: a replica whose hash did not change is left alone."""

    def data(self) -> dict[str, Any]:
        return {"name": self.name, "nodes": [n.data() for n in self.nodes], "steps": list(self.steps)}


@dataclass(frozen=True)
class Plan:
    """The same on every host and on every machine."""

    cluster: str
    recipe: str
    model: str
    engine: str
    version: str
    hash: str
    replicas: tuple[ReplicaPlan, ...]
    bench: tuple[dict[str, Any], ...]
    verify: dict[str, Any]
    warnings: tuple[str, ...]
    left_out: tuple[str, ...] = field(default=(), repr=False)
    title: str = field(default="", repr=False)
    known: Resolved = field(default=None, repr=False, compare=False)  # type: ignore[assignment]

    def node(self, name: str) -> tuple[ReplicaPlan, NodePlan]:
        """The node of that name, with its replica."""
        return next((r, n) for r in self.replicas for n in r.nodes if n.name == name)

    @property
    def nodes(self) -> tuple[NodePlan, ...]:
        return tuple(n for r in self.replicas for n in r.nodes)

    def data(self) -> dict[str, Any]:
        """The plan as its JSON contract says it."""
        return {
            "cluster": self.cluster,
            "recipe": self.recipe,
            "model": self.model,
            "engine": self.engine,
            "version": self.version,
            "hash": self.hash,
            "replicas": [r.data() for r in self.replicas],
            "bench": list(self.bench),
            "verify": self.verify,
            "warnings": list(self.warnings),
        }


def make(source: Source, changes: Mapping[str, Any] | None = None, lib: Library | None = None, where: str = "--set") -> Plan:
    """The plan of an inventory, with a command line's changes; PlanError says all that is wrong with it."""
    lib = lib or library()
    keys = cluster_keys(source, changes or {}, where)
    place = f"{source.file}: {source.cluster}"
    try:
        recipe = lib.recipe(keys.recipe, f'{place}: "recipe"')
        r = resolve(form(source, keys, recipe), keys, recipe, lib)
    except PlanError as e:
        raise PlanError(*(blamed(p, place, where, changes or {}) for p in e.problems)) from None
    replicas = tuple(_replica(r, member) for member in r.cluster.replicas)
    head = {
        "cluster": r.cluster.name,
        "recipe": keys.recipe,
        "model": r.model.name,
        "engine": recipe.engine,
        "version": str(r.build.version),
    }
    digest = _digest({**head, "replicas": [x.data() for x in replicas]})
    return Plan(
        **head,
        hash=digest,
        replicas=tuple(_with_label(x, "bringup.plan", digest) for x in replicas),
        bench=tuple(b for m in r.cluster.replicas for b in scenarios.entries(r, m, r.names | node_names(m, m.head))),
        verify=proof.verify(recipe, r.engine, keys, r.cluster.replicas, r.ports, r.served, r.layout.dp, r.deadlines)
        | proxy.outside(r.cluster.replicas, keys, r.ports),
        warnings=r.warnings,
        left_out=r.settings.left_out,
        title=recipe.title,
        known=r,
    )


def _replica(r: Resolved, replica: Replica) -> ReplicaPlan:
    """One replica's nodes and steps, with the hash of what runs on them."""
    nodes = tuple(node_plan(r, replica, n) for n in replica.nodes)
    spec = _digest({"nodes": [proxy.engine_part(n.data()) for n in nodes]})
    steps = order(
        replica,
        runtime=r.runtime,
        image=r.build.image,
        mirrors=list(r.build.mirrors),
        packages=[str(filled(p, r.names, r.place)) for p in r.recipe.venv.packages] if r.recipe.venv else [],
        weights=r.folders,
        proxy=proxy.step(r.keys, r.engine, r.ports),
        tuned=r.hardware.vendor == "ascend",
        ports=r.ports,
        paths={str(k): v for k, v in r.engine.paths.items()},
        timeouts=r.deadlines,
        launches=bool(r.engine.launch),
        served=r.served,
        ranks=r.layout.dp,
    )
    return _with_label(ReplicaPlan(replica.name, nodes, tuple(steps), spec), "bringup.spec", spec)


def _digest(data: object) -> str:
    """Twelve bytes of SHA-256 over canonical JSON: the same on every machine."""
    raw = json.dumps(data, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()
    return hashlib.sha256(raw).hexdigest()[:24]


def _with_label(plan: ReplicaPlan, key: str, value: str) -> ReplicaPlan:
    """A label that is known only after hashing, put beside the others."""

    def labelled(node: NodePlan) -> NodePlan:
        if node.runtime != "docker":
            return node
        at = node.run_argv.index("--label")
        return replace(node, run_argv=[*node.run_argv[:at], "--label", f"{key}={value}", *node.run_argv[at:]])

    return replace(plan, nodes=tuple(labelled(n) for n in plan.nodes))
