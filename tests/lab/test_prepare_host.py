"""Host settings, image and firewall on real nodes: set, found as wanted the second time, and taken back."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab import nodes
from tests.lab.conftest import RunningLab
from tests.lab.place import Place, docker

pytestmark = pytest.mark.lab
ROOT = Path(__file__).parents[2]
A, B = nodes.Node(42, "a2"), nodes.Node(43, "a2")
IMAGE = "registry.lab:5000/bringup/prepare:v0.18.0"
KNOBS = """
cat /proc/sys/vm/swappiness /proc/sys/kernel/numa_balancing /proc/sys/net/ipv4/ip_local_reserved_ports
cat /proc/sys/kernel/sched_migration_cost_ns /sys/kernel/debug/sched/migration_cost_ns 2>/dev/null
cat /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor
ls -d /etc/bringup /etc/*/*bringup* /etc/security/limits.d/*bringup* /etc/systemd/system/*bringup* /var/lib/bringup/tuning 2>/dev/null
systemctl list-unit-files --no-legend 'bringup-*' || :
"""


@dataclass(frozen=True)
class Ended:
    """A pyinfra run."""

    code: int
    text: str

    @property
    def success(self) -> int:
        """pyinfra's own Success column, summed."""
        row = next(line for line in self.text.splitlines() if "Grand total" in line).split()
        return 0 if row[3] == "-" else int(row[3])


Play = Callable[..., Ended]


def inventory(place: Place, path: Path, members: list[nodes.Node], **data: object) -> Path:
    """An inventory of these nodes, as a file."""
    hosts = [
        (place.ssh_address(n.number), {"rank": i, "address": place.address(n.number), "nic": nodes.CLUSTER_NIC})
        for i, n in enumerate(members)
    ]
    keys = {
        "recipe": "lab/a2-dual" if len(members) == 2 else "lab/a2-single", "model": "MiniMax-M2-lab", "arch": "x86_64", "image": IMAGE,
        "weights": "/opt/lab/shared/models/chain", "ssh_user": "root", "ssh_key": str(place.keys / "id_ed25519"),
        "ssh_known_hosts_file": str(place.keys / "known_hosts"), "ssh_strict_host_key_checking": "yes", **data,
    }  # fmt: skip
    path.write_text(f"prep = ({hosts!r}, {keys!r})\n")
    return path


def play(place: Place, folder: Path, members: list[nodes.Node], rooms: str, *words: str, **data: object) -> Ended:
    """These rooms of prepare on these nodes; a failed run is an answer too."""
    file = inventory(place, folder / "inventory.py", members, **data)
    command = [str(Path(sys.executable).parent / "pyinfra"), str(file), str(ROOT / "tests/lab/deploys/rooms.py"), *words]
    command += ["--data", f"runs={folder / 'runs'}", *([] if "--dry" in words else ["-y"])]
    env = {**os.environ, "ROOMS": rooms}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return Ended(done.returncode, done.stdout + done.stderr)


@pytest.fixture(scope="module")
def pair(lab: RunningLab) -> Iterator[RunningLab]:
    with lab.added(A, B):
        yield lab


@pytest.fixture
def run(pair: RunningLab, tmp_path: Path) -> Play:
    return lambda rooms, *words, **data: play(pair.place, tmp_path, [A, B], rooms, *words, **data)


def test_settings_are_set_once_and_put_back_exactly(pair: RunningLab, run: Play) -> None:
    """The first node has a reservation; the second one's kernel has a knob in debugfs only, and takes no swappiness of 0."""
    pair.ssh(A.name, "echo 30000-30100 > /proc/sys/net/ipv4/ip_local_reserved_ports")
    pair.ssh(B.name, "rm /proc/sys/kernel/sched_migration_cost_ns; cd /proc/sys/vm; mount --bind swappiness swappiness")
    pair.ssh(B.name, "mount -o remount,ro,bind /proc/sys/vm/swappiness")
    before = {n.name: pair.ssh(n.name, KNOBS) for n in (A, B)}
    dry = run("tuning", "--dry", "--diff")
    assert dry.code == 0, dry.text
    assert "would set vm.swappiness to 0 (now 60)" in dry.text
    assert "+vm.swappiness = 0" in dry.text
    assert {n.name: pair.ssh(n.name, KNOBS) for n in (A, B)} == before

    first = run("tuning")
    assert (first.code, first.success) == (0, 2), first.text
    assert "this kernel does not take vm.swappiness=0" in first.text
    assert pair.ssh(A.name, KNOBS).split()[:6] == ["0", "0", "2347,20004,27431,30000-30100,60000-60031", "50000", "500000", "performance"]
    assert pair.ssh(B.name, KNOBS).split()[:5] == ["60", "0", "2347,20004,27431,60000-60031", "50000", "performance"]
    second = run("tuning")
    assert (second.code, second.success) == (0, 0), second.text

    # What the boot unit does after another file of /etc/sysctl.d took our ports out.
    pair.ssh(A.name, "echo 31000 > /proc/sys/net/ipv4/ip_local_reserved_ports; systemctl restart bringup-tuning")
    assert pair.ssh(A.name, "sysctl -n net.ipv4.ip_local_reserved_ports").strip() == "2347,20004,27431,30000-30100,31000,60000-60031"
    pair.ssh(A.name, "echo 2347,20004,27431,30000-30100,60000-60031 > /proc/sys/net/ipv4/ip_local_reserved_ports")

    back = run("revert")
    assert (back.code, back.success) == (0, 2), back.text
    assert {n.name: pair.ssh(n.name, KNOBS) for n in (A, B)} == before
    assert run("revert").success == 0


def push(lab: RunningLab, folder: Path, text: str) -> None:
    """A very small image that says `text`, under the one name."""
    tar = folder / "image.tar"
    with tarfile.open(tar, "w") as archive:
        info = tarfile.TarInfo("note")
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text.encode()))
    name = IMAGE.replace("registry.lab:5000", lab.place.registry)
    docker(lab.place, "import", tar, name)
    docker(lab.place, "push", "-q", name)


def ids(lab: RunningLab) -> set[str]:
    return {lab.ssh(n.name, f"docker image inspect -f '{{{{.Id}}}}' {IMAGE} 2>&1 || :").strip() for n in (A, B)}


def test_one_image_ends_up_on_both_nodes(pair: RunningLab, run: Play, tmp_path: Path) -> None:
    push(pair, tmp_path, "first")
    pulled = run("image")
    assert (pulled.code, pulled.success) == (0, 2), pulled.text
    assert "1 of 1 layers" in pulled.text
    assert run("image").success == 0
    first = ids(pair)
    assert len(first) == 1

    # The tag moves on; a node that lost its image gets what the other one has, not what the tag names now.
    push(pair, tmp_path, "second")
    pair.ssh(B.name, f"docker image rm {IMAGE}")
    again = run("image")
    assert (again.code, again.success) == (0, 1), again.text
    assert ids(pair) == first

    # Nodes that differ pull both.
    pair.ssh(B.name, f"docker pull -q {IMAGE}")
    assert len(ids(pair)) == 2
    same = run("image")
    assert same.code == 0, same.text
    assert "the nodes have different images under this name" in same.text
    assert len(ids(pair)) == 1
    assert ids(pair) != first


def test_an_image_comes_from_an_archive_and_must_be_the_right_one(pair: RunningLab, run: Play, tmp_path: Path) -> None:
    push(pair, tmp_path, "archived")
    for n in (A, B):
        pair.ssh(n.name, f"docker image rm -f {IMAGE} 2>/dev/null; rm -f /root/*.tar; docker images -q | xargs -r docker image rm -f")
    pair.ssh(A.name, f"docker pull -q {IMAGE} && docker tag {IMAGE} other:v1 && docker save -o /root/right.tar {IMAGE}")
    pair.ssh(A.name, f"docker save -o /root/wrong.tar other:v1; docker image rm {IMAGE} other:v1")
    for name in ("right", "wrong"):
        (tmp_path / name).write_bytes(
            subprocess.run(
                ["docker", "-H", pair.place.socket, "exec", A.name, "cat", f"/root/{name}.tar"], capture_output=True, check=True
            ).stdout
        )
        docker(pair.place, "cp", tmp_path / name, f"{B.name}:/root/{name}.tar")

    wrong = run("image", image_archive="/root/wrong.tar")
    assert wrong.code == 1
    assert f"/root/wrong.tar holds other:v1 not {IMAGE}" in wrong.text
    assert "Traceback" not in wrong.text
    right = run("image", image_archive="/root/right.tar")
    assert (right.code, right.success) == (0, 2), right.text
    assert len(ids(pair)) == 1


def test_a_tag_the_registry_lacks_is_a_sentence(run: Play) -> None:
    gone = run("image", image=IMAGE.replace("v0.18.0", "v0.18.1"))
    assert gone.code == 1
    assert "manifest unknown; the registry has no such tag: correct image or version in the inventory" in gone.text
    assert "Traceback" not in gone.text


def reaches(lab: RunningLab, source: str, target: str, port: int) -> bool:
    return lab.ssh(source, f"timeout 2 bash -c '</dev/tcp/{target}/{port}' 2>/dev/null && echo yes || :").strip() == "yes"


def test_a_closed_node_lets_in_its_peer_ssh_and_the_api(pair: RunningLab, run: Play) -> None:
    address, stranger = pair.place.address(A.number), "n0"
    listen = 'import socket,time\nfor p in (20004, 45678):\n s=socket.create_server(("", p)); globals()[str(p)]=s\ntime.sleep(120)'
    pair.ssh(A.name, f"setsid python3 -c '{listen}' >/dev/null 2>&1 </dev/null & sleep 0.5")
    tables = pair.ssh(A.name, "nft -s list ruleset")
    assert reaches(pair, stranger, address, 45678)
    closed = run("firewall", firewall=True)
    assert (closed.code, closed.success) == (0, 2), closed.text
    assert reaches(pair, B.name, address, 45678)
    assert not reaches(pair, stranger, address, 45678)
    assert reaches(pair, stranger, address, 20004)
    assert not reaches(pair, stranger, pair.place.address(B.number), 20004)
    assert reaches(pair, stranger, address, 22)
    assert pair.ssh(A.name, "nft -s list ruleset").startswith(tables), "Docker's own tables stay as they were"
    assert run("firewall", firewall=True).success == 0

    # Whoever flushes all rules takes ours too; prepare sets them again, and so does a boot.
    pair.ssh(A.name, "nft delete table inet bringup_prep; systemctl restart bringup-firewall")
    assert not reaches(pair, stranger, address, 45678)
    opened = run("firewall", firewall=False)
    assert (opened.code, opened.success) == (0, 2), opened.text
    assert reaches(pair, stranger, address, 45678)
    assert pair.ssh(A.name, "nft -s list ruleset") == tables
