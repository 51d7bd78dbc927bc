"""nvidia-smi: queries as CSV with a header, and the state of NVLinks."""

from __future__ import annotations

import re
from dataclasses import dataclass

from roles.accelerators.parse.reading import Refused, Unreadable, first_line, shown, whole

REFUSALS = (
    "couldn't communicate with the NVIDIA driver",
    "Driver/library version mismatch",
    "GPU is lost",
    "Unable to determine the device handle",
    "No devices were found",
    "Failed to initialize NVML",
)
FIELDS = (
    *("index", "uuid", "name", "driver_version", "memory.total", "memory.used", "persistence_mode"),
    *("ecc.mode.current", "ecc.errors.uncorrected.volatile.total"),
)
APPS = ("gpu_uuid", "pid", "process_name", "used_memory")


@dataclass(frozen=True)
class Gpu:
    """One GPU; what it does not know is None."""

    number: int
    uuid: str
    name: str
    driver: str
    total_mb: int
    used_mb: int
    persistent: bool | None
    ecc: bool | None
    uncorrected: int | None


@dataclass(frozen=True)
class App:
    """One process with memory on a GPU; the driver does not always know how much."""

    uuid: str
    pid: int
    name: str
    mb: int


def gpus(text: str) -> tuple[Gpu, ...]:
    rows = _rows(text, FIELDS, "nvidia-smi --query-gpu")
    if not rows:
        raise Refused("nvidia-smi: No devices were found")
    return tuple(_gpu(row) for row in rows)


def apps(text: str) -> tuple[App, ...]:
    what = "nvidia-smi --query-compute-apps"
    rows = _rows(text, APPS, what)
    return tuple(App(r["gpu_uuid"], whole(r["pid"], what, r["pid"]), r["process_name"], _number(r["used_memory"], what) or 0) for r in rows)


def links(text: str) -> dict[int, tuple[int, list[int]]]:
    """By GPU: how many NVLinks it has, and which of them are inactive; GPUs without links are left out."""
    refuse(text)
    found: dict[int, tuple[int, list[int]]] = {}
    gpu = -1
    for line in text.splitlines():
        if head := re.match(r"GPU (\d{1,3}):", line):
            gpu = int(head[1])
        elif (link := re.match(r"\s+Link (\d{1,3}): (.+)", line)) and gpu >= 0:
            count, down = found.get(gpu, (0, []))
            found[gpu] = (count + 1, [*down, int(link[1])] if "inactive" in link[2] else down)
        elif line.strip() and gpu < 0:
            raise Unreadable("nvidia-smi nvlink --status", line)
    return found


def refuse(text: str) -> None:
    """Raise what the tool itself says against an answer."""
    for line in text.splitlines():
        if any(words in line for words in REFUSALS):
            raise Refused(shown(line if line.startswith("NVIDIA-SMI") else f"nvidia-smi: {line}"))


def _rows(text: str, fields: tuple[str, ...], what: str) -> list[dict[str, str]]:
    refuse(text)
    lines = [line for line in text.splitlines() if line.strip()]
    at = next((i for i, line in enumerate(lines) if _names(line) == fields), None)
    if at is None:
        raise Unreadable(what, first_line(text))
    cells = [(line, [c.strip() for c in line.split(",")]) for line in lines[at + 1 :]]
    for line, row in cells:
        if len(row) != len(fields):
            raise Unreadable(what, line)
    return [dict(zip(fields, row, strict=True)) for _, row in cells]


def _names(line: str) -> tuple[str, ...]:
    """Columns of a header; `memory.total [MiB]` is memory.total."""
    return tuple(cell.split("[")[0].strip().replace("used_gpu_memory", "used_memory") for cell in line.split(","))


def _gpu(row: dict[str, str]) -> Gpu:
    what, line = "nvidia-smi --query-gpu", ", ".join(row.values())
    return Gpu(
        number=whole(row["index"], what, line),
        uuid=row["uuid"],
        name=row["name"],
        driver=row["driver_version"],
        total_mb=whole(row["memory.total"], what, line),
        used_mb=whole(row["memory.used"], what, line),
        persistent=_switch(row["persistence_mode"]),
        ecc=_switch(row["ecc.mode.current"]),
        uncorrected=_number(row["ecc.errors.uncorrected.volatile.total"], what),
    )


def _switch(word: str) -> bool | None:
    return {"Enabled": True, "Disabled": False}.get(word)


def _number(word: str, what: str) -> int | None:
    """A number, or nothing for N/A, [N/A] and [Not Supported]."""
    if word.strip("[]").lower() in ("n/a", "not supported", "insufficient permissions"):
        return None
    return whole(word, what, word)
