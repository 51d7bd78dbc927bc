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
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={script}
Restart=on-abnormal
RestartSec=5
KillMode=mixed
TimeoutStopSec={stop}
LimitMEMLOCK=infinity
LimitNOFILE=1048576
TasksMax=infinity
{own}
[Install]
WantedBy=multi-user.target
"""
SOCKET = """\
# Written by bringup for cluster {cluster}, replica {replica}: the other nodes read here what this one does.
[Unit]
Description=bringup {cluster} {replica}: what rank {rank} does

[Socket]
ListenStream={address}:{port}
FreeBind=yes
Accept=yes
MaxConnections=64

[Install]
WantedBy=sockets.target
"""
TELL = """\
# Written by bringup: one line for whoever connects, and nothing is read from them.
[Unit]
Description=bringup {cluster} {replica}: one line for a peer
CollectMode=inactive-or-failed

[Service]
ExecStart=-{script}
StandardOutput=socket
StandardInput=null
RuntimeMaxSec=10
LogLevelMax=warning
"""
TELL_SCRIPT = """\
#!/bin/sh
printf 'active=%s ' "$(systemctl is-active {unit}.service)"
cat {state} 2>/dev/null || echo 'spec= generation=0 state=absent why='
"""
LOGS = ["--log-driver", "json-file", "--log-opt", "max-size=64m", "--log-opt", "max-file=4"]


PARTS = ("runtime", "peers", "alive", "engine")
"""The unit's script, in this order."""
QUESTION = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1, "temperature": 0}


def script_path(plan: Plan, replica: ReplicaPlan) -> str:
    return f"{container.CONFIG}/{plan.cluster}/{replica.name}.run"


def tell_path(plan: Plan, replica: ReplicaPlan) -> str:
    return f"{container.CONFIG}/{plan.cluster}/{replica.name}.tell"


def values(plan: Plan, replica: ReplicaPlan, node: NodePlan) -> dict[str, object]:
    """What every script of this role knows of the plan."""
    limits = plan.verify["timeouts"]
    return {
        "CLUSTER": plan.cluster, "REPLICA": replica.name, "RANK": node.rank, "RUNTIME": node.runtime, "ADDRESS": node.address,
        "HEAD": replica.nodes[0].address, "API": node.ports["api"], "RPC": node.ports.get("rpc", ""),
        "HEALTH": plan.verify["paths"]["health"],
        "UNIT": container.unit(plan.cluster, replica.name), "STATE": container.STATE, "CONFIG": container.CONFIG,
        "SECRETS": key.secrets_path(plan, replica), "STOP": limits["stop"], "JOIN": limits["join"], "READY": limits["ready"],
        "GANG": node.ports.get("gang", ""), "RESTART": plan.verify["restart"],
    }  # fmt: skip


def watch_values(plan: Plan, replica: ReplicaPlan, node: NodePlan) -> dict[str, object]:
    """What the unit's script knows besides: who the others are, and how it watches."""
    verify, live = plan.verify, plan.verify["liveness"]
    return {
        "PEERS": " ".join(f"{n.name}={n.address}" for n in replica.nodes if n.name != node.name),
        "CHAT": verify["paths"]["chat"], "METRICS": verify["paths"]["metrics"], "RANKS": verify["ranks"],
        "RANK_HEADER": verify["rank_header"] or "", "QUESTION": json.dumps({"model": verify["model"], **QUESTION}),
        "EVERY": live["every"], "DEADLINE": live["deadline"], "STRIKES": live["strikes"], "LIMIT": live["restarts"],
        "BACKOFF": live["backoff"], "STABLE": live["stable"],
    }  # fmt: skip


def engine_script(plan: Plan, replica: ReplicaPlan, node: NodePlan) -> str:
    """What the unit runs: values, the engine's argv as an array, then how it is started, watched and started again."""
    argv = list(node.run_argv)
    if node.runtime == "docker":
        argv[2:2] = LOGS
    head = f"#!/bin/bash\n# Written by bringup: cluster {plan.cluster}, replica {replica.name}, rank {node.rank}.\nset -u\n"
    known = remote.script(values={**values(plan, replica, node), **watch_values(plan, replica, node)})
    arrays = f"ENGINE=({shlex.join(argv)})\nLAUNCH=({shlex.join(node.after_ready_argv)})\nfolder=$STATE/$CLUSTER/$REPLICA\n"
    return head + known + arrays + "".join((HERE / f"{part}.sh").read_text(encoding="utf-8") for part in PARTS)


def service(plan: Plan, replica: ReplicaPlan, node: NodePlan) -> str:
    stop = int(plan.verify["timeouts"]["stop"]) + 30
    own = "" if node.runtime == "docker" else "PrivateTmp=yes\n"  # what an engine leaves in /tmp goes with it
    return SERVICE.format(
        cluster=plan.cluster, replica=replica.name, rank=node.rank, model=plan.model, engine=plan.engine, version=plan.version,
        script=script_path(plan, replica), stop=stop, own=own,
    )  # fmt: skip


def peers_texts(plan: Plan, replica: ReplicaPlan, node: NodePlan) -> dict[str, str]:
    """The socket by which the others learn what this node does; nothing for a replica of one node."""
    if "gang" not in node.ports:
        return {"SOCKET_TEXT": "", "TELL_TEXT": "", "TELL_SCRIPT": "", "TELL": ""}
    names = {"cluster": plan.cluster, "replica": replica.name, "rank": node.rank}
    script = tell_path(plan, replica)
    state = shlex.quote(f"{container.STATE}/{plan.cluster}/{replica.name}/state")
    return {
        "SOCKET_TEXT": SOCKET.format(**names, address=node.address, port=node.ports["gang"]),
        "TELL_TEXT": TELL.format(**names, script=script),
        "TELL_SCRIPT": TELL_SCRIPT.format(unit=container.unit(plan.cluster, replica.name), state=state),
        "TELL": script,
    }


def record(plan: Plan, replica: ReplicaPlan) -> str:
    """The plan as it is kept on the node: what the next run compares with, without what is never read again."""
    kept = {k: v for k, v in plan.data().items() if k not in ("bench", "warnings", "replicas")}
    own = {"name": replica.name, "nodes": [n.data() for n in replica.nodes], "steps": []}
    return (
        json.dumps({**kept, "replicas": [own], "spec": replica.spec, "members": {n.name: n.address for n in plan.nodes}}, sort_keys=True)
        + "\n"
    )


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
        "SCRIPT_TEXT": engine_script(plan, replica, node),
        "UNIT_TEXT": service(plan, replica, node),
        "PLAN": record(plan, replica),
        **peers_texts(plan, replica, node),
    }
