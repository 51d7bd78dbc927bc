"""Port ranges as the kernel writes them: 8000,60000-60031."""

from __future__ import annotations

from collections.abc import Iterable


def ports(text: str) -> frozenset[int]:
    """Every port of a list such as `8000,60000-60031`; an empty one has none."""
    found: set[int] = set()
    for part in text.replace("\n", ",").split(","):
        first, _, last = part.strip().partition("-")
        if first:
            found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def text(numbers: Iterable[int]) -> str:
    """The shortest list of these ports, in the kernel's own order and form."""
    spans: list[list[int]] = []
    for port in sorted(set(numbers)):
        if spans and port == spans[-1][1] + 1:
            spans[-1][1] = port
        else:
            spans.append([port, port])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)
