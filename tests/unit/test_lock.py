"""Who holds a node, as the look at it is read."""

from __future__ import annotations

import os
import socket
import subprocess

import pytest

from roles.run.lock import held
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
