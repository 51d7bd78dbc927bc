"""What was seen of a node's NPUs, as checks read it. What cannot be read is left out here; `ascend.answers` names it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TypeVar

from roles.accelerators.others import unit
from roles.accelerators.parse.hccn import EVERY, Query
from roles.accelerators.parse.npu_table import Chip, Table, table
from roles.accelerators.parse.reading import Unsupported
from roles.run.checks import Case
from roles.run.holders import Holder, holders
from roles.run.seen import TIMED_OUT, Section, Seen

T = TypeVar("T")
_table = lru_cache(maxsize=256)(table)


class _Same:
    """A node's look as a key: two looks are the same only when they are one; comparing their texts would take longer than reading."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    def __hash__(self) -> int:
        return id(self.seen)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.seen is other.seen


def npu_table(seen: Seen) -> Table | None:
    try:
        return _table(seen["npu-smi.info"].text)
    except ValueError:
        return None


def chips(case: Case) -> list[Chip]:
    """The plan's accelerators as npu-smi shows them; none when it cannot be read."""
    shown = npu_table(case.seen)
    return [c for c in shown.chips if c.number in case.known.numbers] if shown else []


def ports(numbers: Iterable[int], seen: Seen) -> list[int]:
    """Of these cards, those a node has."""
    shown = npu_table(seen)
    return [n for n in numbers if not shown or shown.at(n)]


def ask(seen: Seen, query: Query[T], numbers: Iterable[int]) -> dict[int, T]:
    """What each card answered. Not to be changed: every check of every node gets the same."""
    return _asked(_Same(seen), query, tuple(numbers))


@lru_cache(maxsize=1 << 13)
def _asked(at: _Same, query: Query[T], numbers: tuple[int, ...]) -> dict[int, T]:
    found: dict[int, T] = {}
    for card in ports(numbers, at.seen):
        section = at.seen[f"hccn.{query.name}.{card}"]
        if section.name and section.code not in TIMED_OUT:
            try:
                found[card] = query.read(section.text)
            except ValueError:
                continue
    return found


def troubles(case: Case) -> Iterator[tuple[str, Query[object] | None, int]]:
    """Why hccn_tool's answers cannot be used: words, question, card."""
    for card in ports(case.known.numbers, case.seen):
        for query in EVERY:
            section = case.seen[f"hccn.{query.name}.{card}"]
            if section.name and (why := why_not(section, query)):
                yield why, query, card


def why_not(section: Section, query: Query[T]) -> str:
    if section.code in TIMED_OUT:
        return "hccn_tool: no answer in time"
    try:
        query.read(section.text)
    except Unsupported:
        return ""
    except ValueError as e:
        return str(e)
    return ""


def cards_of(holder: Holder, case: Case) -> list[int]:
    """Which of the plan's cards a process has open; the manager devices are nobody's card."""
    pattern = case.known.hardware.numbered or ""
    return [n for n in case.known.numbers if pattern and pattern.replace("${n}", str(n)) in holder.devices]


def held(case: Case) -> dict[Holder, list[int]]:
    """Processes that have cards of the plan open."""
    found = ((h, cards_of(h, case)) for h in holders(case.seen))
    return {h: numbers for h, numbers in found if numbers}


def serving(case: Case) -> bool:
    """Whether our own engine has the cards, and nobody else."""
    everyone = list(held(case))
    return bool(everyone) and all(h.ours(unit(case)) for h in everyone)
