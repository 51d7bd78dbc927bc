"""The table of `npu-smi info`, 24.x to 26.x: split at "|", read by its headers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from roles.accelerators.parse.reading import Refused, Unreadable, first_line, whole

WHAT = "npu-smi info"
TITLE = re.compile(r"npu-smi\s+(\S+)\s+Version:\s+(\S+)")
EMPTY = re.compile(r"No running processes found in NPU\s+(\d+)")
INCOMPLETE = "driver package may not be completely installed"
NO_CARD = "There is no NPU card"
DCMI = re.compile(r"dcmi mod\w+ initialize\w* failed.*ret is (-\d{1,9})\b")
PROCESS_HEADS = ("NPU Chip", "Process id", "Process name", "Process memory(MB)")


@dataclass(frozen=True)
class Chip:
    """One accelerator as an engine counts them: an A2 card, or one of the two chips of an A3 card."""

    number: int
    card: int
    position: int
    name: str
    health: str
    bus: str
    used_mb: int
    total_mb: int


@dataclass(frozen=True)
class Process:
    """One row of the process table; the pid is the host's."""

    card: int
    position: int
    pid: int
    name: str
    mb: int


@dataclass(frozen=True)
class Table:
    """All that `npu-smi info` shows."""

    tool: str
    driver: str
    family: str
    chips: tuple[Chip, ...]
    processes: tuple[Process, ...]
    incomplete: bool

    def at(self, number: int) -> Chip | None:
        return next((c for c in self.chips if c.number == number), None)

    def on(self, chip: Chip) -> list[Process]:
        return [p for p in self.processes if (p.card, p.position) == (chip.card, chip.position)]


def table(text: str) -> Table:
    """The table, or why there is none."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    rows = [_cells(line) for line in lines if line.startswith("|")]
    if not rows:
        raise _refusal(text) or Unreadable(WHAT, first_line(text))
    title = TITLE.fullmatch(rows[0][0])
    if not title or len(rows) < 3:
        raise Unreadable(WHAT, lines[0] if not title else lines[-1])
    heads = [_words(cell) for cell in (rows[1][-1], rows[2][-1])]
    below = _words(rows[2][0])
    if len(rows[1]) != 3 or len(rows[2]) != 3 or below[:1] != ["Chip"] or "HBM-Usage(MB)" not in heads[1]:
        raise Unreadable(f"the header of {WHAT}", " | ".join(rows[2]))
    ends = next((i for i, row in enumerate(rows) if " ".join(_words(row[0])) == PROCESS_HEADS[0] and len(row) > 3), None)
    if ends is None:
        raise Unreadable(f"{WHAT}, which stops before its processes,", lines[-1])
    return Table(
        tool=title[1],
        driver=title[2],
        family="a3" if "Phy-ID" in below else "a2",
        chips=tuple(_chips(rows[3:ends], below, heads)),
        processes=tuple(_processes(rows[ends + 1 :], rows[ends])),
        incomplete=INCOMPLETE in text,
    )


def _refusal(text: str) -> Refused | None:
    if NO_CARD in text:
        return Refused("There is no NPU card on this server")
    found = DCMI.search(text)
    return Refused(f"dcmi does not start: ret is {found[1]}") if found else None


def _cells(line: str) -> list[str]:
    if not line.endswith("|") or len(line) < 2:
        raise Unreadable(WHAT, line)
    return [cell.strip() for cell in line[1:-1].split("|")]


def _words(cell: str) -> list[str]:
    return cell.split()


def _values(cell: str, head: list[str], line: str) -> dict[str, str]:
    """Values of a cell that holds several columns; `0    / 0` is one value."""
    words = re.sub(r"\s*/\s*", "/", cell).split()
    if len(words) != len(head):
        raise Unreadable(WHAT, line)
    return dict(zip(head, words, strict=True))


def _chips(rows: list[list[str]], below: list[str], heads: list[list[str]]) -> Iterable[Chip]:
    for top, bottom in zip(rows[::2], rows[1::2], strict=False):
        yield _chip(top, bottom, below, heads)
    if len(rows) % 2:
        raise Unreadable(WHAT, " | ".join(rows[-1]))


def _chip(top: list[str], bottom: list[str], below: list[str], heads: list[list[str]]) -> Chip:
    first, second = " | ".join(top), " | ".join(bottom)
    if len(top) != 3 or len(bottom) != 3 or not top[1]:
        raise Unreadable(WHAT, first if len(top) != 3 or not top[1] else second)
    _values(top[2], heads[0], first)
    number, _, name = top[0].partition(" ")
    card = whole(number, WHAT, first)
    places = _values(bottom[0], below, second)
    used, _, total = _values(bottom[2], heads[1], second)["HBM-Usage(MB)"].partition("/")
    return Chip(
        number=whole(places["Phy-ID"], WHAT, second) if "Phy-ID" in places else card,
        card=card,
        position=whole(places["Chip"], WHAT, second),
        name=name.strip(),
        health=top[1],
        bus=bottom[1],
        used_mb=whole(used, WHAT, second),
        total_mb=whole(total, WHAT, second),
    )


def _processes(rows: list[list[str]], head: list[str]) -> Iterable[Process]:
    names = [" ".join(_words(cell)) for cell in head]
    if not set(PROCESS_HEADS) <= set(names):
        raise Unreadable(f"the header of {WHAT}'s processes", " | ".join(head))
    for row in rows:
        line = " | ".join(row)
        if len(row) == 1 and EMPTY.fullmatch(row[0]):
            continue
        if len(row) != len(names):
            raise Unreadable(WHAT, line)
        cells = dict(zip(names, row, strict=True))
        place = _values(cells["NPU Chip"], ["NPU", "Chip"], line)
        yield Process(
            card=whole(place["NPU"], WHAT, line),
            position=whole(place["Chip"], WHAT, line),
            pid=whole(cells["Process id"], WHAT, line),
            name=cells["Process name"],
            mb=whole(cells["Process memory(MB)"], WHAT, line),
        )
