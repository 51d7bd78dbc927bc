"""The plan a replica had before, as its nodes kept it: put back after a change that failed, or when asked."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pyinfra.api.host import Host

from roles.plan.node import NodePlan
from roles.plan.plan import Plan, ReplicaPlan
from roles.run import remote
from roles.run.run import Run
from roles.serve import unit
from roles.serve.state import Decision

READ = 'cat "$STATE/$CLUSTER/$REPLICA/$KEPT/plan.json"\n'


@dataclass(frozen=True)
class Kept:
    """A plan that all nodes of a replica keep."""

    where: str
    plan: Plan
    replica: ReplicaPlan


def kept(run: Run, replica: ReplicaPlan, where: str) -> Kept | str:
    """The kept plan of all nodes of a replica, or why there is none."""

    def one(name: str, host: Host) -> remote.Done:
        values = {**unit.values(run.plan, replica, run.node(name)[1]), "KEPT": where}
        return remote.run(run.state, host, "bringup-kept", remote.script(values=values) + READ, limit=30)

    found = remote.together({n.name: lambda n=n: one(n.name, run.hosts[n.name]) for n in replica.nodes})  # type: ignore[misc]
    records: dict[str, Mapping[str, Any]] = {}
    for name, done in found.items():
        if not done.ok:
            return f"{name} keeps no plan to go back to"
        try:
            records[name] = json.loads(done.text)
        except ValueError:
            return f"{name}: the kept plan cannot be read"
    return made(run.plan, replica, records, where)


def made(plan: Plan, replica: ReplicaPlan, records: Mapping[str, Mapping[str, Any]], where: str) -> Kept | str:
    """The kept records as a plan; they must be one plan for just these nodes. Pure."""
    first = records[replica.nodes[0].name]
    if any(r["hash"] != first["hash"] for r in records.values()):
        return "its nodes keep different plans"
    try:
        nodes = tuple(NodePlan(**n) for n in first["replicas"][0]["nodes"])
        head = {k: first[k] for k in ("recipe", "model", "engine", "version", "hash", "verify")}
    except (KeyError, TypeError, IndexError):
        return "the kept plan was written by another version of bringup"
    if [(n.name, n.address, n.rank) for n in nodes] != [(n.name, n.address, n.rank) for n in replica.nodes]:
        return f"the kept plan is for other nodes ({', '.join(n.name for n in nodes)})"
    old = ReplicaPlan(replica.name, nodes, (), first["spec"])
    return Kept(where, replace(plan, **head, replicas=(old,)), old)


def after(run: Run, replica: ReplicaPlan, decision: Decision, bring: Callable[[Run, Kept, int], str]) -> str:
    """After a change that failed: the plan before it, if that is wanted and there is one. What became of it, in words."""
    if decision.what != "restart" or not decision.changes or run.cancel.is_set() or run.options.get("keep"):
        return ""
    policy = str(run.options.get("rollback", "auto"))
    if policy == "never":
        return ""
    found = kept(run, replica, "proven.plan")
    if isinstance(found, str):
        return f"; there is no way back: {found}"
    if policy == "ask" and not _wanted(replica, found):
        return "; not rolled back: --data rollback=now goes back to the plan before"
    why = bring(run, found, decision.generation + 1)
    return f"; its plan before ({found.plan.hash}) " + (f"failed, too: {why}" if why else "is back and proven")


def _wanted(replica: ReplicaPlan, found: Kept) -> bool:
    if not sys.stdin.isatty():
        return False
    answer = input(f"replica {replica.name}: go back to the plan before ({found.plan.hash})? [Y/n] ")
    return answer.strip().lower() in ("", "y", "yes")


def shadow(run: Run, found: Kept) -> Run:
    """The same run, as seen by the kept plan."""
    other = copy.copy(run)
    other.plan = found.plan
    return other
