"""On CPU vLLM lets the compiler trace into the experts, where the gather over ranks has shapes it cannot know; the opaque op hides it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from vllm.model_executor.layers.fused_moe.runner.moe_runner import MoERunner


def patch() -> None:
    def select(self: Any) -> Callable[..., Any]:
        ops = torch.ops.vllm
        chosen: Callable[..., Any] = ops.moe_forward if self._shared_experts is None else ops.moe_forward_shared
        return chosen

    MoERunner._select_forward = select
