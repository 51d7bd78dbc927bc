"""The texts a node is given: the unit, the script it runs, what is recorded beside them. Pure."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from roles.plan import container, setup
from roles.plan.node import NodePlan
from roles.plan.plan import Plan, ReplicaPlan
from roles.run import key, remote

HERE = Path(__file__).parent
SERVICE = """\
# Written by bringup for cluster {cluster}, replica {replica}; changes are lost at the next serve.
[Unit]
Description=bringup {cluster} {replica} rank {rank}: {model} by {engine} {version}
After=network-online.target docker.service
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={script}
Restart=no
KillMode=mixed
TimeoutStopSec={stop}
LimitMEMLOCK=infinity
LimitNOFILE=1048576
TasksMax=infinity
"""
LOGS = ["--log-driver", "json-file", "--log-opt", "max-size=64m", "--log-opt", "max-file=4"]


def script_path(plan: Plan, replica: ReplicaPlan) -> str:
    return f"{container.CONFIG}/{plan.cluster}/{replica.name}.run"


def values(plan: Plan, replica: ReplicaPlan, node: NodePlan) -> dict[str, object]:
    """What every script of this role knows of the plan."""
    limits = plan.verify["timeouts"]
    return {
        "CLUSTER": plan.cluster, "REPLICA": replica.name, "RANK": node.rank, "RUNTIME": node.runtime, "ADDRESS": node.address,
        "HEAD": replica.nodes[0].address, "API": node.ports["api"], "RPC": node.ports.get("rpc", ""),
        "HEALTH": plan.verify["paths"]["health"],
        "UNIT": container.unit(plan.cluster, replica.name), "STATE": container.STATE, "CONFIG": container.CONFIG,
        "SECRETS": key.secrets_path(plan, replica), "STOP": limits["stop"], "JOIN": limits["join"], "READY": limits["ready"],
    }  # fmt: skip


def engine_script(plan: Plan, replica: ReplicaPlan, node: NodePlan, generation: int) -> str:
    """What the unit runs: values, the engine's argv as an array, then gate, engine and watch."""
    argv = list(node.run_argv)
    if node.runtime == "docker":
        argv[2:2] = ["--label", f"bringup.generation={generation}", *LOGS]
    head = f"#!/bin/bash\n# Written by bringup: cluster {plan.cluster}, replica {replica.name}, rank {node.rank}.\n"
    known = remote.script(values={**values(plan, replica, node), "GENERATION": generation})
    return head + known + f"ENGINE=({shlex.join(argv)})\n" + (HERE / "engine.sh").read_text(encoding="utf-8")


def service(plan: Plan, replica: ReplicaPlan, node: NodePlan) -> str:
    stop = int(plan.verify["timeouts"]["stop"]) + 30
    return SERVICE.format(
        cluster=plan.cluster, replica=replica.name, rank=node.rank, model=plan.model, engine=plan.engine, version=plan.version,
        script=script_path(plan, replica), stop=stop,
    )  # fmt: skip


def record(plan: Plan, replica: ReplicaPlan) -> str:
    """The plan as it is kept on the node: what the next run compares with, without what is long and never compared."""
    kept = {k: v for k, v in plan.data().items() if k not in ("bench", "verify", "warnings", "replicas")}
    own = {"name": replica.name, "nodes": [n.data() for n in replica.nodes], "steps": []}
    return json.dumps({**kept, "replicas": [own], "members": {n.name: n.address for n in plan.nodes}}, sort_keys=True) + "\n"


def install_values(plan: Plan, replica: ReplicaPlan, node: NodePlan, generation: int) -> dict[str, object]:
    """All that roles/serve/install.sh needs."""
    patched = bool(node.setup)
    return {
        **values(plan, replica, node),
        "GENERATION": generation,
        "SPEC": replica.spec,
        "FOLDERS": shlex.join(sorted({m.split(":")[0] for m in node.mounts if m.startswith(f"{container.STATE}/")})),
        "ENTRYPOINT": container.entrypoint_file(plan.cluster, replica.name) if patched else "",
        "ENTRYPOINT_TEXT": setup.script(node.setup) if patched else "",
        "SCRIPT": script_path(plan, replica),
        "SCRIPT_TEXT": engine_script(plan, replica, node, generation),
        "UNIT_TEXT": service(plan, replica, node),
        "PLAN": record(plan, replica),
    }
