"""rocm-smi and amd-smi, the parts that are read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from .holders import Holder, holders, sizes
from .model import Gpu, Node
from .state import Answer, Paths

MIB = 1 << 20
WIDTH = 102
VENDOR = "Advanced Micro Devices, Inc. [AMD/ATI]"
NO_DRIVER = "ERROR:root:Driver not initialized (amdgpu not found in modules)\n"
NO_PROCESS = "No running processes detected"


def held_by(node: Node, paths: Paths) -> dict[int, list[Holder]]:
    return holders(paths.proc, paths.dev / "dri", "renderD", 128) if node.family == "rocm" else {}


def used(gpu: Gpu, held: list[Holder]) -> int:
    """VRAM in use, in MB."""
    return gpu.hbm_used if gpu.hbm_used is not None else gpu.hbm_idle + gpu.hbm_lost + sum(sizes(held, gpu.process_mb))


def present(node: Node) -> dict[int, Gpu]:
    return {i: g for i, g in node.gpus.items() if g.present}


def ready(node: Node, paths: Paths) -> bool:
    return node.family == "rocm" and (paths.dev / "kfd").exists()


def rocm_smi(node: Node, argv: list[str], paths: Paths) -> Answer:
    if not ready(node, paths):
        return Answer("", NO_DRIVER, 2)
    held = held_by(node, paths)
    flags = set(argv)
    known = {
        "--json",
        "--showproductname",
        "--showmeminfo",
        "vram",
        "--showdriverversion",
        "--showuse",
        "--showtemp",
        "--showpids",
        "--showuniqueid",
    }
    if unknown := sorted(flags - known):
        return Answer("", f"rocm-smi: error: unrecognized arguments: {' '.join(unknown)}\n", 2)
    cards = {i: card(g, held.get(i, []), flags) for i, g in present(node).items()}
    system: dict[str, str] = {"Driver version": node.driver} if "--showdriverversion" in flags else {}
    if "--showpids" in flags:
        pids: dict[int, list[Holder]] = {}
        for each in (h for hs in held.values() for h in hs):
            pids.setdefault(each.pid, []).append(each)
        system |= {f"PID{p}": f"{hs[0].comm}, {len(hs)}, {sum(h.rss_mb for h in hs) * MIB}, 0, 0" for p, hs in sorted(pids.items())}
    if "--json" in flags:
        data: dict[str, Any] = {f"card{i}": c for i, c in cards.items() if c} | ({"system": system} if system else {})
        return Answer(f"{json.dumps(data)}\n") if data else Answer("", "WARNING: No JSON data to report\n")
    return Answer("\n" + "".join(f"{line}\n" for line in (report(cards, system) if flags else concise(node, held))) + "\n")


def card(gpu: Gpu, held: list[Holder], flags: set[str]) -> dict[str, str]:
    """What the flags ask of one card."""
    out: dict[str, str] = {}
    if "--showuniqueid" in flags:
        out["Unique ID"] = f"0x{gpu.uuid.replace('-', '')[:16]}"
    if "--showtemp" in flags:
        out["Temperature (Sensor junction) (C)"] = f"{gpu.temp:.1f}"
    if "--showuse" in flags:
        out["GPU use (%)"] = str(gpu.util)
    if "--showmeminfo" in flags:
        out["VRAM Total Memory (B)"] = str(gpu.hbm_total * MIB)
        out["VRAM Total Used Memory (B)"] = str(used(gpu, held) * MIB)
    if "--showproductname" in flags:
        out |= {"Card Series": gpu.name, "Card Model": "0x74a1", "Card Vendor": VENDOR, "Card SKU": "M3000100", "GFX Version": "gfx942"}
    return out


def title(text: str) -> str:
    return f" {text} ".center(WIDTH, "=")


def report(cards: dict[int, dict[str, str]], system: dict[str, str]) -> Iterator[str]:
    yield title("ROCm System Management Interface")
    for name, value in system.items():
        yield f"{name}: {value}"
    for index, values in cards.items():
        for name, value in values.items():
            yield f"GPU[{index}]\t\t: {name}: {value}"
    yield "=" * WIDTH
    yield title("End of ROCm SMI Log")


def concise(node: Node, held: dict[int, list[Holder]]) -> Iterator[str]:
    yield title("ROCm System Management Interface")
    yield title("Concise Info")
    yield "Device  Temp        Power     Partitions          VRAM%  GPU%"
    yield "        (Junction)  (Socket)  (Mem, Compute, ID)"
    yield "=" * WIDTH
    for index, g in present(node).items():
        share = used(g, held.get(index, [])) * 100 // g.hbm_total
        temp, power = f"{g.temp:.1f}°C", f"{g.power:.1f}W"
        yield f"{index:<8}{temp:<12}{power:<10}{'NPS1, SPX, 0':<20}{f'{share}%':<7}{g.util}%"
    yield "=" * WIDTH
    yield title("End of ROCm SMI Log")


def amd_smi(node: Node, argv: list[str], paths: Paths) -> Answer:
    if argv[:1] == ["version"]:
        return Answer(
            f"AMDSMI Tool: 25.5.1+41065ee6 | AMDSMI Library version: 25.5.1 | ROCm version: {node.rocm} | amdgpu version: {node.driver}\n"
        )
    if not ready(node, paths):
        return Answer("", NO_DRIVER, 255)
    held = held_by(node, paths)
    makers = {"list": listing, "static": static, "metric": metric, "process": process}
    kind = argv[0] if argv else ""
    if kind not in makers:
        return Answer("", f"amd-smi: error: invalid choice: '{kind}' (choose from {', '.join(makers)}, version)\n", 2)
    gpus = present(node)
    if "-g" in argv[:-1] or "--gpu" in argv[:-1]:
        wanted = argv[(argv.index("-g") if "-g" in argv else argv.index("--gpu")) + 1]
        gpus = gpus if wanted == "all" else {i: g for i, g in gpus.items() if str(i) == wanted}
    data = [{"gpu": i, **makers[kind](node, i, g, held.get(i, []))} for i, g in gpus.items()]
    if "--json" not in argv:
        return Answer("".join(f"{line}\n" for entry in data for line in tree(entry, 0)))
    # From 6.4 on these two verbs wrap the list.
    wrapped = kind in ("static", "metric") and [int(n) for n in re.findall(r"\d+", node.rocm)[:2]] >= [6, 4]
    return Answer(f"{json.dumps({'gpu_data': data} if wrapped else data, indent=4)}\n")


def amount(value: object, unit: str) -> dict[str, object]:
    return {"value": value, "unit": unit}


def listing(node: Node, index: int, gpu: Gpu, held: list[Holder]) -> dict[str, Any]:
    return {"bdf": gpu.bus, "uuid": gpu.uuid, "kfd_id": 1000 + index, "node_id": 2 + index, "partition_id": 0}


def static(node: Node, index: int, gpu: Gpu, held: list[Holder]) -> dict[str, Any]:
    return {
        "asic": {"market_name": gpu.name, "vendor_id": "0x1002", "device_id": "0x74a1", "target_graphics_version": "gfx942"},
        "bus": {"bdf": gpu.bus},
        "driver": {"name": "amdgpu", "version": node.driver},
        "vram": {"type": "HBM", "vendor": "N/A", "size": amount(gpu.hbm_total, "MB")},
        "partition": {"accelerator_partition": "SPX", "memory_partition": "NPS1", "partition_id": 0},
    }


def metric(node: Node, index: int, gpu: Gpu, held: list[Holder]) -> dict[str, Any]:
    busy = used(gpu, held)
    return {
        "usage": {"gfx_activity": amount(gpu.util, "%"), "umc_activity": amount(0, "%")},
        "power": {"socket_power": amount(round(gpu.power), "W")},
        "temperature": {"edge": "N/A", "hotspot": amount(gpu.temp, "C")},
        "ecc": {"total_correctable_count": gpu.ecc_corrected, "total_uncorrectable_count": gpu.ecc_uncorrected, "total_deferred_count": 0},
        "mem_usage": {
            "total_vram": amount(gpu.hbm_total, "MB"),
            "used_vram": amount(busy, "MB"),
            "free_vram": amount(max(0, gpu.hbm_total - busy), "MB"),
        },
    }


def process(node: Node, index: int, gpu: Gpu, held: list[Holder]) -> dict[str, Any]:
    """The idle card has one entry, and it is a sentence."""
    entries: list[dict[str, Any]] = []
    for h, mb in zip(held, sizes(held, gpu.process_mb), strict=True):
        memory = {"gtt_mem": amount(0, "B"), "cpu_mem": amount(0, "B"), "vram_mem": amount(mb * MIB, "B")}
        entries.append({"process_info": {"name": h.comm, "pid": h.pid, "memory_usage": memory, "mem_usage": amount(mb * MIB, "B")}})
    return {"process_list": entries or [{"process_info": NO_PROCESS}]}


def tree(value: Any, depth: int) -> Iterator[str]:
    """The text form: upper-case keys, four blanks a level."""
    pad = "    " * depth
    if isinstance(value, list):
        for each in value:
            yield from tree(each, depth)
        return
    for key, inner in value.items():
        if isinstance(inner, dict) and set(inner) == {"value", "unit"}:
            yield f"{pad}{key.upper()}: {inner['value']} {inner['unit']}"
        elif isinstance(inner, (dict, list)):
            yield f"{pad}{key.upper()}:"
            yield from tree(inner, depth + 1)
        else:
            first = key == "gpu" and depth == 0
            yield f"{pad}{key.upper()}: {inner}"
            depth, pad = (1, "    ") if first else (depth, pad)
