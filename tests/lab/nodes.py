"""The lab's nodes: one privileged systemd container each, with a fixed host key and a folder of its own at /lab."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.lab import person
from tests.lab.image import bare_image
from tests.lab.place import LabError, Place, Step, docker, sh, until

AT_ONCE = 8
CLUSTER_NIC, MANAGEMENT_NIC = "enp67s0f0np0", "enp1s0f0"


@dataclass(frozen=True)
class Node:
    """One node as the lab knows it."""

    number: int
    family: str
    light: bool = False
    bare: bool = False  # without Docker

    @property
    def name(self) -> str:
        return f"n{self.number}"


def up(place: Place, image: str, nodes: list[Node]) -> None:
    """Start the nodes that do not run, at most a few at once; all of them answer SSH when this returns."""
    _user_key(place)
    have = states(place)
    _known_hosts(place, nodes)
    missing = [n for n in nodes if have.get(n.name) != "running"]
    without = bare_image(place, image) if any(n.bare for n in missing) else image
    if missing:
        with Step(f"starting {len(missing)} node{'s' * (len(missing) != 1)}"), ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda n: _start(place, without if n.bare else image, n, nodes, have), missing))
            list(pool.map(lambda n: until(lambda: answers(place, n), f"SSH of {n.name}", 90, 0.3), missing))


def down(place: Place) -> None:
    """Remove the nodes this lab made, with their volumes; other containers are not looked at."""
    names = list(states(place))
    if names:
        docker(place, "rm", "-f", "-v", *names)
    shutil.rmtree(place.root / "nodes", ignore_errors=True)


def remove(place: Place, nodes: list[Node]) -> None:
    """Remove these nodes, with their volumes and folders."""
    docker(place, "rm", "-f", "-v", *(n.name for n in nodes), check=False)
    for node in nodes:
        shutil.rmtree(place.node_folder(node.name), ignore_errors=True)


def states(place: Place) -> dict[str, str]:
    """Name and state of every node."""
    lines = docker(place, "ps", "-a", "--filter", "label=bringup.lab", "--format", "{{.Names}}\t{{.State}}", check=False).splitlines()
    return dict(sorted((line.split("\t") for line in lines), key=lambda pair: int(pair[0][1:])))


def described(place: Place) -> list[Node]:
    """The nodes that were made, from their labels."""
    names = list(states(place))
    if not names:
        return []
    found = json.loads(docker(place, "inspect", *names, check=False) or "[]")  # without those that another process removes just now
    return [_labelled(f["Config"]["Labels"]) for f in found]


def _labelled(labels: dict[str, str]) -> Node:
    light, bare = (labels.get(f"bringup.lab.{kind}") == "True" for kind in ("light", "bare"))
    return Node(int(labels["bringup.lab"]), labels["bringup.lab.family"], light, bare)


def ssh_options(place: Place) -> list[str]:
    """How a person reaches a node: the lab's key, and its host keys strictly."""
    return [
        "-i", str(place.keys / "id_ed25519"), "-o", f"UserKnownHostsFile={place.keys / 'known_hosts'}", "-o", "StrictHostKeyChecking=yes",
        "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "IdentitiesOnly=yes",
    ]  # fmt: skip


def ssh(place: Place, node: Node, script: str, user: str = "root", check: bool = True) -> str:
    return sh("ssh", *ssh_options(place), f"{user}@{place.ssh_address(node.number)}", script, check=check)


def answers(place: Place, node: Node) -> bool:
    return ssh(place, node, "echo up", check=False).strip() == "up"


def _user_key(place: Place) -> None:
    key = place.keys / "id_ed25519"
    if not key.exists():
        sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bringup lab", "-f", key)
    person.hand_over(place, person.here())


def _host_key(folder: Path) -> str:
    key = folder / "ssh_host_ed25519_key"
    if not key.exists():
        sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bringup lab host", "-f", key)
    return " ".join(key.with_suffix(".pub").read_text().split()[:2])


def _known_hosts(place: Place, nodes: list[Node]) -> None:
    """Every node's host key, known before the first connection; those of other nodes of this lab stay known."""
    for node in nodes:
        folder = place.node_folder(node.name)
        folder.mkdir(parents=True, exist_ok=True)
        _host_key(folder)
        shutil.copy(place.keys / "id_ed25519.pub", folder / "authorized_keys")
    numbers = sorted(int(f.name[1:]) for f in (place.root / "nodes").glob("n*") if (f / "ssh_host_ed25519_key.pub").exists())
    lines = [f"{place.ssh_address(n)},{place.address(n)},n{n} {_host_key(place.node_folder(f'n{n}'))}\n" for n in numbers]
    part = place.keys / f"known_hosts.{os.getpid()}"
    part.write_text("".join(lines))
    part.chmod(0o644)
    part.replace(place.keys / "known_hosts")  # at once: tests in other processes read it


def _start(place: Place, image: str, node: Node, nodes: list[Node], have: dict[str, str]) -> None:
    if node.name in have:
        docker(place, "start", node.name)
        return
    peers = [w for n in nodes[:64] for w in ("--add-host", f"{n.name}:{place.address(n.number)}")]
    docker(
        place, "create", "--name", node.name, "--hostname", node.name, "--privileged", "--cgroupns", "private", "--shm-size=2g",
        "--network", "cluster", "--ip", place.address(node.number), "--add-host", f"registry.lab:{place.cluster}.1", *peers,
        "--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp:exec", "-v", f"{place.node_folder(node.name)}:/lab",
        "--env", f"LAB_FAMILY={node.family}", "--env", f"LAB_INIT={'sshd' if node.light else 'systemd'}",
        "--label", f"bringup.lab={node.number}", "--label", f"bringup.lab.family={node.family}",
        "--label", f"bringup.lab.light={node.light}", "--label", f"bringup.lab.bare={node.bare}", *_shared(place), image,
    )  # fmt: skip
    docker(place, "network", "connect", "--ip", place.ssh_address(node.number), "management", node.name)
    docker(place, "start", node.name)


def _shared(place: Place) -> list[str]:
    """What all nodes may read: checkpoints and the engine's files, when the lab has made them."""
    folder = place.root / "shared"
    folder.mkdir(parents=True, exist_ok=True)
    return ["-v", f"{folder}:/opt/lab/shared:ro"]


def named(place: Place, name: str) -> Node:
    for node in described(place):
        if node.name == name:
            return node
    raise LabError(f'NODE is "{name}", expected one of: {", ".join(states(place)) or "none runs; make lab-up"}')
