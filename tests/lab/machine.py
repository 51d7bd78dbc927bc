"""What the lab needs from the machine: packages, root, free address ranges."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tests.lab.place import LabError, Place, Step, sh

MEMORY_GIB, DISK_GB = 8, 8
"""What a pair of real engines takes, with its images and their making: docs/lab.md has the figures."""
SHOWN = 0.9
"""A machine sold with so much memory shows a little less."""

PACKAGES = {
    "dockerd": "docker.io",
    "docker": "docker.io",
    "docker-registry": "docker-registry",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "sysctl": "procps",
    "iptables": "iptables",
    "nsenter": "util-linux",
    "ssh-keygen": "openssh-client",
}


def prepare(place: Place, yes: bool) -> None:
    """Everything that can be missing is said or installed before anything is made."""
    if os.geteuid() != 0:
        raise LabError("the lab makes network namespaces and containers, so it needs root; run it with sudo")
    missing = sorted({package for command, package in PACKAGES.items() if not shutil.which(command)})
    if missing:
        _install(missing, yes)
    _check_ranges(place)
    free = _free(place) >> 30
    if free < 6:
        raise LabError(f"{place.root} has {free} GiB free, expected at least 6; set BRINGUP_LAB to a folder on a larger disk")


def enough(place: Place) -> None:
    """Whether the real engines fit on this machine, said before their image is built and not when they die of it."""
    first = not (place.cache / "engine" / "checkpoints").exists()  # what their build makes last
    problem = lacking(Path("/proc/meminfo").read_text(encoding="ascii"), _free(place) if first else None, place.root)
    if problem:
        raise LabError(problem)


def lacking(meminfo: str, free: int | None, root: Path) -> str:
    """One sentence; nothing where there is enough. `free`: bytes of the disk, None where all is there already."""
    memory = int(next(line.split()[1] for line in meminfo.splitlines() if line.startswith("MemTotal:"))) / 2**20
    if memory < MEMORY_GIB * SHOWN:
        return f"this machine has {memory:.1f} GiB of memory, expected {MEMORY_GIB}: the two engines take 7 of it; take a larger machine"
    if free is not None and free < DISK_GB * 10**9:
        return (
            f"{root} has {free / 10**9:.1f} GB of disk left, expected {DISK_GB}: images and their making take that; "
            "set BRINGUP_LAB to a folder on a larger disk"
        )
    return ""


def _free(place: Place) -> int:
    """Bytes left where the lab is, or will be."""
    there = next(p for p in (place.root, *place.root.absolute().parents) if p.exists())
    return shutil.disk_usage(there).free


def _install(packages: list[str], yes: bool) -> None:
    if not shutil.which("apt-get"):
        raise LabError(f"{', '.join(packages)} is missing and this machine has no apt-get; install it and run again")
    if not yes and not (
        sys.stdin.isatty() and input(f"lab: {', '.join(packages)} is missing. Install with apt-get? [y/N] ").lower() == "y"
    ):
        raise LabError(f"{', '.join(packages)} is missing; run again with YES=1 to let the lab install it with apt-get")
    with Step(f"installing {', '.join(packages)}"):
        sh("apt-get", "update", "-qq")
        fresh = "docker.io" in packages
        sh(
            "env",
            "DEBIAN_FRONTEND=noninteractive",
            "RUNLEVEL=1",
            "apt-get",
            "-o",
            "DPkg::Lock::Timeout=300",
            "install",
            "-y",
            "-qq",
            "--no-install-recommends",
            *packages,
        )
        if fresh and shutil.which("systemctl") and os.path.isdir("/run/systemd/system"):
            sh("systemctl", "disable", "--now", "docker.service", "docker.socket", check=False)  # the lab runs its own


def _check_ranges(place: Place) -> None:
    """An address range that something else has would send our packets there."""
    for range_ in (place.cluster, place.management, place.uplink):
        route = sh("ip", "route", "get", f"{range_}.9", check=False)
        device = route.partition(" dev ")[2].partition(" ")[0]
        if " via " not in route and device and not device.startswith("brlab"):
            raise LabError(f"{range_}.0 is already reached by {device}; the lab needs it for itself: free it, or change tests/lab/place.py")
