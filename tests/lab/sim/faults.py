"""Faults that any tool can have: busy, slow, garbled, failing."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from .model import Tool
from .state import Answer, Paths

BUSY = Answer("hccn_tool is busy, please try again.\n", "", 11)
BINARY = "\udcff\udcfe\x00\udc80"


def countdown(paths: Paths, limit: int) -> bool:
    """True for the first `limit` calls; the calls made are counted beside the state file."""
    counter = paths.beside(".busy")
    if limit <= 0:
        return False
    with open(counter, "a+", encoding="utf-8") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        f.seek(0)
        words = f.read().split()
        used = int(words[1]) if len(words) == 2 and words[0] == str(limit) else 0
        if used >= limit:
            return False
        f.truncate(0)
        f.write(f"{limit} {used + 1}\n")
    return True


@contextmanager
def alone(paths: Paths) -> Iterator[bool]:
    """True while no other call of the same kind runs."""
    lock: TextIO
    with open(paths.beside(".lock"), "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True


def spoil(answer: Answer, tool: Tool) -> Answer:
    """The answer as a faulty tool gives it."""
    if tool.slow:
        time.sleep(tool.slow)
    if tool.fail is not None:
        answer = Answer(f"{tool.fail}\n", "", 1)
    if tool.garbage is True:
        answer = answer._replace(out=answer.out[: len(answer.out) // 2])
    elif tool.garbage == "binary":
        answer = answer._replace(out=answer.out[: len(answer.out) // 2] + BINARY)
    elif tool.garbage:
        answer = answer._replace(out=f"{tool.garbage}\n")
    return answer if tool.exit is None else answer._replace(code=tool.exit)
