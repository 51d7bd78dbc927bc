"""CPU experts claim to support expert parallelism, but their kernel takes no expert map: global ids would index past the local experts."""

from __future__ import annotations

import functools
from typing import Any

import torch
from vllm.model_executor.layers.fused_moe.experts.cpu_moe import CPUUnquantizedExperts


def patch() -> None:
    original = CPUUnquantizedExperts.apply

    @functools.wraps(original)
    def apply(
        self: Any, output: torch.Tensor, hidden_states: torch.Tensor, w1: torch.Tensor, w2: torch.Tensor, topk_weights: torch.Tensor,
        topk_ids: torch.Tensor, activation: Any, global_num_experts: int, expert_map: torch.Tensor | None, *rest: Any, **named: Any,
    ) -> None:  # fmt: skip
        if expert_map is not None:
            topk_weights, topk_ids = local(topk_weights, topk_ids, expert_map)
        original(self, output, hidden_states, w1, w2, topk_weights, topk_ids, activation, global_num_experts, expert_map, *rest, **named)

    CPUUnquantizedExperts.apply = apply


def local(weights: torch.Tensor, ids: torch.Tensor, expert_map: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Local ids; an expert of another rank becomes expert 0 with weight 0, and that rank adds its share in reduce_scatterv."""
    mapped = expert_map.to(ids.device)[ids.long()]
    here = mapped >= 0
    # The kernel reads int32 and float32 buffers without looking at strides.
    return (weights * here).to(torch.float32).contiguous(), mapped.clamp(min=0).to(torch.int32).contiguous()
