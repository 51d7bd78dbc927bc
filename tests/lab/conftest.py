"""The lab for tests: brought up when it is down, and taken down again by whoever brought it up."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from tests.lab import __main__ as cli
from tests.lab import daemon, image, machine, nodes, session
from tests.lab.begin import begin_clean
from tests.lab.place import LabError, Place, in_node, sh
from tests.lab.real import RealPair

SYSCTL_MOVES = (
    "fs.dentry-state",
    "fs.file-nr",
    "fs.inode",
    "kernel.random",
    "kernel.pty.nr",
    "kernel.ns_last_pid",
    "vm.stat",
    "net.netfilter.nf_conntrack_count",
    "kernel.hung_task_detect_count",
    "fs.aio-nr",
    "fs.quota.",
)


@dataclass
class Machine:
    """What the machine looked like: sysctls, knobs, firewall, containers, network devices."""

    sysctls: dict[str, str] = field(default_factory=dict)
    knobs: str = ""
    firewall: str = ""
    devices: set[str] = field(default_factory=set)
    containers: str = ""

    @staticmethod
    def now() -> Machine:
        lines = subprocess.run(["sysctl", "-a"], capture_output=True, text=True, check=False).stdout.splitlines()
        pairs = (line.split(" = ", 1) for line in lines if " = " in line)
        sysctls = {k: v for k, v in pairs if not k.startswith(SYSCTL_MOVES) and ".brlab-" not in k}
        knobs = sh(
            "sh",
            "-c",
            "cat /sys/kernel/mm/transparent_hugepage/enabled /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor 2>/dev/null || :",
        )
        firewall = sh("sh", "-c", "iptables-save 2>/dev/null | grep -v '^#' || :")
        devices = {name for _, name in socket.if_nameindex()}
        return Machine(sysctls, knobs, firewall, devices, sh("docker", "ps", "-a", "-q", check=False))


@dataclass(frozen=True)
class RunningLab:
    """The lab as a test uses it."""

    place: Place
    ours: bool
    before: Machine

    def ssh(self, node: str, script: str, user: str = "root") -> str:
        return nodes.ssh(self.place, nodes.named(self.place, node), script, user)

    def exec(self, node: str, script: str) -> str:
        return in_node(self.place, node, script)

    @contextmanager
    def added(self, *new: nodes.Node) -> Iterator[None]:
        """Nodes of a test's own, beside those that run; numbers from 20 on are for these."""
        nodes.remove(self.place, list(new))
        try:
            nodes.up(self.place, image.node_image(self.place), [*nodes.described(self.place), *new])
            yield
        finally:
            nodes.remove(self.place, list(new))


@pytest.fixture(scope="session")
def lab() -> Iterator[RunningLab]:
    place = Place()
    if os.geteuid() != 0:
        pytest.skip("the lab needs root")
    try:
        with session.alone(place) as cut_off:
            machine.prepare(place, yes=True)  # before the first look: on a bare machine its tools are missing too
            begin_clean(place, cut_off)
            yield from _running(place)
    except LabError as e:
        pytest.fail(f"the lab cannot run here: {e}", pytrace=False)


@pytest.fixture(scope="session")
def real_pair(lab: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPair]:
    pair = RealPair(lab.place, tmp_path_factory.mktemp("real"))
    yield pair
    pair.down()


def _running(place: Place) -> Iterator[RunningLab]:
    before = Machine.now()
    ours = daemon.running(place) is None
    assert cli.main(["up", "--yes"]) == 0, "lab-up failed; its sentence stands above"
    yield RunningLab(place, ours, before)
    if ours:
        cli.main(["down"])
