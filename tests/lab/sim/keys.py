"""Dotted keys of lab-sim: which place of the state each one names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from .model import SECTIONS, Node
from .state import TOP, StateError, chosen, coerce, device_fields, near, put

FIXED = ("family", "node")
RANGE = re.compile(r"(\d+)(?:-(\d+))?")


def known(node: Node) -> list[str]:
    """Every key that this node's state may be given; N is a device number, N-M or *."""
    names = [t for t in TOP if t not in FIXED]
    names += [f"{s}.{f.name}" for s, kind in SECTIONS.items() for f in fields(kind) if (s, f.name) != ("fabric", "loss")]
    return [*sorted(names), "loss.ADDRESS", *sorted(f"{f}.N" for f in device_fields(node))]


def unknown(key: str, node: Node) -> StateError:
    # Judged as it is written: with the number where the list has an N.
    plain = re.sub(r"\.(\d+(-\d+)?|\*)(?=\.|$)", ".N", key)
    plain = re.sub(r"^devices?\.N\.(.*)$", r"\1.N", plain)
    listed = known(node)
    return StateError(f"{key}: unknown key{near(plain, listed)}\nknown keys: {', '.join(listed)}")


def places(key: str, node: Node) -> Iterator[tuple[Any, ...]]:
    """The paths in the state file that `key` names."""
    head, _, rest = key.partition(".")
    if key in TOP and key not in FIXED:
        yield (key,)
    elif head == "loss" and rest:
        yield ("fabric", "loss", rest)
    elif key.startswith("fabric.loss."):
        yield ("fabric", "loss", key.removeprefix("fabric.loss."))
    elif head in SECTIONS and rest in {f.name for f in fields(SECTIONS[head])}:
        yield (head, rest)
    elif head in ("device", "devices") and rest.partition(".")[2] in device_fields(node):
        which, _, name = rest.partition(".")
        yield from ((*place, name) for place in devices(which, key, node))
    elif head in device_fields(node) and rest:
        yield from ((*place, head) for place in devices(rest, key, node))
    else:
        raise unknown(key, node)


def devices(which: str, key: str, node: Node) -> Iterator[tuple[Any, ...]]:
    if which == "*":
        yield ("all",)
        return
    match = RANGE.fullmatch(which)
    last = len(node.devices) - 1
    if not match:
        raise unknown(key, node)
    first, end = int(match[1]), int(match[2] or match[1])
    if first > end or end > last:
        raise StateError(f"{key}: this node has devices 0 to {last}")
    for index in range(first, end + 1):
        yield ("devices", index)


def assign(raw: dict[str, Any], key: str, value: str, node: Node) -> None:
    """Put the text `value` at the places `key` names; a value for all devices replaces those of single ones."""
    for place in places(key, node):
        try:
            put(raw, place, chosen(place[-1], coerce(kind(place, node), value)))
        except ValueError as e:
            raise StateError(f"{key}: {value!r} does not fit: {e}") from None
        if place[0] == "all":
            for single in (raw.get("devices") or {}).values():
                single.pop(place[1], None)


def kind(place: tuple[Any, ...], node: Node) -> str:
    """The type of the field at a place of the state."""
    if place[:2] == ("fabric", "loss"):
        return "int"
    if place[0] in ("all", "devices"):
        return device_fields(node)[place[-1]]
    owner = Node if len(place) == 1 else SECTIONS[place[0]]
    return {f.name: str(f.type) for f in fields(owner)}[place[-1]]
