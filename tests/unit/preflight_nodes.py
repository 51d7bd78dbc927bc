"""Two healthy nodes as the preflight's probe sees them, and what of it a fault changes."""

from __future__ import annotations

from collections.abc import Mapping

from roles.plan.finding import Finding
from roles.plan.plan import Plan
from roles.run.checks import every, judge
from roles.run.seen import Section, Seen
from tests.unit.sources import plan

N1, N2 = "10.0.0.11", "10.0.0.12"
NIC = "enp67s0f0np0"
GB = 1 << 20
"""In KiB, as /proc/meminfo counts."""
HOST = {
    "uid": "0", "user": "root", "hostname": "n2", "os": "debian", "os_like": "", "os_version": "12", "kernel": "6.1", "arch": "aarch64",
    "memory_kib": str(1024 * GB), "available_kib": str(900 * GB), "swap_kib": str(8 * GB), "swap_free_kib": str(8 * GB),
    "bash": "/usr/bin/bash", "systemd": "yes",
}  # fmt: skip
SHM = "/dev/shm 540000000000 540000000000 /dev/shm"
UNIT = "name=bringup-test-r0\nactive=inactive\n"
CLOSED = "bash: connect: Connection refused"
PORTS = ("2347", "20004", "27431", "60000")
PREFLIGHT = "roles.preflight.checks"
Changes = Mapping[str, str | tuple[int, str]]


def host(**facts: str) -> dict[str, str]:
    return {"host": "\n".join(f"{k}={v}" for k, v in {**HOST, **facts}.items())}


def disk(free: str, mount: str = "/", shm: str = SHM) -> dict[str, str]:
    return {"disk": f"/var/lib/bringup 270000000000 {free} {mount}\n{shm}"}


def nic(**facts: str) -> dict[str, str]:
    found = {"mtu": "9000", "speed": "100000", "operstate": "up", "carrier": "1", **facts}
    return {"net.nic": "\n".join(f"{k}={v}" for k, v in found.items())}


def links(own: str, name: str = NIC) -> dict[str, str]:
    """The loopback and one more interface, with its address."""
    shape = "2: {0}    inet {1}/24 brd 10.0.0.255 scope global {0}\\       valid_lft forever"
    return {
        "net.addr": "1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever\n" + shape.format(name, own),
        "net.link": f"1: lo: <LOOPBACK,UP> mtu 65536\n2: {name}@if7: <BROADCAST,UP> mtu 9000",
    }


def listening(port: int, name: str, group: str = "/user.slice", pid: int = 4711) -> dict[str, str]:
    return {"listen": f"{port}\t{pid}\t0.0.0.0:{port}\t{name}\t{group}\t/usr/sbin/{name} -D"}


def node(own: str, peer: str, changes: Changes | None = None, arrived: float = 1000.0) -> Seen:
    texts: dict[str, str | tuple[int, str]] = {
        **host(), **disk("58000000000"), **nic(), **links(own),
        "clock": "1000.1", "resolve": f"{own} n2", "lock": "", "listen": "", "unit": UNIT,
        f"route.{peer}": f"{peer} dev {NIC} src {own} uid 0",
        f"path.{peer}.8972": "1 packets transmitted, 1 received",
        **{f"reach.{peer}.{port}": (1, CLOSED) for port in PORTS},
        **(changes or {}),
    }  # fmt: skip
    parts = {name: (0, said) if isinstance(said, str) else said for name, said in texts.items()}
    return Seen(own, {name: Section(name, code, tuple(text.splitlines())) for name, (code, text) in parts.items()}, arrived=arrived)


def pair(changes: Changes | None = None) -> dict[str, Seen]:
    """Two nodes; the second one is the changed one."""
    return {N1: node(N1, N2), N2: node(N2, N1, changes)}


def findings(seen: Mapping[str, Seen], made: Plan | None = None) -> list[Finding]:
    """What preflight's own checks say."""
    mine = {id for id, one in every().items() if one.test.__module__.startswith(PREFLIGHT)}
    return [f for f in judge(made or plan(), seen) if f.check in mine]
