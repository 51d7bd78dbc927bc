"""Two test sessions never meet on the lab's nodes, and one knows what another was cut off."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab.place import LabError, Place
from tests.lab.session import alone

HOLD = """
import sys, time
from pathlib import Path
from tests.lab.place import Place
from tests.lab.session import alone
with alone(Place(Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.readline()
"""


def holder(root: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", HOLD, str(root)]
    process = subprocess.Popen(words, cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_one_after_the_other_knows_that_the_first_came_to_its_end(tmp_path: Path) -> None:
    for _ in range(2):
        with alone(Place(tmp_path)) as cut_off:
            assert not cut_off
            assert (tmp_path / "lock-of-tests").read_text() == f"{os.getpid()}\n"


def test_the_second_waits_for_the_first_and_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    first = holder(tmp_path)
    with (
        pytest.raises(LabError, match=f"tests of process {first.pid} still use the lab in {tmp_path} after 0 s"),
        alone(Place(tmp_path), 0.3, 0.1),
    ):
        pass
    assert f"tests of process {first.pid} use it, waiting" in capfd.readouterr().err
    began = time.monotonic()
    ends = subprocess.Popen(["sh", "-c", f"sleep 0.5; echo >/proc/{first.pid}/fd/0"])
    with alone(Place(tmp_path), 30, 0.1) as cut_off:
        assert time.monotonic() - began > 0.4
        assert not cut_off
    assert (first.wait(10), ends.wait(10)) == (0, 0)


def test_one_that_was_killed_is_known_to_the_next(tmp_path: Path) -> None:
    first = holder(tmp_path)
    first.kill()
    first.wait(10)
    with alone(Place(tmp_path), 10, 0.1) as cut_off:
        assert cut_off
    with alone(Place(tmp_path)) as cut_off:
        assert not cut_off, "told once"


def test_a_failure_inside_leaves_the_mark(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), alone(Place(tmp_path)):
        _ = 1 / 0
    with alone(Place(tmp_path)) as cut_off:
        assert cut_off


def test_one_session_may_ask_twice(tmp_path: Path) -> None:
    with alone(Place(tmp_path)) as first, alone(Place(tmp_path), 0.3, 0.1) as second:
        assert (first, second) == (False, False)
    with alone(Place(tmp_path)) as cut_off:
        assert not cut_off
