"""A bundle's first file: what was asked of whom, what the plan says, what the run knew. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from roles.doctor.evidence import FORMAT
from roles.plan import container
from roles.plan.finding import Finding
from roles.plan.node import NodePlan
from roles.plan.plan import Plan, ReplicaPlan

KEPT = ("cluster", "recipe", "model", "engine", "version", "hash", "warnings")


def about(replica: ReplicaPlan, node: NodePlan, offset: float | None = None, problem: str = "") -> dict[str, Any]:
    """One node of the bundle."""
    return {
        "name": node.name, "replica": replica.name, "rank": node.rank, "address": node.address, "nic": node.nic,
        "offset": offset, "problem": problem,
    }  # fmt: skip


def head(
    plan: Plan,
    replicas: Sequence[ReplicaPlan],
    nodes: Sequence[Mapping[str, Any]],
    made: float,
    *,
    verb: str = "doctor",
    command: str = "pyinfra INVENTORY deploy/",
    failures: Sequence[Mapping[str, str]] = (),
    findings: Sequence[Finding] = (),
    asked: bool = True,
    started: bool = True,
) -> dict[str, Any]:
    """All that a verdict needs besides the nodes' own files: offline there is neither plan nor inventory."""
    known = plan.known
    names = {n.name for r in replicas for n in r.nodes}
    others = {n.name for n in plan.nodes} - names
    return {
        "format": FORMAT,
        "made": made,
        "verb": verb,
        "command": command,
        "asked": asked,
        "started": started,
        "replicas": [r.name for r in replicas],
        "nodes": list(nodes),
        "plan": {
            **{k: v for k, v in plan.data().items() if k in KEPT},
            "replicas": [{"name": r.name, "nodes": [n.data() for n in r.nodes]} for r in replicas],
            "verify": {"timeouts": plan.verify["timeouts"], "paths": plan.verify["paths"]},
        },
        "known": {
            "engine": plan.engine, "version": plan.version, "vendor": known.hardware.vendor, "hardware": known.recipe.hardware,
            "format": known.model.format, "topology": known.keys.topology, "weights": known.weights or "", "state": container.STATE,
            "units": {r.name: container.unit(plan.cluster, r.name) for r in replicas},
        },
        "failures": [dict(f) for f in failures if f["node"] not in others],
        "findings": [f.data() for f in findings if f.node in names and f.level in ("fail", "warn")],
    }  # fmt: skip
