"""Where a lab keeps its files, which addresses it has, and how commands are run."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
FIRST = 11
FAMILIES = ("a2", "a3", "nvidia", "rocm")


class LabError(Exception):
    """Something the person at the keyboard can mend; one sentence."""


@dataclass(frozen=True)
class Place:
    """One lab per machine: its folder, its network namespace, its two networks."""

    root: Path = Path(os.environ.get("BRINGUP_LAB", "/var/lib/bringup-lab"))
    cluster: str = "10.77.0"
    management: str = "10.78.0"
    uplink: str = "10.99.77"

    @property
    def second(self) -> Place:
        """Beside it, in a network namespace of its own: tests/lab/second.py."""
        return replace(self, root=self.root / "second")

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def cache(self) -> Path:
        """What is costly to make and survives `down`."""
        return self.root / "cache"

    @property
    def socket(self) -> str:
        return f"unix://{self.run}/docker.sock"

    @property
    def namespace(self) -> str:
        """Named by the folder, so that two labs can never take each other's."""
        return f"bringup-{hashlib.sha256(str(self.root).encode()).hexdigest()[:6]}"

    @property
    def registry(self) -> str:
        return f"{self.cluster}.1:5000"

    def node_folder(self, name: str) -> Path:
        return self.root / "nodes" / name

    def address(self, number: int) -> str:
        return f"{self.cluster}.{FIRST + number}"

    def ssh_address(self, number: int) -> str:
        return f"{self.management}.{FIRST + number}"


def sh(*words: str | Path, check: bool = True, text: str | None = None) -> str:
    """Run a command and return what it prints; its own last words when it fails."""
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False, input=text)
    if check and done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise LabError(f"{' '.join(map(str, words[:6]))} ... ended with {done.returncode}: {said[-1] if said else 'nothing said'}")
    return done.stdout


def docker(place: Place, *words: str | Path, check: bool = True, text: str | None = None) -> str:
    """The lab's own Docker, never the machine's."""
    return sh("docker", "-H", place.socket, *words, check=check, text=text)


def inside(place: Place, *words: str | Path) -> list[str]:
    """A command line that runs in the lab's network namespace, with the machine's other namespaces."""
    return ["nsenter", f"--net=/run/netns/{place.namespace}", *map(str, words)]


def in_node(place: Place, node: str, script: str, check: bool = True) -> str:
    """A shell line inside a node, by Docker and not by SSH: for the lab's own business."""
    return docker(place, "exec", node, "sh", "-c", script, check=check)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """What is costly is made by one process; others wait and find it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Step:
    """`with Step("building"):` says what is done, then how long it took."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __enter__(self) -> None:
        self.start = time.monotonic()
        say(f"lab: {self.text} ...")

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            say(f"lab: {self.text}: {time.monotonic() - self.start:.1f} s")


def until(test: Callable[[], bool], what: str, seconds: float, every: float = 0.1) -> None:
    """Wait for something that must become true, or say what did not."""
    end = time.monotonic() + seconds
    while not test():
        if time.monotonic() > end:
            raise LabError(f"{what} did not come up within {seconds:.0f} s")
        time.sleep(every)
