"""Version files and settings that a driver's installation leaves on a node."""

from __future__ import annotations

import re

from roles.accelerators.parse.reading import Unreadable, first_line

Numbers = tuple[int, ...]


def pairs(text: str) -> dict[str, str]:
    return {n.strip(): v.strip() for n, sep, v in (line.partition("=") for line in text.splitlines()) if sep}


def numbers(version: str) -> Numbers:
    """The numbers at the start of a version: 25.0.rc1.b099 is 25.0; what follows a letter is not compared."""
    found = re.match(r"\d{1,9}(?:\.\d{1,9})*", version.strip())
    if not found:
        raise Unreadable("a version", version or "(empty)")
    return tuple(int(n) for n in found[0].split("."))


def older(version: str, than: str) -> bool:
    """25.5 is not older than 25.5.0."""
    one, other = numbers(version), numbers(than)
    size = max(len(one), len(other))
    return one + (0,) * (size - len(one)) < other + (0,) * (size - len(other))


def driver_version(text: str) -> str:
    """Of the driver's version.info: the package's version, or the older field before 25."""
    values = pairs(text)
    found = values.get("package_version") or values.get("Version") or ""
    if not found:
        raise Unreadable("the driver's version.info", first_line(text))
    numbers(found)
    return found


def firmware_version(text: str) -> str:
    found = pairs(text).get("Version", "")
    if not found:
        raise Unreadable("the firmware's version.info", first_line(text))
    numbers(found)
    return found


def firmware_range(text: str) -> tuple[str, str] | None:
    """The firmware versions a driver accepts, ends included; nothing where its version.info does not say."""
    value = pairs(text).get("compatible_version_fw")
    if value is None:
        return None
    found = re.fullmatch(r"\[([^,\]]+),([^,\]]+)\]", value)
    if not found:
        raise Unreadable("compatible_version_fw", value or "(empty)")
    first, last = found[1].strip(), found[2].strip()
    numbers(first), numbers(last)
    return first, last


def within(version: str, first: str, last: str) -> bool:
    """Ends are compared as far as they are written: 8.9.9 takes in 8.9.9.1."""
    found, low, high = numbers(version), numbers(first), numbers(last)
    return found[: len(low)] >= low and found[: len(high)] <= high


def port_settings(text: str) -> dict[int, dict[str, str]]:
    """hccn.conf by card: `address_3=...` is {3: {"address": ...}}."""
    found: dict[int, dict[str, str]] = {}
    for key, value in pairs(text).items():
        name, _, card = key.rpartition("_")
        if name and card.isascii() and card.isdigit() and len(card) <= 3:
            found.setdefault(int(card), {})[name] = value
    return found
