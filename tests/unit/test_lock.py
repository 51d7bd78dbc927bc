"""Who holds a node, as the look at it is read."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from roles.run import lock, remote
from roles.run.lock import held, stands
from roles.run.seen import MARK, Seen, sections

HERE = socket.gethostname()


def seen(who: str) -> Seen:
    return Seen("n0", sections(f"{MARK}lock 0\n{who}\n"))


def ended() -> int:
    """The pid of a process that is no more."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.mark.parametrize("who", ["kim@elsewhere (process 1), serve, since noon", f"kim@{HERE} (process {os.getppid()}), serve, since noon"])
def test_another_controller_is_told(who: str) -> None:
    assert held(seen(who)) == who


def test_neither_we_ourselves_nor_a_dead_process_of_this_machine_hold_a_node() -> None:
    assert held(seen(f"root@{HERE} (process {os.getpid()}), serve, since now")) == ""
    assert held(seen(f"root@{HERE} (process {ended()}), serve, since now")) == ""
    assert held(seen("")) == ""


LOOK = "active=active\ngeneration=3\nrecorded_spec=abc\n"


@pytest.mark.parametrize(
    ("looked", "told", "same"),
    [
        (LOOK, "record 3 abc", True),
        (LOOK, "record 4 abc", False),
        (LOOK, "record 3 abd", False),
        ("generation=\nrecorded_spec=\n", "record  ", True),
        ("generation=\nrecorded_spec=\n", "record 1 abc", False),
        (LOOK, "", True),
    ],
)
def test_what_was_decided_from_an_old_look_is_not_done(looked: str, told: str, same: bool) -> None:
    assert stands(Seen("n0", sections(f"{MARK}unit 0\n{looked}")), told) is same


def test_a_node_whose_unit_was_not_looked_at_is_no_other() -> None:
    assert stands(Seen("n0", sections(f"{MARK}lock 0\n\n")), "record 3 abc")


def test_the_real_script_takes_a_node_once_and_tells_its_record(tmp_path: Path) -> None:
    replica = tmp_path / "r0"
    replica.mkdir()
    (replica / "generation").write_text("3")
    (replica / "spec").write_text("abc\n")
    values = {"FOLDER": tmp_path, "REPLICA": "r0", "HOLDER": "kim", "TAKEOVER": ""}
    first, second = (subprocess.run(["sh", "-c", remote.script(values=values) + lock.TAKE], capture_output=True, text=True) for _ in "ab")
    assert (first.returncode, first.stdout) == (0, "record 3 abc\n")
    assert (second.returncode, second.stdout) == (lock.TAKEN, "kim\n")
