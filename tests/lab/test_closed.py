"""firewall: true, seen by a third host that knocks at every TCP port, by IPv4 and IPv6, and at UDP ports that answer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.lab import apt, nodes
from tests.lab.conftest import RunningLab
from tests.lab.double_image import double_image
from tests.lab.verbs import DOUBLE, Site

pytestmark = pytest.mark.lab
A, B = nodes.Node(62, "a2"), nodes.Node(63, "a2")
STRANGER = "n0"
SSH, API, PROXY = 22, 20004, 8080
OPEN, ECHOES = 9995, (9995, 33434, 61000)
"""What listens beside the engines for the test's own sake, on all addresses: one TCP port, and UDP ports that answer."""
ANSWERER = """\
import socket, threading
def echo(port):
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.bind(("::", port))
    while True:
        s.sendto(*s.recvfrom(64))
for port in {echoes}:
    threading.Thread(target=echo, args=(port,)).start()
s = socket.create_server(("::", {open}), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
while True:
    s.accept()[0].close()
"""
KNOCK = """\
import json, select, socket, sys, time
address, ports = sys.argv[1], [int(p) for p in sys.argv[2:]]
s = socket.socket(socket.getaddrinfo(address, 1)[0][0], socket.SOCK_DGRAM)
found, end = set(), time.monotonic() + 2
while time.monotonic() < end and len(found) < len(ports):
    for port in ports:
        s.sendto(b"anybody there?", (address, port))
    while select.select([s], [], [], 0.3)[0]:
        found.add(s.recvfrom(64)[1][1])
print(json.dumps(sorted(found)))
"""
SCAN = """\
import errno, json, resource, select, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (8192, max(8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
AT_ONCE, SILENCE = 8000, 800
family = socket.getaddrinfo(sys.argv[1], 1)[0][0]
def batch(address, ports):
    poll, waiting, found = select.poll(), {}, []
    for port in ports:
        s = socket.socket(family)
        s.setblocking(False)
        code = s.connect_ex((address, port))
        if code == 0:
            found.append(port)
        elif code == errno.EINPROGRESS:
            waiting[s.fileno()] = (s, port)
            poll.register(s, select.POLLOUT)
    while waiting:
        ready = poll.poll(SILENCE)
        if not ready:
            break
        for number, _ in ready:
            s, port = waiting.pop(number)
            poll.unregister(number)
            if s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                found.append(port)
            s.close()
    for s, _ in waiting.values():
        s.close()
    return found
address = sys.argv[1]
print(json.dumps(sorted(p for first in range(1, 65536, AT_ONCE) for p in batch(address, range(first, min(first + AT_ONCE, 65536))))))
"""


@pytest.fixture(scope="module")
def site(lab: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    double_image(lab.place)
    apt.apt_folder(lab.place)
    with lab.added(A, B), ipv6(lab, STRANGER, A.name, B.name):
        for node in (A, B):
            answerer = ANSWERER.format(echoes=ECHOES, open=OPEN)
            lab.ssh(node.name, f"cat >/run/answerer.py <<'END'\n{answerer}END\nsystemd-run -q --unit answerer python3 /run/answerer.py")
        data = {"image": DOUBLE, "timeouts": {"stall": 15, "ready": 120}}
        one = Site(lab.place, tmp_path_factory.mktemp("closed"), [A.name, B.name], data=data, cluster="closed")
        yield one
        one.run("clean", "-y")


@contextmanager
def ipv6(lab: RunningLab, *names: str) -> Iterator[None]:
    """Docker leaves it off in the nodes: for a while they have addresses on the cluster network."""
    nic = nodes.CLUSTER_NIC
    switch = "for c in all lo {nic}; do sysctl -q -w net.ipv6.conf.$c.disable_ipv6={off}; done"
    try:
        for name in names:
            lab.ssh(name, f"{switch.format(nic=nic, off=0)}; ip -6 addr replace {six(name)}/64 dev {nic} nodad")
        yield
    finally:
        lab.ssh(STRANGER, switch.format(nic=nic, off=1))


def six(name: str) -> str:
    return f"fd77::{name[1:]}"


def seen(lab: RunningLab, target: str, source: str = STRANGER) -> set[int]:
    """Every TCP port of a node that lets this host in."""
    return set(asked(lab, source, SCAN, target))


def answering(lab: RunningLab, *those: nodes.Node) -> dict[str, set[int]]:
    """The UDP ports that answer the stranger, by address."""
    targets = [target for node in those for target in (*addresses(lab, node), six(node.name))]
    with ThreadPoolExecutor(len(targets)) as pool:
        found = pool.map(lambda t: set(asked(lab, STRANGER, KNOCK, t, *map(str, ECHOES))), targets)
        return dict(zip(targets, found, strict=True))


def asked(lab: RunningLab, source: str, script: str, *words: str) -> Sequence[int]:
    found: list[int] = json.loads(lab.ssh(source, f"python3 - {' '.join(words)} <<'END'\n{script}END\n"))
    return found


def all_seen(lab: RunningLab) -> dict[str, set[int]]:
    """Both nodes on both networks, and by IPv6, at once: a scan is waiting, mostly."""
    targets = [*addresses(lab, A), *addresses(lab, B), six(A.name), six(B.name)]
    with ThreadPoolExecutor(len(targets)) as pool:
        return dict(zip(targets, pool.map(lambda t: seen(lab, t), targets), strict=True))


def expected(lab: RunningLab, *public: int) -> dict[str, set[int]]:
    """SSH everywhere; on rank 0's node the proxy on both addresses, the engine's port on the cluster's alone; neither listens on IPv6."""
    cluster, management = addresses(lab, A)
    both = {SSH, *public}
    closed = (*addresses(lab, B), six(A.name), six(B.name))
    return {cluster: both, management: both - {API}} | {address: {SSH} for address in closed}


def addresses(lab: RunningLab, node: nodes.Node) -> tuple[str, str]:
    return lab.place.address(node.number), lab.place.ssh_address(node.number)


def test_without_it_a_stranger_sees_what_the_engines_open_to_each_other(lab: RunningLab, site: Site) -> None:
    ran = site.run("serve", "-y", "--data", "soak=1s")
    assert ran.code == 0, ran.err
    assert {SSH, API, OPEN} < seen(lab, lab.place.address(A.number)), "else the scan proves nothing"
    assert {SSH, OPEN} <= seen(lab, six(A.name)), "nor that by IPv6"
    assert all(ports == set(ECHOES) for ports in answering(lab, A, B).values()), "nor that by UDP"


def test_with_it_a_stranger_sees_ssh_and_the_api(lab: RunningLab, site: Site) -> None:
    site.data["firewall"] = True
    ran = site.run("serve", "-y", "--data", "soak=1s")
    assert ran.code == 0, ran.err
    assert "left alone" in ran.err, "the engine is not restarted for it"
    assert all_seen(lab) == expected(lab, API)
    assert not any(answering(lab, A, B).values())


def test_the_replicas_nodes_still_reach_all_of_each_other(lab: RunningLab, site: Site) -> None:
    assert len(seen(lab, lab.place.address(A.number), B.name)) > 2
    assert site.run("verify", "--data", "soak=1s").code == 0


def test_behind_the_proxy_a_stranger_sees_ssh_and_the_proxy(lab: RunningLab, site: Site) -> None:
    site.data |= {"firewall": True, "expose": "proxy"}
    ran = site.run("serve", "-y", "--data", "soak=1s")
    assert ran.code == 0, ran.err
    assert all_seen(lab) == expected(lab, PROXY)
    assert not any(answering(lab, A, B).values())
    ran = site.run("verify", "--data", "soak=1s")
    assert ran.code == 0, ran.out
    assert "through SSH" in ran.out, "this machine is a stranger to the engine's own port, too"
    assert "hides /metrics" in ran.out


def test_whoever_flushes_all_rules_by_nftables_service_leaves_it_closed(lab: RunningLab, site: Site) -> None:
    lab.ssh(B.name, "systemctl restart nftables; sleep 1")
    assert seen(lab, lab.place.address(B.number)) == {SSH}
    assert not any(answering(lab, B).values())


def test_cleaned_the_nodes_are_open_again_and_nothing_of_it_is_left(lab: RunningLab, site: Site) -> None:
    assert site.run("clean", "-y", "--data", "revert=true").code == 0
    for node in (A, B):
        assert "bringup" not in lab.ssh(node.name, "nft list ruleset")
        assert lab.ssh(node.name, "ls -d /etc/systemd/system/bringup-* /etc/bringup /run/bringup-* 2>/dev/null || :") == ""
