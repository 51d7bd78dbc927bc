"""What the vendor's tool calls a node's accelerators. Pure."""

from __future__ import annotations

import csv
import json
import re
from typing import Any

from roles.run.seen import Seen

NPU = re.compile(r"^\|\s*\d+\s+([A-Za-z0-9][\w -]*?)\s*\|\s*[A-Z][A-Za-z]+\s*\|", re.MULTILINE)
AMD = ("market_name", "Card Series", "Card series")


def name(seen: Seen) -> str:
    """Its name, or all of them where they differ; empty where nobody told."""
    found = [
        *(NPU.findall(seen["npu-smi.info"].text)),
        *_nvidia(seen["nvidia-smi.gpus"].lines),
        *_amd(seen["amd-smi.static"].text),
        *_amd(seen["rocm-smi"].text),
    ]
    return " + ".join(sorted(set(found)))


def _nvidia(lines: tuple[str, ...]) -> list[str]:
    rows = list(csv.reader(line for line in lines if "," in line))
    heads = [cell.strip() for cell in rows[0]] if rows else []
    if "name" not in heads:
        return []
    at = heads.index("name")
    return [row[at].strip() for row in rows[1:] if len(row) == len(heads)]


def _amd(text: str) -> list[str]:
    try:
        return list(_named(json.loads(text)))
    except ValueError:
        return []


def _named(data: Any) -> list[str]:
    """Wherever it stands: the tool's releases nest it differently."""
    if isinstance(data, list):
        return [name for item in data for name in _named(item)]
    if not isinstance(data, dict):
        return []
    own = [str(data[k]) for k in AMD if isinstance(data.get(k), str)]
    return own or [name for item in data.values() for name in _named(item)]
