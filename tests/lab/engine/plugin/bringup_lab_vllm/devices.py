"""Each worker opens its accelerator's device file and keeps it open, so that the simulated npu-smi shows who holds which card."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any

VISIBLE = "ASCEND_RT_VISIBLE_DEVICES"
_held: list[int] = []


def patch() -> None:
    from vllm.v1.worker.cpu_worker import CPUWorker

    original = CPUWorker.init_device

    @functools.wraps(original)
    def init_device(self: Any) -> None:
        parallel = self.parallel_config
        rank = (parallel.data_parallel_rank_local or 0) * parallel.world_size + self.local_rank
        hold(device(rank, os.environ))
        original(self)

    CPUWorker.init_device = init_device


def device(rank: int, env: Mapping[str, str]) -> str:
    """The file of the card that a worker of this local rank would use."""
    numbers = [word.strip() for word in env.get(VISIBLE, "").split(",") if word.strip()]
    if numbers and rank >= len(numbers):
        raise RuntimeError(f"{VISIBLE} is {env[VISIBLE]}, which has no card for local rank {rank}")
    return f"/dev/davinci{numbers[rank] if numbers else rank}"


def hold(path: str) -> None:
    """A machine without simulated cards has no such file; the engine runs there too."""
    if os.path.exists(path):
        _held.append(os.open(path, os.O_RDWR | os.O_CLOEXEC))
