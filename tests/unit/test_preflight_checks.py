"""Preflight's checks: each one passes on two healthy nodes, and each fault is found by its own check alone, with what to do."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from roles.plan.finding import Finding
from roles.run import remote
from roles.run.checks import every
from roles.run.seen import Seen, sections
from tests.unit import preflight_nodes as nodes
from tests.unit.preflight_nodes import GB, N1, N2, NIC, PREFLIGHT, SHM, Changes, disk, findings, host, links, listening, nic, pair
from tests.unit.sources import plan

ROOT = Path(__file__).parents[2]
ROOM = "58000000000"
LOST = f"path.{N1}.8972"
FAULTS: list[tuple[str, Changes, str, str, str]] = [
    # check and its level (! fails, ? warns); what is changed on the second node; what is observed, expected, and to be done
    ("node.root!", host(uid="1000", user="ops"), "commands run as ops", "root", '"_sudo": True in the inventory, and for ops: NOPASSWD'),
    ("node.system!", host(systemd=""), "debian 12 without systemd", "systemd as first process", "each engine runs as a unit"),
    ("node.system!", host(bash=""), "bash is missing", "bash, for checks of ports", "install bash"),
    ("node.system?", host(os="plan9", os_version="4"), "plan9 4", "Debian, Ubuntu, openEuler or of the", "if Docker is installed"),
    ("node.system?", host(os=""), "unknown 12", "Debian, Ubuntu, openEuler or of the RHEL family", "prepare cannot install it here"),
    ("node.arch!", host(arch="x86_64"), "x86_64", "aarch64", '"arch": "x86_64" in the inventory'),
    ("node.clock?", {"clock": "1005.6"}, "5.5 s ahead of the other nodes", "at most 2 s", "timedatectl set-ntp true"),
    ("node.clock!", {"clock": "900.1"}, "100.0 s behind the other nodes", "at most 2 s", "timedatectl set-ntp true"),
    ("node.clock!", {"clock": "date: invalid"}, "the node's clock could not be read", "seconds since 1970", "date +%s.%N"),
    ("node.name?", {"resolve": ""}, "n2 does not resolve", "an address", f'echo "{N2} n2" >> /etc/hosts'),
    ("node.memory?", host(available_kib=str(40 * GB)), "40 of 1024 GiB available", "at least 58 GiB", "end what uses it"),
    ("node.memory!", host(available_kib=""), "answer could not be read (ValueError", "a known format", "probe in the run folder"),
    ("node.swap?", host(swap_free_kib=str(5 * GB)), "3.0 GiB in swap", "less than 1 GiB", "swapoff -a"),
    ("node.disk!", disk("900000000"), "/var/lib/bringup: 0.8 of 251 GiB free on /", "at least 1 GiB", "free space on /"),
    ("node.shm!", disk(ROOM, "/", "/dev/shm 1000000 1000000 /dev/shm"), "0.0 of 0.0 GiB free", "at least 1 GiB (the", "remount,size=50%"),
    ("node.shm!", disk(ROOM, "/", "/dev/shm 67000000000 67000000000 /dev"), "not mounted", "a tmpfs", "mount -t tmpfs"),
    ("node.shm!", disk(ROOM, "/", ""), "not mounted", "a tmpfs", "mount -t tmpfs tmpfs /dev/shm"),
    ("node.lock?", {"lock": "kim@pc (process 7), serve, since 9:00"}, "held by kim@pc (process 7)", "nobody", "--data takeover=true"),
    ("network.nic!", nic(operstate="down"), f"{NIC} is down", "up", f"ip link set {NIC} up"),
    ("network.address!", links("10.0.0.99"), f"no interface carries {N2}; this node has 10.0.0.99", N2, '"address" in the inventory'),
    ("network.speed?", nic(speed="1000"), f"{NIC}: 1000 Mbit/s", "at least 10000 Mbit/s", "its cable and its switch port"),
    ("network.mtu!", nic(mtu="1500"), f"1500 on {NIC}", f"9000 as on {N1}", f"ip link set {NIC} mtu 9000"),
    ("network.path-mtu!", {LOST: (1, "")}, f"9000 bytes to {N1} are lost (no answer), small packets are not", "MTU 9000", "raise the"),
    ("network.subnet!", {f"route.{N1}": (2, "Network is unreachable")}, f"no route to {N1}: Network is unr", "a route", "into one subnet"),
    ("network.subnet?", {f"route.{N1}": f"{N1} via 10.1.0.1 dev eth0"}, f"{N1} is reached by eth0", f"by {NIC}", "ip route get"),
    ("network.reach!", {f"reach.{N1}.2347": (124, "")}, f"{N1} port 2347: no answer in 3 s", "open, or ref", f"let {N2} through on {N1}"),
    ("network.reach!", {f"reach.{N1}.2347": (1, "bash: x: No route to host")}, "No route to host", "open, or refused", "nft list ruleset"),
    ("network.ports!", listening(27431, "sshd"), "gang port 27431 is held by sshd (pid 4711: /usr/sbin/sshd -D)", "free", "ask whoever"),
    ("network.ports!", listening(60007, "python3"), "hccl port 60007 is held by python3", "free", "or another port: ports.hccl"),
]  # fmt: skip


def own(id: str) -> bool:
    return every()[id].test.__module__.startswith(PREFLIGHT)


def wrong(found: list[Finding]) -> list[Finding]:
    return [f for f in found if f.level in ("fail", "warn")]


def test_two_healthy_nodes_pass_every_check() -> None:
    found = findings(pair())
    assert {f.level for f in found} == {"pass"}
    assert {f.check for f in found} == {id for id in every() if own(id)}


@pytest.mark.parametrize(("check", "changes", "observed", "expected", "fix"), FAULTS, ids=[f"{f[0]}-{f[2][:30]}" for f in FAULTS])
def test_a_fault_is_found_by_its_own_check_and_no_other(check: str, changes: Changes, observed: str, expected: str, fix: str) -> None:
    found = findings(pair(changes))
    (one,) = wrong(found)
    assert (one.node, one.check, one.level) == (N2, check[:-1], "fail" if check.endswith("!") else "warn")
    assert observed in one.observed
    assert expected in one.expected
    assert fix in one.fix
    assert "\n" not in one.sentence()
    assert [f.level for f in found if (f.node, f.check) == (N2, check[:-1])] == [one.level], "and not passed beside it"


def test_every_check_has_a_fault_in_the_table() -> None:
    elsewhere = {"node.reached"}
    assert {id for id in every() if own(id)} - elsewhere == {f[0][:-1] for f in FAULTS}


def test_a_node_that_was_not_reached_is_found_and_says_nothing_else() -> None:
    found = findings({N1: nodes.node(N1, N2), N2: Seen(N2, problem="no answer to SSH in 10 s")})
    (one,) = [f for f in found if f.node == N2]
    assert (one.check, one.level, one.observed) == ("node.reached", "fail", "no answer to SSH in 10 s")
    assert one.fix == f"ssh to {N2} by hand with the inventory's user, port and key"


def test_an_interface_of_another_name_is_found_by_name_and_by_address() -> None:
    seen = pair({**links(N2, "eth0"), "net.nic": "", f"route.{N1}": f"{N1} dev eth0 src {N2}"})
    found = {f.check: f for f in wrong(findings(seen))}
    assert set(found) == {"network.nic", "network.address"}
    assert found["network.nic"].observed == f"{NIC} does not exist; there are lo, eth0"
    assert found["network.nic"].fix == f'"nic": "eth0" in the inventory: it carries {N2}'
    assert (found["network.address"].observed, found["network.address"].expected) == (f"eth0 carries {N2}", NIC)


@pytest.mark.parametrize(
    ("changes", "check", "level"),
    [
        (host(os="openEuler", os_version="22.03"), "node.system", "pass"),
        (host(os="linuxmint", os_like="ubuntu debian"), "node.system", "pass"),
        (host(os="ol", os_like="fedora"), "node.system", "pass"),
        ({**host(available_kib=str(GB)), "unit": f"{nodes.UNIT}container=running"}, "node.memory", "pass"),
        (host(swap_kib="0", swap_free_kib="0"), "node.swap", "pass"),
        (nic(speed="-1"), "network.speed", "skip"),
        (nic(speed=""), "network.speed", "skip"),
        ({**{f"reach.{N1}.{p}": (124, "") for p in nodes.PORTS}, LOST: (1, "")}, "network.path-mtu", "pass"),
        (listening(20004, "python3"), "network.ports", "pass"),
        (listening(27431, "python3", "/system.slice/bringup-test-r0.service"), "network.ports", "pass"),
        ({"listen": (127, "")}, "network.ports", "skip"),
    ],
)
def test_what_is_no_fault_is_not_found(changes: Changes, check: str, level: str) -> None:
    found = [f for f in findings(pair(changes)) if f.node == N2]
    assert [f.level for f in found if f.check == check] == [level]


def test_a_port_of_the_api_is_asked_for_on_the_first_node_only() -> None:
    seen = {N1: nodes.node(N1, N2, listening(20004, "nginx")), N2: nodes.node(N2, N1, listening(20004, "nginx"))}
    (one,) = wrong(findings(seen))
    assert (one.node, one.fix) == (N1, "ask whoever runs it, or another port: ports.api in the inventory")


@pytest.mark.parametrize(("name", "pid"), [("systemd", 1), ("dockerd", 900), ("docker-proxy", 901), ("python3", 4711)])
def test_no_fix_offers_to_end_what_listens_there(name: str, pid: int) -> None:
    held = {"listen": (0, f"20004\t{pid}\t*:20004\t{name}\t/\t/sbin/{name}")}
    (one,) = wrong(findings({N1: nodes.node(N1, N2, held), N2: nodes.node(N2, N1)}))
    assert not re.search(r"\b(kill|stop|end it)\b", one.fix), one.fix
    assert ("systemctl list-sockets | grep :20004" in one.fix) == (pid == 1)


def test_an_engine_without_a_container_may_use_the_memory_too() -> None:
    made = plan("lab/venv")
    seen = {N1: nodes.node(N1, N2, {**host(available_kib=str(GB), arch=made.known.hardware.arch), "unit": "active=active"})}
    assert [f.level for f in findings(seen, made) if f.check == "node.memory"] == ["pass"]
    seen = {N1: nodes.node(N1, N2, {**host(available_kib=str(GB), arch=made.known.hardware.arch), "unit": "active=inactive"})}
    assert [f.level for f in findings(seen, made) if f.check == "node.memory"] == ["warn"]


def test_the_private_memory_of_a_container_is_not_asked_of_the_host() -> None:
    seen = {N1: nodes.node(N1, N2, disk(ROOM, "/", "/dev/shm 1000000 1000000 /dev/shm"))}
    assert [f.level for f in findings(seen, plan("vllm-ascend/a3")) if f.check == "node.shm"] == ["pass"]


def test_room_for_weights_is_not_asked_for_here(tmp_path: Path) -> None:
    """A whole checkpoint on a full disk or a read-only one is fine; weights.space knows what is still to come."""
    weights = tmp_path / "models"
    weights.mkdir()
    values = dict.fromkeys(("NIC", "PORTS", "HCCL", "KNOCK"), "") | {"STATE": str(tmp_path), "CLUSTER": "x", "WEIGHTS": str(weights)}
    text = remote.script(ROOT / "roles/run/probe.sh", ROOT / "roles/preflight/probe.sh", values=values)
    said = subprocess.run(["sh", "-c", text], env=os.environ, capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in sections(said)["disk"].lines if line] == [str(tmp_path), SHM.split()[0]]
