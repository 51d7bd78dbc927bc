"""amd-smi and rocm-smi: their JSON, in the shapes of several releases."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from roles.accelerators.parse.reading import Refused, Unreadable, first_line, whole

MIB = 1 << 20
REFUSALS = ("Driver not initialized", "amdgpu not found", "No such device", "AMDSMI_STATUS_NO_DRV", "AMDSMI_STATUS_DRIVER_NOT_LOADED")
IDLE = "No running processes"


@dataclass(frozen=True)
class Gpu:
    """One GPU with its memory in MB."""

    number: int
    name: str
    total_mb: int
    used_mb: int
    driver: str


@dataclass(frozen=True)
class Holding:
    """One process on one GPU."""

    gpu: int
    pid: int
    name: str
    mb: int


def of_amd_smi(static: str, metric: str) -> tuple[Gpu, ...]:
    """From `amd-smi static` and `amd-smi metric`."""
    memory = {n: _part(e, "mem_usage") for n, e in _entries(metric, "amd-smi metric")}
    found = []
    for number, entry in _entries(static, "amd-smi static"):
        driver, used = _part(entry, "driver"), memory.get(number, {})
        found.append(
            Gpu(
                number,
                str(_part(entry, "asic").get("market_name", "")),
                _amount(used.get("total_vram"), "amd-smi metric"),
                _amount(used.get("used_vram"), "amd-smi metric"),
                str(driver.get("version") or driver.get("driver_version") or ""),
            )
        )
    return tuple(found)


def of_rocm_smi(text: str) -> tuple[Gpu, ...]:
    """From `rocm-smi --showproductname --showmeminfo vram --showdriverversion --json`."""
    what = "rocm-smi --json"
    data = _json(text, what)
    if not isinstance(data, dict):
        raise Unreadable(what, first_line(text))
    driver = str(_part(data, "system").get("Driver version", ""))
    found = []
    for name, card in data.items():
        number = re.fullmatch(r"card(\d{1,3})", name)
        if not number:
            continue
        if not isinstance(card, dict):
            raise Unreadable(what, name)
        sizes = [whole(str(card.get(k, "")), what, f"{name}: {k}") // MIB for k in ("VRAM Total Memory (B)", "VRAM Total Used Memory (B)")]
        series = str(card.get("Card Series") or card.get("Card series") or "")
        found.append(Gpu(int(number[1]), series, sizes[0], sizes[1], driver))
    return tuple(found)


def processes(text: str) -> tuple[Holding, ...]:
    """From `amd-smi process`: an idle GPU has one entry, and it is a sentence."""
    what = "amd-smi process"
    found = []
    for gpu, entry in _entries(text, what):
        listed = entry.get("process_list", [])
        if not isinstance(listed, list):
            raise Unreadable(what, str(listed))
        for one in listed:
            info = one.get("process_info", one) if isinstance(one, dict) else one
            if isinstance(info, str) and IDLE in info:
                continue
            if not isinstance(info, dict) or "pid" not in info:
                raise Unreadable(what, str(info))
            memory = _part(info, "memory_usage").get("vram_mem", info.get("mem_usage"))
            found.append(Holding(gpu, whole(str(info["pid"]), what, str(info)), str(info.get("name", "")), _bytes(memory) // MIB))
    return tuple(found)


def refuse(text: str) -> None:
    """Raise what the tool itself says against an answer."""
    for words in REFUSALS:
        if words in text:
            raise Refused(words)


def _json(text: str, what: str) -> Any:
    """The first JSON value: warnings may stand before it."""
    refuse(text)
    start = re.search(r"^\s*[\[{]", text, re.MULTILINE)
    if not start:
        raise Unreadable(what, first_line(text))
    try:
        return json.JSONDecoder().raw_decode(text[start.start() :].lstrip())[0]
    except (ValueError, RecursionError):
        raise Unreadable(what, first_line(text[start.start() :])) from None


def _entries(text: str, what: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """GPUs of a list; releases from 6.4 on wrap it in `gpu_data`."""
    data = _json(text, what)
    if isinstance(data, dict):
        data = data.get("gpu_data", [data] if "gpu" in data else None)
    if not isinstance(data, list):
        raise Unreadable(what, first_line(text))
    for entry in data:
        if not isinstance(entry, dict) or "gpu" not in entry:
            raise Unreadable(what, str(entry))
        yield whole(str(entry["gpu"]), what, str(entry)), entry


def _part(entry: dict[str, Any], name: str) -> dict[str, Any]:
    part = entry.get(name)
    return part if isinstance(part, dict) else {}


def _amount(value: Any, what: str) -> int:
    """MB, as `{"value": 297, "unit": "MB"}` or as a bare number."""
    number, unit = (value.get("value"), value.get("unit")) if isinstance(value, dict) else (value, "MB")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 1 << 60:
        raise Unreadable(what, str(value))
    return {"B": number // MIB, "KB": number // 1024, "GB": number * 1024}.get(str(unit), number)


def _bytes(value: Any) -> int:
    """Memory of a process, which some releases do not know."""
    try:
        return _amount(value, "amd-smi process") * MIB
    except Unreadable:
        return 0
