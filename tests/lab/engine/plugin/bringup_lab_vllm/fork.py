"""LAB_FORK: engine cores and workers are forked. Spawned ones import everything again, sixteen times, and share no memory.

The CPU platform sets VLLM_WORKER_MULTIPROC_METHOD to spawn, whatever the environment says. API servers are spawned by other code
and stay so. Forked processes inherit sockets and outlive their parent in other ways: fault tests do without this.
"""

from __future__ import annotations

import multiprocessing
import types

from vllm.utils import system_utils


def patch() -> None:
    def get_context(method: str | None = None) -> multiprocessing.context.BaseContext:
        return multiprocessing.get_context("fork" if method == "spawn" else method)

    system_utils.multiprocessing = types.SimpleNamespace(get_context=get_context)
