"""What vLLM 0.32.0's CPU build lacks to serve MiniMax-M2 over several ranks, and what a small machine asks of it.

vLLM calls `register` in every process of its own, before the engine's configuration is made. Always on: what is needed for right
answers (collectives, expert_map, routing, opaque_moe) and for seeing the workers in npu-smi (devices). By environment: what a machine
with few cores needs (LAB_EAGER, LAB_FORK, LAB_GLOO, LAB_KV_MB); fault tests leave LAB_FORK out, because forked processes die differently.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping

VLLM = "0.32.0"
_applied = False


class WrongVersion(RuntimeError):
    """The patches replace methods by name; in another release they could replace the wrong ones and nobody would notice."""


def register() -> None:
    """Apply the patches once in this process; a forked child has its parent's."""
    global _applied
    if _applied:
        return
    _refuse_other_versions()
    for patch in _wanted(os.environ):
        patch()
    _applied = True


def _refuse_other_versions() -> None:
    from vllm.version import __version__

    if __version__.partition("+")[0] != VLLM:
        raise WrongVersion(f"bringup_lab_vllm patches vLLM {VLLM}, this is {__version__}; remove the plugin or review every patch in it")


def _wanted(env: Mapping[str, str]) -> Iterator[Callable[[], None]]:
    """Imported only when wanted: each pulls in a part of vLLM."""
    from bringup_lab_vllm import collectives, devices, expert_map, opaque_moe, routing

    yield from (collectives.patch, expert_map.patch, routing.patch, opaque_moe.patch, devices.patch)
    if on(env, "LAB_EAGER"):
        from bringup_lab_vllm import eager

        yield eager.patch
    if on(env, "LAB_FORK"):
        from bringup_lab_vllm import fork

        yield fork.patch
    if on(env, "LAB_GLOO"):
        from bringup_lab_vllm import gloo, readers

        yield from (gloo.patch, readers.patch)
    if env.get("LAB_KV_MB"):
        from bringup_lab_vllm import kv_size

        yield kv_size.patch


def on(env: Mapping[str, str], name: str) -> bool:
    """1 is on; 0 and nothing are off."""
    return env.get(name, "0") not in ("", "0")
