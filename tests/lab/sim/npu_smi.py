"""npu-smi: the table of `info`, in the layouts of 25.0, 25.5 and 26."""

from __future__ import annotations

import grp
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import npu_info
from .holders import Holder, holders, sizes
from .model import Node, Npu
from .state import Answer, Paths

WARNING = "[WARNING]The driver package may not be completely installed, which may cause function abnormal. Please reinstall it."
LOG_LEVEL = "DrvMngGetConsoleLogLevel failed. (g_conLogLevel=3)"
DCMI = {
    -8005: "dcmi module initialize failed. ret is -8005",
    -8020: "dcmi model initialized failed, because the device is used. ret is -8020",
}
NO_CARD = "There is no NPU card on this server."


@dataclass(frozen=True)
class Layout:
    """Widths of one generation of the table."""

    title: str
    last: int
    heads: tuple[str, str, str]
    top: str
    bottom: str
    process: str

    @property
    def width(self) -> int:
        return 27 + 1 + 15 + 1 + self.last

    def rule(self, char: str, joined: bool = True) -> str:
        return "+" + ("+" if joined else char).join(char * n for n in (27, 15, self.last)) + "+"

    def row(self, text: str) -> str:
        return f"|{text:<{self.width}}|"


PROCESS = "| NPU     Chip              | Process id    | Process name             | Process memory(MB)"
LAYOUTS = {
    "narrow": Layout(
        title=" npu-smi {0:<24} Version: {0:<52} ",
        last=52,
        heads=(
            "Power(W)    Temp(C)           Hugepages-Usage(page)",
            "AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        ",
            f"{PROCESS}      |",
        ),
        top=" {:<11} {:<17} {:<5}/ {:<13} |",
        bottom=" {:<11} {:<5}/ {:<10} {:<5}/ {:<13} |",
        process="| {:<7} {:<18}| {:<13} | {:<24} | {:<23} |",
    ),
    "wide": Layout(
        title=" npu-smi {0:<24} Version: {0:<53} ",
        last=53,
        heads=(
            "Power(W)    Temp(C)           Hugepages-Usage(page) ",
            "AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)         ",
            f"{PROCESS}       |",
        ),
        top=" {:<11} {:<17} {:<6}/ {:<13} |",
        bottom=" {:<11} {:<5}/ {:<10} {:<6}/ {:<13} |",
        process="| {:<7} {:<18}| {:<13} | {:<24} | {:<24} |",
    ),
    "v26": Layout(
        title=" npu-smi {0:<35} Version: {0:<59} ",
        last=70,
        heads=(
            "Power(W)             Temp(C)                 Hugepages-Usage(page)   ",
            "AICore(%)            Memory-Usage(MB)        HBM-Usage(MB)           ",
            "| NPU     Chip              | Process id    | Process name       | Process memory(MB)    | Process id in container |",
        ),
        top=" {:<20} {:<23} {:<5}/ {:<16} |",
        bottom=" {:<20} {:<5}/ {:<16} {:<5}/ {:<16} |",
        process="| {:<7} {:<18}| {:<13} | {:<18} | {:<21} | NA                      |",
    ),
}


def layout(node: Node) -> Layout:
    """By the state, else by the tool's version: 25.5 widened the table, 26 added a column."""
    if node.layout != "auto":
        return LAYOUTS[node.layout]
    numbers = [int(n) for n in re.findall(r"\d+", node.tool or node.driver)[:2]] + [0, 0]
    return LAYOUTS["v26" if numbers[0] >= 26 else "wide" if numbers[:2] >= [25, 5] else "narrow"]


def shown_name(comm: str) -> str:
    return re.sub(r"[:\t]", "", comm[:15])


def used(device: Npu, held: list[Holder]) -> int:
    if device.hbm_used is not None:
        return device.hbm_used
    return device.hbm_idle + device.hbm_lost + sum(sizes(held, device.process_mb))


def table(node: Node, held: dict[int, list[Holder]]) -> Iterator[str]:
    """The lines of `npu-smi info`."""
    form = layout(node)
    chip_head = " Chip                      | Bus-Id        | " if node.chips == 1 else " Chip  Phy-ID              | Bus-Id        | "
    yield form.rule("-", joined=False)
    yield form.row(form.title.format(node.tool or node.driver))
    yield form.rule("-")
    yield f"| NPU   Name                | Health        | {form.heads[0]}|"
    yield f"|{chip_head}{form.heads[1]}|"
    yield form.rule("=")
    for card in node.cards():
        chips = [i for i in range(card * node.chips, (card + 1) * node.chips) if node.npus[i].present]
        for position, index in enumerate(chips):
            if position:
                yield form.rule("-", joined=False)
            yield from device_rows(node, form, index, held.get(index, []))
        yield form.rule("=")
    yield form.rule("-")
    yield form.heads[2]
    yield form.rule("=")
    for card in node.cards():
        yield from process_rows(node, form, card, held)
        yield form.rule("=")


def device_rows(node: Node, form: Layout, index: int, held: list[Holder]) -> Iterator[str]:
    device, (card, chip) = node.npus[index], divmod(index, node.chips)
    power = "-" if chip else f"{device.power:.1f}"
    top = form.top.format(power, device.temp, device.hugepages_used, device.hugepages_total)
    yield f"| {card:<5} {device.name:<20}| {device.health:<13} |{top}"
    place = f"{chip:<26}" if node.chips == 1 else f"{chip:<5} {index:<20}"
    bottom = form.bottom.format(device.util, 0, 0, used(device, held), device.hbm_total)
    yield f"| {place}| {device.bus:<13} |{bottom}"


def process_rows(node: Node, form: Layout, card: int, held: dict[int, list[Holder]]) -> Iterator[str]:
    empty = True
    for chip in range(node.chips):
        index = card * node.chips + chip
        found = held.get(index, []) if node.npus[index].present else []
        for holder, mb in zip(found, sizes(found, node.npus[index].process_mb), strict=True):
            empty = False
            yield form.process.format(card, chip, holder.pid, shown_name(holder.comm) if node.names else "", mb)
    if empty:
        yield form.row(f" No running processes found in NPU {card:<7}")


def installed(paths: Paths) -> bool:
    """Whether the file the tool reads says that the driver is whole; a directory in its place does not."""
    try:
        return "Driver_Install_Status=complete" in (paths.root / "etc/ascend_install.info").read_text(encoding="utf-8")
    except OSError:
        return False


def allowed(uid: int) -> bool:
    """Root, or a member of the driver's group."""
    if uid == 0:
        return True
    try:
        return grp.getgrnam("HwHiAiUser").gr_gid in os.getgroups()
    except KeyError:
        return False


def refusal(node: Node, paths: Paths) -> str:
    """Why the driver cannot be asked at all, or nothing."""
    if node.npu_smi.dcmi is not None:
        text = DCMI.get(node.npu_smi.dcmi, f"dcmi module initialize failed. ret is {node.npu_smi.dcmi}")
        return f"{LOG_LEVEL}\n{text}"
    managers = [paths.dev / n for n in ("davinci_manager", "devmm_svm", "hisi_hdc")]
    if not allowed(paths.uid) or not all(Path.exists(m) for m in managers):
        return f"{LOG_LEVEL}\n{DCMI[-8005]}"
    return "" if node.cards() else NO_CARD


def answer(node: Node, argv: list[str], paths: Paths) -> Answer:
    if argv in (["-v"], ["--version"]):
        return Answer(f"npu-smi version: {node.tool or node.driver}\n")
    if not argv or argv[0] != "info":
        return npu_info.usage(argv)
    if no := refusal(node, paths):
        return Answer(f"{no}\n", "", 1)
    if argv == ["info"]:
        lines = list(table(node, holders(paths.proc, paths.dev, "davinci")))
        return Answer("\n".join(lines if installed(paths) else [*lines, WARNING]) + "\n")
    held = holders(paths.proc, paths.dev, "davinci") if "usages" in argv else {}
    return npu_info.answer(node, argv[1:], {i: used(d, held.get(i, [])) for i, d in node.npus.items()})
