"""The second lab: a network of its own, and taken down with the first when nobody's tests are at work in it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import daemon, second
from tests.lab.conftest import RunningLab
from tests.lab.place import Place
from tests.lab.session import alone

pytestmark = pytest.mark.lab
ROOT = Path(__file__).parents[2]
UP = "from tests.lab import daemon, place; daemon.up(place.Place())"
LINKS = "import socket; print([name for _, name in socket.if_nameindex()])"


def python(place: Place, *words: str, apart: bool = False) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, *words]
    env = {**os.environ, "BRINGUP_LAB": str(place.root)}
    ran = subprocess.run(second.alone_on_the_net(line) if apart else line, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran


@pytest.fixture
def short() -> Iterator[Path]:
    """The path of a socket has at most 107 characters."""
    with tempfile.TemporaryDirectory(prefix="lab") as folder:
        yield Path(folder)


def test_its_commands_see_no_device_of_the_machine(lab: RunningLab) -> None:
    assert python(lab.place, "-c", LINKS, apart=True).stdout == "['lo']\n"


def test_it_has_the_same_addresses_beside_the_first_and_goes_down_with_its_own(lab: RunningLab, short: Path) -> None:
    """A first lab of this test's own, that is down, with a second one whose tests were cut off."""
    first = Place(short)
    first.second.root.mkdir()
    try:
        python(first.second, "-c", UP, apart=True)
        assert daemon.running(first.second)
        assert lab.ssh("n0", "hostname").strip() == "n0"
        with alone(first.second):
            python(first, "-m", "tests.lab", "down")
            assert daemon.running(first.second), "its tests are at work"
        python(first, "-m", "tests.lab", "down")
        assert daemon.processes(first.second) == []
        assert first.second.namespace not in subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    finally:
        daemon.down(first.second)
