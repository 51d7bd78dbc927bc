"""Evidence of all nodes at the same time, one exec each; without secrets before anything is written."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roles.doctor import head
from roles.doctor.evidence import HEAD, safe
from roles.plan.node import NodePlan
from roles.plan.plan import ReplicaPlan
from roles.run import look, remote
from roles.run.redact import redact, redact_data
from roles.run.run import Run
from roles.run.seen import sections

SCRIPT = Path(__file__).with_name("collect.sh")
LIMIT, QUICK_LIMIT = 240.0, 120.0
ALL_BYTES, MOST_BYTES, LEAST_BYTES = 256 << 20, 4 << 20, 256 << 10
PLOG = "/ascend/log"
FOLLOWED = "engine.run.txt"


@dataclass(frozen=True)
class Collected:
    """What one node said."""

    sections: Mapping[str, str] = field(default_factory=dict)
    offset: float | None = None
    problem: str = ""


def script(run: Run, node: NodePlan, quick: bool) -> str:
    """The node's script: many nodes give less each."""
    share = max(LEAST_BYTES, min(MOST_BYTES, ALL_BYTES // max(len(run.plan.nodes), 1) // 2))
    plog = next((m.split(":")[0] for m in node.mounts if m.split(":")[1].endswith(PLOG)), "")
    more = {"ENGINE_BYTES": share, "PLOG_BYTES": share, "PLOG": plog, "QUICK": "1" if quick else ""}
    return remote.script(look.HEAD, SCRIPT, values={**look.values(run.plan, node), **more})


def collect(run: Run, nodes: Sequence[NodePlan], quick: bool = False) -> dict[str, Collected]:
    """By node name; a node that was not reached has a problem instead."""
    tasks = {n.name: (lambda n=n: _node(run, n, quick)) for n in nodes if n.name in run.hosts}
    found: dict[str, Collected] = remote.together(tasks)
    return {n.name: found.get(n.name) or Collected(problem=run.missing.get(n.name, "not reached")) for n in nodes}


def _node(run: Run, node: NodePlan, quick: bool) -> Collected:
    lines: list[str] = []
    arrived = [time.time()]

    def on_line(line: str, reply: remote.Reply) -> None:
        if line.startswith(look.CLOCK):
            arrived[0] = time.time()
        lines.append(line)

    limit = QUICK_LIMIT if quick else LIMIT
    text = script(run, node, quick)
    done = remote.run(
        run.state, run.hosts[node.name], "bringup-doctor", text, on_line=on_line, limit=limit, cancel=run.cancel, tied=True, keep=False
    )
    found = {name: "\n".join(s.lines) for name, s in sections("\n".join(lines or done.lines)).items()}
    if not found:
        return Collected(problem=f"nothing could be collected: {done.said}")
    return Collected(found, _offset(found.get("clock", ""), arrived[0]))


def _offset(clock: str, arrived: float) -> float | None:
    try:
        return float(clock.strip()) - arrived
    except ValueError:
        return None


def files(run: Run, replicas: Sequence[ReplicaPlan], found: Mapping[str, Collected], made: float) -> dict[str, str]:
    """A bundle's files, with every secret taken out."""
    secrets = run.folder.secrets()
    texts: dict[str, str] = {}
    nodes: list[dict[str, Any]] = []
    for replica in replicas:
        for node in replica.nodes:
            one = found.get(node.name) or Collected(problem="not asked")
            nodes.append(head.about(replica, node, one.offset, one.problem))
            texts |= {f"nodes/{safe(node.name)}/{safe(name)}.txt": text for name, text in one.sections.items() if name != "end"}
            texts |= _kept(run, node)
    about = head.head(
        run.plan, replicas, nodes, made, verb=run.verb, command=run.command, failures=run.failures or last_failures(run),
        findings=run.findings,
    )  # fmt: skip
    return {name: redact(text, secrets) for name, text in texts.items()} | {HEAD: _head(about, secrets)}


def said(run: Run, replica: ReplicaPlan, made: float) -> dict[str, str]:
    """The same of what this run said by itself: no node is asked, and nothing older counts."""
    mine = [s for s in run.stages if s["replica"] == replica.name]
    nodes = [head.about(replica, n, problem=run.missing.get(n.name, "")) for n in replica.nodes]
    about = head.head(
        run.plan, [replica], nodes, made, verb=run.verb, command=run.command, failures=run.failures or _refused(run),
        findings=run.findings, asked=False, started=any(s["stage"] == "up" for s in mine),
    )  # fmt: skip
    texts: dict[str, str] = {}
    if any(s["stage"] == "up" and s["ok"] is False for s in mine):  # its start was followed to its end
        for node in replica.nodes:
            texts |= {name: text for name, text in _kept(run, node).items() if name.endswith(FOLLOWED)}
    secrets = run.folder.secrets()
    return {name: redact(text, secrets) for name, text in texts.items()} | {HEAD: _head(about, secrets)}


def _head(about: Mapping[str, Any], secrets: Sequence[str]) -> str:
    return json.dumps(redact_data(about, secrets), indent=1, sort_keys=True, ensure_ascii=False)


def _refused(run: Run) -> list[dict[str, str]]:
    """Nodes that pyinfra itself gave up."""
    why = "pyinfra gave the node up; its own red line says why"
    return [{"node": h.name, "stage": "operation", "why": why, "fix": ""} for h in run.state.failed_hosts if h.name in run.hosts]


def _kept(run: Run, node: NodePlan) -> dict[str, str]:
    """What this run knows of a node already: the engine's log as serve followed it, and what the probe saw."""
    kept = {}
    log = run.folder.node_file(node.name, "engine.log")
    if log.exists():
        kept[f"nodes/{safe(node.name)}/{FOLLOWED}"] = log.read_text(encoding="utf-8", errors="replace")[-MOST_BYTES:]
    seen = run.seen.get(node.name)
    if seen is not None and seen.sections:
        parts = (f"--- {s.name} {s.code}\n{s.text}\n" for s in seen.sections.values())
        kept[f"nodes/{safe(node.name)}/probe.txt"] = "".join(parts)
    return kept


def last_failures(run: Run) -> list[dict[str, str]]:
    """Why the last serve of this plan failed, where this machine has its report: a garbled answer stands in no log."""
    reports = sorted(run.folder.parent.glob("*-serve*/report.json"), key=lambda p: p.parent.name)
    try:
        last = json.loads(reports[-1].read_text(encoding="utf-8"))
        if last["plan_hash"] != run.plan.hash:
            return []
        return [{k: str(f[k]) for k in ("node", "stage", "why", "fix")} for f in last["failures"]]
    except (IndexError, OSError, ValueError, KeyError, TypeError):  # none, or not written to its end
        return []
