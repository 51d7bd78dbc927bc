"""How findings name cards, and commands for several of them."""

from __future__ import annotations

from collections.abc import Iterable


def spans(numbers: Iterable[int]) -> str:
    """0-3, 5."""
    found: list[list[int]] = []
    for n in sorted(set(numbers)):
        if found and n == found[-1][-1] + 1:
            found[-1].append(n)
        else:
            found.append([n])
    return ", ".join(f"{s[0]}-{s[-1]}" if len(s) > 2 else ", ".join(map(str, s)) for s in found)


def cards(numbers: Iterable[int], word: str = "card") -> str:
    """card 3; cards 3, 5."""
    some = set(numbers)
    return f"{word}{'s' * (len(some) != 1)} {spans(some)}"


def count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"


def for_each(numbers: Iterable[int], command: str) -> str:
    """The command for one card, or a loop over several; `{}` is the card."""
    some = sorted(set(numbers))
    if len(some) == 1:
        return command.format(some[0])
    return f"for i in {' '.join(map(str, some))}; do {command.format('$i')}; done"


def gb(mb: int) -> str:
    return f"{mb / 1000:.1f} GB"
