"""Device memory of a node, from whichever tool's table the look has. Pure."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from roles.run.seen import Seen

NPU = re.compile(r"(\d+)\s*/\s*(\d+)\s*\|\s*$")
ROCM = ("VRAM Total Used Memory (B)", "VRAM Total Memory (B)")


def memory(seen: Seen) -> str:
    """Used of all, in GiB; nothing where no tool tells it in a form we know."""
    ways = (("HBM", _npu(seen)), ("memory", _nvidia(seen)), ("memory", _amd(seen)))
    for word, pairs in ways:
        used, total = (sum(column) for column in zip((0, 0), *pairs, strict=True))
        if total:
            return f"{word} {used / 1024:.0f} of {total / 1024:.0f} GiB"
    return ""


Pairs = Iterable[tuple[int, int]]


def _npu(seen: Seen) -> Pairs:
    return [(int(m[1]), int(m[2])) for line in seen["npu-smi.info"].lines if (m := NPU.search(line)) and int(m[2]) > 0]


def _nvidia(seen: Seen) -> Pairs:
    rows = list(csv.reader(seen["nvidia-smi.gpus"].lines, skipinitialspace=True))
    heads = [cell.split(" ")[0] for cell in rows[0]] if rows else []
    if not {"memory.used", "memory.total"} <= set(heads):
        return []
    used, total = heads.index("memory.used"), heads.index("memory.total")
    return [(int(r[used]), int(r[total])) for r in rows[1:] if len(r) == len(heads) and r[used].isdigit() and r[total].isdigit()]


def _amd(seen: Seen) -> Iterator[tuple[int, int]]:
    for entry in _entries(seen["amd-smi.metric"].text):
        used = entry.get("mem_usage")
        if isinstance(used, dict):
            yield _mb(used.get("used_vram")), _mb(used.get("total_vram"))
    for entry in _entries(seen["rocm-smi"].text):
        yield tuple(int(entry[k]) >> 20 if str(entry.get(k, "")).isdigit() else 0 for k in ROCM)  # type: ignore[misc]


def _entries(text: str) -> list[dict[str, Any]]:
    """One object a GPU, whether they stand in a list or by name."""
    try:
        data = json.loads(text)
    except ValueError:
        return []
    if isinstance(data, dict):
        inner = data.get("gpu_data")
        data = inner if isinstance(inner, list) else list(data.values())
    return [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []


def _mb(amount: object) -> int:
    value = amount.get("value") if isinstance(amount, dict) else amount
    return value if isinstance(value, int) else 0
