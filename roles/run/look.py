"""One look at every node: one script, one exec, all parts of all roles in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event
from pyinfra.api.host import Host
from pyinfra.api.state import State

from roles.plan import container
from roles.plan.node import NodePlan
from roles.plan.plan import Plan, ReplicaPlan
from roles.run import checks, remote
from roles.run.seen import MARK, Seen, sections

ROLES = Path(__file__).resolve().parents[1]
HEAD = Path(__file__).with_name("probe.sh")
LIMIT = 180.0
ASKING = 150.0
"""Seconds more where the image's own engine is asked: one that is slow to begin must not cost the rest of the look."""
SMALL = 8
CLOCK = f"{MARK}clock"
ASK = f"{MARK}ask "

Wanted = Callable[[Plan, NodePlan, Mapping[str, Seen]], str]
"""What a node that asks in the middle of its probe is told, from what all nodes said so far."""
ANSWERS: dict[str, Wanted] = {}


def answers(question: str) -> Callable[[Wanted], Wanted]:
    """Register what is said to a probe that prints `ask QUESTION`."""

    def register(wanted: Wanted) -> Wanted:
        ANSWERS[question] = wanted
        return wanted

    return register


def probe_script(plan: Plan, node: NodePlan, **options: object) -> str:
    """The whole script for one node: what the plan knows as shell variables, then every role's part."""
    parts = [HEAD, *sorted(p for p in ROLES.glob("*/probe.sh") if p != HEAD), *sorted(ROLES.glob("*/probe_last.sh"))]
    return remote.script(*parts, values={**values(plan, node), **options}) + "say end 0 ''\n"


def values(plan: Plan, node: NodePlan) -> dict[str, object]:
    """What a probe may read of the plan; upper case, so that parts may use lower case for their own."""
    known, (replica, _) = plan.known, plan.node(node.name)
    peers = [n.address for n in replica.nodes if n.name != node.name]
    hccl = [p for r in _ranges(node.ports.get("hccl")) for p in r]
    return {
        "CLUSTER": plan.cluster, "REPLICA": replica.name, "NAME": node.name, "RANK": node.rank, "RUNTIME": node.runtime,
        "VENDOR": known.hardware.vendor, "HARDWARE": known.recipe.hardware, "ADDRESS": node.address, "NIC": node.nic or "",
        "PEERS": " ".join(peers), "KNOCK": " ".join(_knock(node, replica)), "HEAD": replica.nodes[0].address,
        "API": node.ports.get("api", ""), "HEALTH": plan.verify["paths"]["health"], "RPC": node.ports.get("rpc", ""),
        "OUTSIDE": node.ports.get("proxy", "") if node.rank == 0 else "",
        "PORTS": " ".join(str(p) for p in sorted({p for p in node.ports.values() if isinstance(p, int)})), "HCCL": " ".join(map(str, hccl)),
        "WEIGHTS": known.weights or "", "DRAFT": known.keys.draft or "", "IMAGE": node.image or "",
        "MIRRORS": " ".join(known.build.mirrors), "DEVICES": " ".join(node.devices), "NUMBERS": " ".join(map(str, known.numbers)),
        "UNIT": container.unit(plan.cluster, replica.name), "STATE": container.STATE, "CONFIG": container.CONFIG,
        "JEMALLOC": node.env.get("LD_PRELOAD", ""), "TOPOLOGY": known.keys.topology,
        "ARCHIVE": known.keys.image_archive or "", "WHEELS": known.keys.wheels or "", "PROXY": known.keys.proxy or "",
        "DATA_ROOT": known.keys.docker.data_root or "",
    }  # fmt: skip


def _knock(node: NodePlan, replica: ReplicaPlan) -> list[str]:
    """Whose ports a node tries: everybody's in a small replica; else the head tries all and all try the head."""
    others = [n for n in replica.nodes if n.name != node.name]
    return [n.address for n in others if len(others) < SMALL or 0 in (n.rank, node.rank)]


def _ranges(text: object) -> list[range]:
    """Ports as the plan writes them: 60000-60031."""
    first, _, last = str(text or "").partition("-")
    return [range(int(first), int(last or first) + 1)] if first.isdigit() else []


def look(state: State, hosts: Iterable[Host], plan: Plan, cancel: Event | None = None, **options: object) -> dict[str, Seen]:
    """Ask every host at the same time. Nodes that ask back are answered when all of them asked or ended."""
    hosts = list(hosts)
    checks.every()  # roles register what they answer beside what they check
    talk = _Talk(plan, {h.name for h in hosts})
    jobs = {h.name: gevent.spawn(_ask, state, h, plan, talk, cancel, options) for h in hosts}
    gevent.joinall(list(jobs.values()), raise_error=True)
    return {name: job.get() for name, job in jobs.items()}


def _ask(state: State, host: Host, plan: Plan, talk: _Talk, cancel: Event | None, options: Mapping[str, Any]) -> Seen:
    _, node = plan.node(host.name)
    lines: list[str] = []

    arrived = [time.time()]

    def on_line(line: str, reply: remote.Reply) -> None:
        if line.startswith(CLOCK):
            arrived[0] = time.time()
        lines.append(line)
        if line.startswith(ASK):
            talk.asked(node, line[len(ASK) :].strip(), "\n".join(lines), reply)

    text, limit = probe_script(plan, node, **options), LIMIT + (ASKING if options.get("PARSE") else 0)
    done = remote.run(state, host, "bringup-probe", text, on_line=on_line, limit=limit, cancel=cancel)
    talk.ended(host.name)
    found = sections(done.text)
    problem = "" if "end" in found else f"its probe stopped: {done.said}"
    return Seen(host.name, found, problem, arrived[0])


class _Talk:
    """Who asked what; all who asked are answered once nobody is left who could still ask."""

    def __init__(self, plan: Plan, names: set[str]) -> None:
        self.plan = plan
        self.busy = set(names)
        self.seen: dict[str, Seen] = {}
        self.waiting: list[tuple[NodePlan, str, remote.Reply]] = []

    def asked(self, node: NodePlan, question: str, text: str, reply: remote.Reply) -> None:
        self.busy.discard(node.name)
        self.seen[node.name] = Seen(node.name, sections(text))
        self.waiting.append((node, question, reply))
        self._answer()

    def ended(self, name: str) -> None:
        self.busy.discard(name)
        self._answer()

    def _answer(self) -> None:
        if self.busy:
            return
        waiting, self.waiting = self.waiting, []
        for node, question, reply in waiting:
            reply(ANSWERS[question](self.plan, node, self.seen) + "\n" if question in ANSWERS else "\n")
