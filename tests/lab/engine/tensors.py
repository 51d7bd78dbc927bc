"""Tensors to safetensors shards with an index, with nothing but Python's own library: any machine makes the same bytes."""

from __future__ import annotations

import json
import math
import random
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SHARDS = 3


@dataclass(frozen=True)
class Tensor:
    """Values kept as float32 and written as what the model wants."""

    shape: tuple[int, ...]
    values: array[float]
    dtype: str = "BF16"

    def raw(self) -> bytes:
        """Little-endian; bfloat16 is the upper half of a float32."""
        whole = self.values.tobytes()
        if self.dtype == "F32":
            return whole
        half = bytearray(len(whole) // 2)
        half[0::2], half[1::2] = whole[2::4], whole[3::4]
        return bytes(half)


def filled(value: float, *shape: int, dtype: str = "BF16") -> Tensor:
    return Tensor(shape, array("f", [value]) * math.prod(shape), dtype)


def noise(seed: str, spread: float, *shape: int, dtype: str = "BF16") -> Tensor:
    """Evenly spread around zero; from a text seed, so that the order in which tensors are made does not matter."""
    draw = random.Random(seed).random
    return Tensor(shape, array("f", ((draw() * 2 - 1) * spread for _ in range(math.prod(shape)))), dtype)


def write(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """model-00001-of-00003.safetensors and so on, and the index that says which tensor is where."""
    names = sorted(tensors)
    where: dict[str, str] = {}
    total = 0
    for shard in range(SHARDS):
        file = f"model-{shard + 1:05d}-of-{SHARDS:05d}.safetensors"
        part = {name: tensors[name] for name in names[shard::SHARDS]}
        total += _shard(folder / file, part)
        where |= dict.fromkeys(part, file)
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(where.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1), encoding="utf-8")


def _shard(path: Path, part: Mapping[str, Tensor]) -> int:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    data: list[bytes] = []
    at = 0
    for name, tensor in part.items():
        data.append(tensor.raw())
        header[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [at, at + len(data[-1])]}
        at += len(data[-1])
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(data))
    return at
