"""firewall: true, seen by a third host that knocks at every port."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab import apt, nodes
from tests.lab.conftest import RunningLab
from tests.lab.double_image import double_image
from tests.lab.verbs import DOUBLE, Site

pytestmark = pytest.mark.lab
A, B = nodes.Node(62, "a2"), nodes.Node(63, "a2")
STRANGER = "n0"
SSH, API, PROXY = 22, 20004, 8080
SCAN = """\
import errno, json, resource, select, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (8192, max(8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
AT_ONCE, SILENCE = 4000, 800
def batch(address, ports):
    poll, waiting, found = select.poll(), {}, []
    for port in ports:
        s = socket.socket()
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
    with lab.added(A, B):
        data = {"image": DOUBLE, "timeouts": {"stall": 15, "ready": 120}}
        one = Site(lab.place, tmp_path_factory.mktemp("closed"), [A.name, B.name], data=data, cluster="closed")
        yield one
        one.run("clean", "-y")


def seen(lab: RunningLab, target: str, source: str = STRANGER) -> set[int]:
    """Every TCP port of a node that lets this host in."""
    found: list[int] = json.loads(lab.ssh(source, f"python3 - {target} <<'END'\n{SCAN}END\n"))
    return set(found)


def all_seen(lab: RunningLab) -> dict[str, set[int]]:
    """Both nodes on both networks, at once: a scan is waiting, mostly."""
    targets = [*addresses(lab, A), *addresses(lab, B)]
    with ThreadPoolExecutor(len(targets)) as pool:
        return dict(zip(targets, pool.map(lambda t: seen(lab, t), targets), strict=True))


def expected(lab: RunningLab, *public: int) -> dict[str, set[int]]:
    """SSH everywhere; on rank 0's node the proxy on both addresses, the engine's port on the cluster's alone."""
    cluster, management = addresses(lab, A)
    both = {SSH, *public}
    return {cluster: both, management: both - {API}} | {address: {SSH} for address in addresses(lab, B)}


def addresses(lab: RunningLab, node: nodes.Node) -> tuple[str, str]:
    return lab.place.address(node.number), lab.place.ssh_address(node.number)


def test_without_it_a_stranger_sees_what_the_engines_open_to_each_other(lab: RunningLab, site: Site) -> None:
    ran = site.run("serve", "-y", "--data", "soak=1s")
    assert ran.code == 0, ran.err
    assert {SSH, API} < seen(lab, lab.place.address(A.number)), "else the scan proves nothing"


def test_with_it_a_stranger_sees_ssh_and_the_api(lab: RunningLab, site: Site) -> None:
    site.data["firewall"] = True
    ran = site.run("serve", "-y", "--data", "soak=1s")
    assert ran.code == 0, ran.err
    assert "left alone" in ran.err, "the engine is not restarted for it"
    assert all_seen(lab) == expected(lab, API)


def test_the_replicas_nodes_still_reach_all_of_each_other(lab: RunningLab, site: Site) -> None:
    assert len(seen(lab, lab.place.address(A.number), B.name)) > 2
    assert site.run("verify", "--data", "soak=1s").code == 0


def test_behind_the_proxy_a_stranger_sees_ssh_and_the_proxy(lab: RunningLab, site: Site) -> None:
    site.data |= {"firewall": True, "expose": "proxy"}
    ran = site.run("serve", "-y", "--data", "soak=1s")
    assert ran.code == 0, ran.err
    assert all_seen(lab) == expected(lab, PROXY)
    ran = site.run("verify", "--data", "soak=1s")
    assert ran.code == 0, ran.out
    assert "through SSH" in ran.out, "this machine is a stranger to the engine's own port, too"
    assert "hides /metrics" in ran.out


def test_whoever_flushes_all_rules_by_nftables_service_leaves_it_closed(lab: RunningLab, site: Site) -> None:
    lab.ssh(B.name, "systemctl restart nftables; sleep 1")
    assert seen(lab, lab.place.address(B.number)) == {SSH}


def test_cleaned_the_nodes_are_open_again_and_nothing_of_it_is_left(lab: RunningLab, site: Site) -> None:
    assert site.run("clean", "-y", "--data", "revert=true").code == 0
    for node in (A, B):
        assert "bringup" not in lab.ssh(node.name, "nft list ruleset")
        assert lab.ssh(node.name, "ls -d /etc/systemd/system/bringup-* /etc/bringup /run/bringup-* 2>/dev/null || :") == ""
