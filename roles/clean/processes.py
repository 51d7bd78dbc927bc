"""Whose process is it: ours, an orphaned engine, or foreign. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Literal

from roles.plan import proxy
from roles.run.holders import CONTAINER, holders
from roles.run.seen import Seen

Kind = Literal["ours", "orphan", "foreign"]
ENGINE = re.compile(
    r"(^|\s)VLLM::|vllm serve|vllm\.entrypoints|sglang[.:]|multiprocessing\.(spawn|forkserver)"
    r"|xinference|xinf-api-|^Model: \S+-rep\d+"
)
SHELL = re.compile(r"-?(\S*/)?(ba|da|z|k|fi)?sh(\s|$)")
DAEMON = re.compile(
    r"(\S*/)?(systemd[\w-]*|init|dockerd|containerd[\w-]*|docker-proxy|docker-init|podman|conmon|crio|kubelet|libvirtd|sshd)(:|\s|$)"
)
"""A node's own: other things end with it, so it is never offered for ending, and never ended when it is named."""
SESSIONS = re.compile(r"(session-[^/]*|user@\d+|init|run-[^/]*)\.(scope|service)$")


@dataclass(frozen=True)
class Process:
    """One process of a node. Pid and start together name it; a pid alone may be another one tomorrow."""

    node: str
    pid: int
    start: int
    parent: int
    state: str
    user: str
    cgroup: str
    command: str
    devices: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    hbm_mb: int = 0
    container: str = ""
    kind: Kind = "foreign"
    why: str = ""
    since: str = ""

    @property
    def prepared(self) -> bool:
        """The proxy's: stop leaves it, as all that prepare put there."""
        return f"{proxy.SUFFIX}.service" in self.cgroup

    @property
    def daemon(self) -> bool:
        return self.pid == 1 or bool(DAEMON.match(self.command))

    def row(self) -> str:
        holds = [*self.devices[:3], *(["..."] if len(self.devices) > 3 else []), *(f"port {p}" for p in self.ports)]
        holds += [f"{self.hbm_mb} MB"] if self.hbm_mb else []
        where = f" in container {self.container}" if self.container else ""
        held = ", ".join(holds) or "nothing of the plan"
        since = f", since {self.since}" if self.since else ""
        return f"pid {self.pid} ({self.user}{since}){where}: {self.command[:70].strip()}; holds {held}; {self.why}"


@dataclass(frozen=True)
class _Facts:
    parent: int
    start: int
    state: str
    user: str
    cgroup: str
    command: str


@dataclass
class _Node:
    """What was seen of one node, put together by pid."""

    known: dict[int, _Facts] = field(default_factory=dict)
    devices: dict[int, tuple[str, ...]] = field(default_factory=dict)
    ports: dict[int, tuple[int, ...]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)


def engine(command: str) -> bool:
    """A shell that was told to start one is none: it may be somebody's way to keep it running."""
    return bool(ENGINE.search(command)) and not SHELL.match(command)


def classified(seen: Seen, unit: str, cluster: str) -> list[Process]:
    """Everyone who holds a device or a port of the plan, and every engine without a parent."""
    node = _gathered(seen)
    hbm = memory(seen["npu-smi.info"].lines)
    mine = seen["unit"].pairs.get("id", "")
    clock = seen["boot"].first.split()
    wanted = sorted({*node.devices, *node.ports, *(p for p, f in node.known.items() if engine(f.command))})
    result = []
    for pid in wanted:
        facts = node.known.get(pid)
        if facts is None:
            continue
        kind, why = _kind(pid, node, unit, cluster, mine)
        container = _container(facts.cgroup)
        result.append(
            Process(
                seen.node, pid, facts.start, facts.parent, facts.state, facts.user, facts.cgroup, facts.command,
                node.devices.get(pid, ()), node.ports.get(pid, ()), hbm.get(pid, 0), node.names.get(container, container[:12]), kind, why,
                began(facts.start, clock),
            )
        )  # fmt: skip
    return [p for p in result if p.devices or p.ports or p.kind == "orphan"]


def began(start: int, clock: Sequence[str]) -> str:
    """When a process began, from ticks since the node's start; nothing where they are not known."""
    if start <= 0 or len(clock) != 2 or not (clock[0].isdigit() and clock[1].isdigit() and int(clock[1])):
        return ""
    return f"{datetime.fromtimestamp(int(clock[0]) + start / int(clock[1]), timezone.utc):%Y-%m-%d %H:%M:%S} UTC"


def _kind(pid: int, node: _Node, unit: str, cluster: str, mine: str) -> tuple[Kind, str]:
    facts = node.known[pid]
    container = _container(facts.cgroup)
    service = next((w for w in reversed(facts.cgroup.split("/")) if w.endswith(".service")), "")
    if (mine and container == mine) or service in (f"{unit}.service", f"{unit}{proxy.SUFFIX}.service"):
        return "ours", "of this cluster's unit"
    if container:
        return "foreign", f"lives in container {node.names.get(container, container[:12])}, which is not ours"
    if service and not SESSIONS.search(service):
        return "foreign", f"belongs to {service}"
    if not engine(facts.command):
        return "foreign", "is no engine's process"
    if not (node.devices.get(pid) or node.ports.get(pid) or _kin_holds(pid, node)):
        return "foreign", "holds nothing of the plan"
    root = _oldest_engine(pid, node)
    above = node.known[root].parent
    if above > 1 and above in node.known and not _is_init(node.known[above].command):
        return "foreign", f"its parent lives: pid {above} ({node.known[above].command[:40].strip()})"
    return "orphan", "an engine's process without a living parent or container"


def _oldest_engine(pid: int, node: _Node) -> int:
    """Up the tree while the parent is an engine's process too."""
    while (parent := node.known[pid].parent) in node.known and engine(node.known[parent].command):
        pid = parent
    return pid


def _kin_holds(pid: int, node: _Node) -> bool:
    """An engine core or a resource tracker holds nothing itself; its family does."""
    root = _oldest_engine(pid, node)
    return any(
        (node.devices.get(p) or node.ports.get(p)) and _oldest_engine(p, node) == root
        for p in node.known
        if p in {*node.devices, *node.ports}
    )


def _is_init(command: str) -> bool:
    return command.startswith(("/sbin/init", "/lib/systemd/systemd", "/usr/lib/systemd/systemd", "systemd", "init"))


def _container(cgroup: str) -> str:
    found = CONTAINER.findall(cgroup)
    return found[-1] if found else ""


def _gathered(seen: Seen) -> _Node:
    node = _Node()
    for line in seen["processes"].lines:
        words = line.split("\t", 6)
        if len(words) == 7 and words[0].isdigit() and words[1].isdigit() and words[2].isdigit():
            node.known[int(words[0])] = _Facts(int(words[1]), int(words[2]), words[3], words[4], words[5], words[6])
    for h in holders(seen):
        node.devices[h.pid] = h.devices
        node.known.setdefault(h.pid, _Facts(h.parent, h.start, h.state, h.user, h.cgroup, h.command))
        if h.container and h.name:
            node.names[h.container] = h.name
    for line in seen["listen"].lines:
        words = line.split("\t")
        if len(words) >= 6 and words[0].isdigit() and words[1].isdigit() and words[1] != "1":  # systemd, for a socket unit
            pid = int(words[1])
            node.ports[pid] = tuple(sorted({*node.ports.get(pid, ()), int(words[0])}))
            node.known.setdefault(pid, _Facts(0, 0, "?", "?", words[4], words[5] or words[3]))
    return node


def memory(lines: Iterable[str]) -> dict[int, int]:
    """MB by pid from npu-smi's process table, whatever its width."""
    found: dict[int, int] = {}
    table = False
    for line in lines:
        cells = [c.strip() for c in line.split("|")]
        if "Process id" in line:
            table = True
        elif table and len(cells) > 5 and cells[2].isdigit() and cells[4].isdigit():
            found[int(cells[2])] = found.get(int(cells[2]), 0) + int(cells[4])
    return found


def named(text: str, all_found: Mapping[str, list[Process]]) -> tuple[list[tuple[str, str]], list[str]]:
    """`NODE:PID,NODE:CONTAINER` as (node, what), and what is wrong with it."""
    result, problems = [], []
    for word in [w.strip() for w in text.split(",") if w.strip()]:
        node, sep, what = word.rpartition(":")
        if not sep or node not in all_found:
            known = ", ".join(all_found)
            problems.append(f'--data foreign: "{word}" names no node of this cluster; expected NODE:PID or NODE:CONTAINER, with {known}')
        elif what.isdigit() and (one := next((p for p in all_found[node] if p.pid == int(what)), None)) is None:
            problems.append(f"--data foreign: pid {what} on {node} holds no device and no port of the plan; clean lists those that do")
        elif what.isdigit() and one is not None and one.daemon:
            its = one.command.split()[0]
            problems.append(f"--data foreign: pid {what} on {node} is the node's own ({its}) and is never ended; free it by its own tools")
        else:
            result.append((node, what))
    return result, problems
