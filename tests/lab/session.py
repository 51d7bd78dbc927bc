"""One test session at a time on the machine's lab; what one that was cut off left on the nodes is not the next one's."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.place import LabError, Place, say

HELD: set[Path] = set()


@contextmanager
def alone(place: Place, patience: float = 3600, every: float = 2) -> Iterator[bool]:
    """Waits for another session. True: the one before did not come to its end, so the nodes may hold anything.

    Within one session it may be asked for again: tests/lab and tests/faults each have their fixture.
    """
    if place.root in HELD:
        yield False
        return
    place.root.mkdir(parents=True, exist_ok=True)
    with (place.root / "lock-of-tests").open("a+") as file:
        _wait(file.fileno(), place, patience, every)
        file.seek(0)
        cut_off = bool(file.read().strip())
        _write(file.fileno(), f"{os.getpid()}\n")
        HELD.add(place.root)
        try:
            yield cut_off
        finally:
            HELD.remove(place.root)
        _write(file.fileno(), "")


def free(place: Place) -> bool:
    """No test session holds it at this moment."""
    try:
        with (place.root / "lock-of-tests").open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    return True


def _wait(lock: int, place: Place, patience: float, every: float) -> None:
    end = time.monotonic() + patience
    told = False
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 20, 0).decode().strip() or "unknown"
        if time.monotonic() > end:
            raise LabError(f"tests of process {holder} still use the lab in {place.root} after {patience:.0f} s; end them first")
        if not told:
            say(f"lab: tests of process {holder} use it, waiting for their end ...")
            told = True
        time.sleep(every)


def _write(lock: int, text: str) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, text.encode(), 0)
