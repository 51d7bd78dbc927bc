"""Processes that have the plan's accelerators and are not ours: named with all that is known, and left alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from roles.accelerators.words import cards
from roles.plan import container
from roles.run.checks import Case, Say, fail
from roles.run.holders import Holder, holders

OWNER = "ask whoever runs it, or take other cards (devices in the inventory); pyinfra INVENTORY deploy/clean.py --dry says more of it"
"""What is not ours is never offered for ending."""
COMMAND = 80
PIDS = 6


def unit(case: Case) -> str:
    """Our unit and container on this node."""
    return container.unit(case.plan.cluster, case.replica.name)


def strangers(case: Case, held: Mapping[Holder, list[int]], listed: Iterable[tuple[int, str, int]], word: str) -> list[Say]:
    """One finding per container, and one per user for processes of the host. `listed`: pid, name, card of the vendor's table."""
    mine = unit(case)
    known = {h.pid: h for h in holders(case.seen)}
    groups: dict[str, dict[int, tuple[Holder | None, str, set[int]]]] = {}

    def add(holder: Holder | None, pid: int, name: str, numbers: Iterable[int]) -> None:
        if holder is None or not holder.ours(mine):
            key = "?" if holder is None else holder.name or holder.container or f"user {holder.user}"
            entry = groups.setdefault(key, {}).setdefault(pid, (holder, name, set()))
            entry[2].update(numbers)

    for holder, numbers in held.items():
        add(holder, holder.pid, "", numbers)
    for pid, name, card in listed:
        add(known.get(pid), pid, name, [card])
    return [_one(group, word) for group in groups.values()]


def _one(group: Mapping[int, tuple[Holder | None, str, set[int]]], word: str) -> Say:
    """All processes of one owner."""
    numbers = {n for _, _, some in group.values() for n in some}
    holder, name, _ = group[min(group)]
    pids = sorted(group)
    more = f" and {len(pids) - PIDS} more" if len(pids) > PIDS else ""
    who = f"pid{'s' * (len(pids) > 1)} {', '.join(map(str, pids[:PIDS]))}{more}"
    if holder is None:
        return fail(
            f"{cards(numbers, word)} held by {who}{f' ({name})' if name else ''}, not seen on this host",
            "no other process",
            OWNER,
        )
    command = holder.command if len(holder.command) <= COMMAND else f"{holder.command[:COMMAND]}..."
    where = f"container {holder.name or holder.container[:12]}" if holder.container else f"user {holder.user}"
    stuck = " state D, cannot be killed," if any(h and h.state == "D" for h, _, _ in group.values()) else ""
    return fail(
        f"{cards(numbers, word)} held by {who} ({command}),{stuck} {where}",
        "no other process",
        OWNER if not stuck else "whoever runs it must end it, by a reboot of the node when all who use it agree",
    )
