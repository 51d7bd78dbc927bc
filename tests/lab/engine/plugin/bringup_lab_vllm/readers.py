"""LAB_GLOO too: readers of vLLM's message queues spin for a second after every message; here they sleep from the start.

Setting busy_loop_s to 0 is not enough: a notification can be lost, and a stock reader then looks again only after five seconds. So no wait
is longer than IDLE_MS, and a reader that was busy a moment ago looks again after BUSY_MS.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

import zmq
from vllm.distributed.device_communicators.shm_broadcast import SpinCondition

BUSY_MS, IDLE_MS = 5, 100


def patch() -> None:
    SpinCondition.wait = wait


def wait(self: Any, timeout_ms: int | None = None) -> None:
    busy = time.monotonic() < self.last_read + 1
    limit = BUSY_MS if busy else IDLE_MS
    self.poller.poll(timeout=limit if timeout_ms is None else min(limit, timeout_ms))
    with contextlib.suppress(zmq.Again):
        self.local_notify_socket.recv(flags=zmq.NOBLOCK, copy=False)
