"""How the page says times, numbers and many nodes; and texts from elsewhere made harmless. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone, tzinfo
from typing import Any

GONE = "***"
STRANGE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]")
"""What no reader sees and some are misled by: controls, halves of characters, marks that turn the direction of text."""
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SHOWN = 4
LONGEST = 8000


def clean(value: Any, secrets: Sequence[str] = ()) -> Any:
    """The same data with every text made harmless; its keys, too."""
    if isinstance(value, str):
        return _text(value, secrets)
    if isinstance(value, dict):
        return {_text(str(k), secrets): clean(v, secrets) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(v, secrets) for v in value]
    return value


def _text(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, GONE)
    text = STRANGE.sub("\ufffd", ANSI.sub("", text))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text) - LONGEST} more characters)"


def when(text: object) -> datetime | None:
    """A time as the run folder writes it; None where it is none."""
    try:
        found = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def moment(at: datetime | None, zone: tzinfo | None = None) -> str:
    """`2026-11-21 09:39:03 UTC (17:39:03 +08:00)`; the local part only where it differs."""
    if at is None:
        return "not known"
    utc, here = at.astimezone(timezone.utc), at.astimezone(zone)
    said = f"{utc:%Y-%m-%d %H:%M:%S} UTC"
    if not here.utcoffset():
        return said
    offset = f"{here:%z}"
    day = "" if here.date() == utc.date() else f"{here:%Y-%m-%d} "
    return f"{said} ({day}{here:%H:%M:%S} {offset[:3]}:{offset[3:5]})"


def duration(seconds: float | None) -> str:
    """`0.3 s`, `47 s`, `3 min 20 s`, `2 h 05 min`."""
    if seconds is None:
        return "not known"
    if seconds < 0.095:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def clock(seconds: float) -> str:
    """A place on a time axis: `0:45`, `12:00`, `1:05:00`."""
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


def number(value: object) -> str:
    """Figures at a width that can be compared: whole thousands apart, small ones with what matters of them."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "–"
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) >= 0.1 or not value else f"{value:.4f}"


def size(count: float) -> str:
    """Bytes as people say them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def listed(names: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    names = list(names)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def who(names: Sequence[str], everybody: int) -> tuple[str, tuple[str, ...]]:
    """Nodes in few words, and the names those words leave out."""
    if len(names) == everybody and everybody > SHOWN:
        return f"all {everybody} nodes", ()
    if len(names) <= SHOWN + 1:
        return ", ".join(names), ()
    return ", ".join(names[:SHOWN]), tuple(names[SHOWN:])


def short(name: str, width: int) -> str:
    """A name whose ends are kept: they tell nodes apart."""
    return name if len(name) <= width else f"{name[: width // 2]}…{name[len(name) - (width - width // 2 - 1) :]}"
