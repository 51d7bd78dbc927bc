"""LAB_KV_MB: the KV cache of one worker. VLLM_CPU_KVCACHE_SPACE counts in whole GiB, times sixteen workers too much for one machine."""

from __future__ import annotations

import os
from typing import Any

from bringup_lab_vllm.config import before_config


def patch() -> None:
    before_config(_limited)


def _limited(arguments: Any) -> None:
    if arguments.kv_cache_memory_bytes is None:
        arguments.kv_cache_memory_bytes = int(os.environ["LAB_KV_MB"]) << 20
