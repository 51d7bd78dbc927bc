"""nvidia-smi: the table, -L, --query-gpu, --query-compute-apps, nvlink --status and -q."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .holders import Holder, holders, sizes
from .model import Gpu, Node
from .state import Answer, Paths

COULD_NOT = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. "
    "Make sure that the latest NVIDIA driver is installed and running.\n"
)
RULE = "+-----------------------------------------+------------------------+----------------------+"
WIDE = f"+{'-' * 89}+"
HEAD = (
    "|-----------------------------------------+------------------------+----------------------+",
    "| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |",
    "| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |",
    "|                                         |                        |               MIG M. |",
    "|=========================================+========================+======================|",
)
PROCESSES = (
    WIDE,
    f"|{' Processes:':<89}|",
    "|  GPU   GI   CI        PID   Type   Process name                              GPU Memory |",
    "|        ID   ID                                                               Usage      |",
    f"|{'=' * 89}|",
)


class Seen(NamedTuple):
    """One GPU with the processes that hold it."""

    number: int
    gpu: Gpu
    held: list[Holder]

    def mb(self) -> list[int]:
        return sizes(self.held, self.gpu.process_mb)

    def used(self) -> int:
        g = self.gpu
        return g.hbm_used if g.hbm_used is not None else g.hbm_idle + g.hbm_lost + sum(self.mb())

    def ecc(self, count: int) -> str:
        return str(count) if self.gpu.ecc else "N/A"


def switch(on: bool) -> str:
    return "Enabled" if on else "Disabled"


# Field of --query-gpu: its unit and its value.
FIELDS: dict[str, tuple[str, Callable[[Seen, Node], object]]] = {
    "index": ("", lambda s, n: s.number),
    "count": ("", lambda s, n: len(n.cards())),
    "name": ("", lambda s, n: s.gpu.name),
    "gpu_name": ("", lambda s, n: s.gpu.name),
    "uuid": ("", lambda s, n: s.gpu.uuid),
    "gpu_uuid": ("", lambda s, n: s.gpu.uuid),
    "pci.bus_id": ("", lambda s, n: s.gpu.bus),
    "gpu_bus_id": ("", lambda s, n: s.gpu.bus),
    "driver_version": ("", lambda s, n: n.driver),
    "memory.total": ("MiB", lambda s, n: s.gpu.hbm_total),
    "memory.used": ("MiB", lambda s, n: s.used()),
    "memory.free": ("MiB", lambda s, n: max(0, s.gpu.hbm_total - s.used())),
    "temperature.gpu": ("", lambda s, n: s.gpu.temp),
    "utilization.gpu": ("%", lambda s, n: s.gpu.util),
    "power.draw": ("W", lambda s, n: f"{s.gpu.power:.2f}"),
    "power.limit": ("W", lambda s, n: f"{s.gpu.power_cap:.2f}"),
    "persistence_mode": ("", lambda s, n: switch(s.gpu.persistence)),
    "mig.mode.current": ("", lambda s, n: switch(s.gpu.mig)),
    "ecc.mode.current": ("", lambda s, n: switch(s.gpu.ecc)),
    "ecc.errors.corrected.volatile.total": ("", lambda s, n: s.ecc(s.gpu.ecc_corrected)),
    "ecc.errors.uncorrected.volatile.total": ("", lambda s, n: s.ecc(s.gpu.ecc_uncorrected)),
    "ecc.errors.corrected.aggregate.total": ("", lambda s, n: s.ecc(s.gpu.ecc_corrected_total)),
    "ecc.errors.uncorrected.aggregate.total": ("", lambda s, n: s.ecc(s.gpu.ecc_uncorrected_total)),
}
# Field of --query-compute-apps likewise.
APPS: dict[str, tuple[str, Callable[[Seen, Holder, int], object]]] = {
    "pid": ("", lambda s, h, mb: h.pid),
    "process_name": ("", lambda s, h, mb: h.cmdline.split(" ")[0] or h.comm),
    "name": ("", lambda s, h, mb: h.cmdline.split(" ")[0] or h.comm),
    "used_memory": ("MiB", lambda s, h, mb: mb),
    "used_gpu_memory": ("MiB", lambda s, h, mb: mb),
    "gpu_uuid": ("", lambda s, h, mb: s.gpu.uuid),
    "gpu_bus_id": ("", lambda s, h, mb: s.gpu.bus),
    "gpu_name": ("", lambda s, h, mb: s.gpu.name),
}


def answer(node: Node, argv: list[str], paths: Paths) -> Answer:
    if (refused := refusal(node, paths)) is not None:
        return refused
    held = holders(paths.proc, paths.dev, "nvidia")
    seen = [Seen(i, g, held.get(i, [])) for i, g in node.gpus.items() if g.present]
    options = {w.partition("=")[0]: w.partition("=")[2] for w in argv if w.startswith("--")}
    for at, word in enumerate(argv[:-1]):
        if word in ("-i", "--id") and argv[at + 1].isdigit():
            seen = [s for s in seen if s.number == int(argv[at + 1])]
    if not seen:
        return Answer("No devices were found\n", "", 6)
    if argv == []:
        return Answer("".join(f"{t}\n" for t in table(node, seen)))
    if argv[0] in ("-L", "--list-gpus"):
        return Answer("".join(f"GPU {s.number}: {s.gpu.name} (UUID: {s.gpu.uuid})\n" for s in seen))
    if "--query-gpu" in options:
        rows = [[f(s, node) for _, f in (FIELDS[w] for w in words(options["--query-gpu"], FIELDS))] for s in seen]
        return csv(options["--query-gpu"], FIELDS, rows, options.get("--format", ""))
    if "--query-compute-apps" in options:
        chosen = [APPS[w][1] for w in words(options["--query-compute-apps"], APPS)]
        rows = [[f(s, h, mb) for f in chosen] for s in seen for h, mb in zip(s.held, s.mb(), strict=True)]
        return csv(options["--query-compute-apps"], APPS, rows, options.get("--format", ""))
    if argv[0] == "nvlink" and argv[1:2] in (["--status"], ["-s"]):
        return Answer("".join(f"{t}\n" for s in seen for t in nvlink(s)))
    if argv[0] in ("-q", "--query"):
        return Answer("".join(f"{t}\n" for t in query(node, seen)))
    return Answer(f'Invalid combination of input arguments. The simulator does not know: "{" ".join(argv)}"\n', "", 2)


def refusal(node: Node, paths: Paths) -> Answer | None:
    fault = node.nvidia_smi.fault
    if fault == "mismatch":
        library = ".".join(node.driver.split(".")[:2])
        return Answer(f"Failed to initialize NVML: Driver/library version mismatch\nNVML library version: {library}\n", "", 18)
    if fault == "lost":
        bus = next((g.bus for g in node.gpus.values()), "")
        return Answer(
            f"Unable to determine the device handle for GPU0000:{bus[9:]}: GPU is lost.  Reboot the system to recover this GPU\n", "", 15
        )
    if fault == "driver" or node.family != "nvidia" or not (paths.dev / "nvidiactl").exists():
        return Answer(COULD_NOT, "", 9)
    return None


def words(text: str, known: dict[str, tuple[str, Callable[..., object]]]) -> list[str]:
    return [w for w in text.split(",") if w in known]


def csv(asked: str, known: dict[str, tuple[str, Callable[..., object]]], rows: list[list[object]], form: str) -> Answer:
    """The rows as --format asks: csv, with or without head and units."""
    parts = form.split(",")
    if bad := [w for w in asked.split(",") if w not in known]:
        return Answer(f'Field "{bad[0]}" is not a valid field to query.\n', "", 2)
    if "csv" not in parts:
        return Answer('"--format=" switch is missing. Please run "nvidia-smi --help" for help.\n', "", 2)
    names = asked.split(",")
    units = ["" if "nounits" in parts else known[n][0] for n in names]
    head = [] if "noheader" in parts else [", ".join(f"{n} [{known[n][0]}]" if known[n][0] else n for n in names)]
    body = [", ".join(f"{v} {u}".strip() for v, u in zip(row, units, strict=True)) for row in rows]
    return Answer("".join(f"{line}\n" for line in [*head, *body]))


def table(node: Node, seen: list[Seen]) -> Iterator[str]:
    yield f"{datetime.datetime.now():%a %b %e %H:%M:%S %Y}       "
    yield WIDE
    yield f"| NVIDIA-SMI {node.driver:<22} Driver Version: {node.driver:<14} CUDA Version: {node.cuda:<9}|"
    yield from HEAD
    for s in seen:
        g = s.gpu
        watts = f"{g.power:.0f}W / {g.power_cap:>4}W"
        memory = f"{s.used()}MiB / {g.hbm_total:>6}MiB"
        kept = "On" if g.persistence else "Off"
        yield f"| {s.number:>3}  {g.name[:25]:<25}{kept:>9} |   {g.bus} Off | {s.ecc(g.ecc_uncorrected):>20} |"
        yield f"| N/A{g.temp:>5}C    P0{watts:>24} | {memory:>22} |{g.util:>7}%      Default |"
        yield f"|{'':41}|{'':24}| {switch(g.mig):>20} |"
        yield RULE
    yield " " * 91
    yield from PROCESSES
    rows = [(s, h, mb) for s in seen for h, mb in zip(s.held, s.mb(), strict=True)]
    for s, h, mb in rows:
        name = (h.cmdline.split(" ")[0] or h.comm)[-37:]
        yield f"|{s.number:>5}   N/A  N/A{h.pid:>10}      C   {name:<38}{mb:>11}MiB |"
    if not rows:
        yield f"|{'  No running processes found':<89}|"
    yield WIDE


def nvlink(s: Seen) -> Iterator[str]:
    yield f"GPU {s.number}: {s.gpu.name} (UUID: {s.gpu.uuid})"
    for number in range(s.gpu.nvlinks):
        yield f"\t Link {number}: {'<inactive>' if number in s.gpu.nvlink_down else f'{s.gpu.nvlink_speed} GB/s'}"


def query(node: Node, seen: list[Seen]) -> Iterator[str]:
    """The part of -q that is read: product, persistence, memory and ECC."""
    yield ""
    yield "==============NVSMI LOG=============="
    yield ""
    yield f"{'Timestamp':<42}: {datetime.datetime.now():%a %b %e %H:%M:%S %Y}"
    yield f"{'Driver Version':<42}: {node.driver}"
    yield f"{'CUDA Version':<42}: {node.cuda}"
    yield ""
    yield f"{'Attached GPUs':<42}: {len(seen)}"
    for s in seen:
        g = s.gpu
        yield f"GPU {g.bus}"
        yield from rows(4, {"Product Name": g.name, "Persistence Mode": switch(g.persistence), "GPU UUID": g.uuid})
        yield "    FB Memory Usage"
        yield from rows(8, {"Total": f"{g.hbm_total} MiB", "Used": f"{s.used()} MiB"})
        yield "    ECC Mode"
        yield from rows(8, {"Current": switch(g.ecc), "Pending": switch(g.ecc)})
        yield "    ECC Errors"
        for title, corrected, bad in (
            ("Volatile", g.ecc_corrected, g.ecc_uncorrected),
            ("Aggregate", g.ecc_corrected_total, g.ecc_uncorrected_total),
        ):
            yield f"        {title}"
            counts = {"SRAM Correctable": 0, "SRAM Uncorrectable Parity": 0, "SRAM Uncorrectable SEC-DED": 0}
            counts |= {"DRAM Correctable": corrected, "DRAM Uncorrectable": bad}
            yield from rows(12, {k: s.ecc(v) for k, v in counts.items()})
    yield ""


def rows(indent: int, values: dict[str, str]) -> Iterator[str]:
    for name, value in values.items():
        yield f"{' ' * indent}{name:<{42 - indent}}: {value}"
