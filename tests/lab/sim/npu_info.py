"""npu-smi info -l, -m and -t."""

from __future__ import annotations

from collections.abc import Iterator

from .model import Node
from .state import Answer

COLUMN = 30
TYPES = ("health", "memory", "spod-info", "topo", "usages")
USAGE = "Usage: npu-smi info [-l | -m | -t type [-i card] [-c chip]] | npu-smi -v\ntypes: " + ", ".join(TYPES)


def usage(argv: list[str]) -> Answer:
    return Answer(f'{USAGE}\nThe simulator does not know: "{" ".join(argv)}"\n', "", 1)


def line(name: str, value: object) -> str:
    return f"\t{name:<{COLUMN}} : {value}"


def answer(node: Node, argv: list[str], used: dict[int, int]) -> Answer:
    """`used` is the HBM in use by device."""
    if argv == ["-l"]:
        return text(listing(node))
    if argv == ["-m"]:
        return text(mapping(node))
    options = dict(zip(argv[::2], argv[1::2], strict=False))
    kind = options.get("-t", "")
    if len(argv) % 2 or not set(options) <= {"-t", "-i", "-c"} or kind not in TYPES:
        return usage(["info", *argv])
    if kind == "topo":
        return text(topology(node))
    try:
        card, chip = int(options.get("-i", "0")), int(options["-c"]) if "-c" in options else None
    except ValueError:
        return usage(["info", *argv])
    chips = [c for c in range(node.chips) if chip in (None, c) and present(node, card, c)]
    if card not in node.cards() or not chips:
        return Answer("The card or chip does not exist.\n", "", 1)
    return text(details(node, kind, card, chips, chip is None, used))


def text(lines: Iterator[str]) -> Answer:
    return Answer("".join(f"{each}\n" for each in lines))


def present(node: Node, card: int, chip: int) -> bool:
    device = node.npus.get(card * node.chips + chip)
    return device is not None and device.present


def listing(node: Node) -> Iterator[str]:
    yield line("Total Count", len(node.cards()))
    for card in node.cards():
        yield ""
        yield line("NPU ID", card)
        yield line("Chip Count", sum(present(node, card, c) for c in range(node.chips)))


def mapping(node: Node) -> Iterator[str]:
    heads = ["NPU ID", "Chip ID", "Chip Logic ID", *(["Chip Phy-ID"] if node.chips > 1 else []), "Chip Name"]
    yield "\t" + " ".join(f"{h:<{COLUMN}}" for h in heads)
    logic = 0
    for card in node.cards():
        for chip in range(node.chips):
            if not present(node, card, chip):
                continue
            index = card * node.chips + chip
            name = node.npus[index].name
            phy = [index] if node.chips > 1 else []
            yield cells(card, chip, logic, *phy, name if name.startswith("Ascend") else f"Ascend {name}")
            logic += 1
        yield cells(card, node.chips, *["-"] * (node.chips if node.chips > 1 else 1), "Mcu")


def cells(*values: object) -> str:
    return "\t" + " ".join(f"{v!s:<{COLUMN}}" for v in values)


def details(node: Node, kind: str, card: int, chips: list[int], whole: bool, used: dict[int, int]) -> Iterator[str]:
    """One block per chip. The card's own lines and the chip's number stand only where the whole card is asked for."""
    if whole and kind != "health":
        yield line("NPU ID", card)
        yield line("Chip Count", len(chips))
        yield ""
    for chip in chips:
        yield from block(node, kind, card * node.chips + chip, used)
        if whole and (kind != "health" or node.chips > 1):
            yield line("Chip ID", chip)


def block(node: Node, kind: str, index: int, used: dict[int, int]) -> Iterator[str]:
    device = node.npus[index]
    if kind == "health":
        yield line("Health Status", device.health)
        yield line("Error Code", " ".join(device.errors) or "NA")
        yield line("Error Information", device.error_text)
    elif kind == "memory":
        yield line("DDR Capacity(MB)", 0)
        yield line("DDR Clock Speed(MHz)", 0)
        yield line("HBM Capacity(MB)", device.hbm_total)
        yield line("HBM Clock Speed(MHz)", 1600)
        yield line("HBM Temperature(C)", device.temp)
        yield line("HBM Manufacturer ID", "0x56")
    elif kind == "usages":
        yield line("HBM Capacity(MB)", device.hbm_total)
        yield line("HBM Usage Rate(%)", used[index] * 100 // device.hbm_total)
        yield line("Aicore Usage Rate(%)", device.util)
        yield line("Aicpu Usage Rate(%)", 0)
        yield line("Ctrlcpu Usage Rate(%)", 0)
        yield line("HBM Bandwidth Usage Rate(%)", 0)
    elif node.family == "a3":
        yield from spod(node, index)
    else:
        yield "This device does not support querying spod-info."


def spod(node: Node, index: int) -> Iterator[str]:
    server = node.node if node.spod.server_index is None else node.spod.server_index
    card, chip = divmod(index, node.chips)
    # The id packs server, card, chip and device, as the rank tables of real super pods show.
    yield line("SDID", server << 22 | card << 18 | chip << 16 | index)
    yield line("Super Pod Size", node.spod.size)
    yield line("Super Pod ID", node.spod.id)
    yield line("Server Index", server)


def topology(node: Node) -> Iterator[str]:
    """A2: all cards are joined by HCCS. A3: the two chips of a card by SIO, the rest by the switch."""
    present_ones = [i for i, d in node.npus.items() if d.present]
    label = "NPU" if node.chips == 1 else "Phy-ID"
    yield "\t   " + "".join(f"{label}{i:<{11 - len(label)}}" for i in present_ones) + "CPU Affinity"
    for row in present_ones:
        links = ("X" if i == row else link(node, row, i) for i in present_ones)
        first = (3, 2, 0, 1)[row // node.chips // 2 % 4] * 48
        yield f"{label}{row:<{11 - len(label)}}" + "".join(f"{w:<11}" for w in links) + f"{first}-{first + 23}"
    yield ""
    yield "Legend:"
    yield ""
    yield "  X    = Self"
    yield "  HCCS = Connection traversing HCCS."
    if node.chips > 1:
        yield "  SIO  = Connection between the two chips of one card."


def link(node: Node, one: int, other: int) -> str:
    if node.chips > 1:
        return "SIO" if one // node.chips == other // node.chips else "HCCS_SW"
    return "HCCS"
