"""MiniMax-M2 routes by sigmoid with a correction bias and without groups, which CPURouter asserts away: it knows softmax only."""

from __future__ import annotations

import functools
from typing import Any

import torch
from vllm.model_executor.layers.fused_moe.router.cpu_router import CPURouter


def patch() -> None:
    original = CPURouter._compute_routing

    @functools.wraps(original)
    def routing(self: Any, hidden_states: torch.Tensor, router_logits: torch.Tensor, indices_type: Any, *, input_ids: Any = None) -> Any:
        if self.scoring_func != "sigmoid" or self.use_grouped_topk or self.custom_routing_function is not None:
            return original(self, hidden_states, router_logits, indices_type, input_ids=input_ids)
        return sigmoid_topk(router_logits, self.top_k, self.e_score_correction_bias, self.renormalize, self.routed_scaling_factor)

    CPURouter._compute_routing = routing


def sigmoid_topk(
    logits: torch.Tensor, top_k: int, bias: torch.Tensor | None, renormalize: bool, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The bias decides which experts, never how much each counts."""
    scores = logits.float().sigmoid()
    ids = torch.topk(scores if bias is None else scores + bias, top_k, dim=-1, sorted=False).indices
    weights = scores.gather(1, ids)
    if renormalize:
        weights = weights / weights.sum(-1, keepdim=True)
    return (weights * scale).contiguous(), ids.to(torch.int32).contiguous()
