"""CpuCommunicator has no all_gatherv and no reduce_scatterv, the two calls with which expert parallelism moves tokens between ranks."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from vllm.distributed.device_communicators.cpu_communicator import CpuCommunicator


def patch() -> None:
    CpuCommunicator.all_gatherv = all_gatherv
    CpuCommunicator.reduce_scatterv = reduce_scatterv


def all_gatherv(self: Any, input_: Any, dim: int = 0, sizes: list[int] | None = None) -> Any:
    """Every rank's rows, in rank order; `sizes` says how many rows each rank has."""
    _rows_only(dim)
    if isinstance(input_, (list, tuple)):
        return [_gathered(self, tensor, sizes) for tensor in input_]
    return _gathered(self, input_, sizes)


def reduce_scatterv(self: Any, input_: torch.Tensor, dim: int = 0, sizes: list[int] | None = None) -> torch.Tensor:
    """The sum over all ranks, of which each keeps its own rows."""
    _rows_only(dim)
    total = input_.clone()
    dist.all_reduce(total, group=self.device_group)
    parts = total.chunk(self.world_size) if sizes is None else total.split(list(sizes))
    return parts[self.rank_in_group].contiguous()


def _gathered(self: Any, tensor: torch.Tensor, sizes: list[int] | None) -> torch.Tensor:
    if sizes is None:
        gathered: torch.Tensor = self.all_gather(tensor, 0)
        return gathered
    # gloo gathers equal shapes only, so every rank pads to the longest and cuts again.
    padded = tensor.new_zeros((max(sizes), *tensor.shape[1:]))
    padded[: tensor.shape[0]] = tensor
    parts = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(parts, padded, group=self.device_group)
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])


def _rows_only(dim: int) -> None:
    if dim != 0:
        raise NotImplementedError(f"dim is {dim}, expected 0: vLLM {dim=} was never asked of the lab's collectives")
