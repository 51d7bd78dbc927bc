"""LAB_GLOO: collectives over gloo, whose waiting ranks sleep. The shared-memory ones spin: with more ranks than cores, a second a token."""

from __future__ import annotations

from typing import Any

from vllm.distributed.device_communicators.cpu_communicator import CpuCommunicator


def patch() -> None:
    CpuCommunicator._all_group_ranks_share_shm_group_name = _never


def _never(self: Any) -> bool:
    return False
