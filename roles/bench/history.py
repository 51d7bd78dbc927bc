"""What was measured before on this cluster: the bench.json of earlier run folders."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roles.bench import alike

FORMAT = 1
FILE = "bench.json"
FOLDER = re.compile(r"(\d{8}T\d{6}Z)-bench(?:-(\d+))?")


@dataclass(frozen=True)
class Past:
    """One earlier run."""

    name: str
    points: tuple[Mapping[str, Any], ...]


def read(parent: Path, now: str = "") -> list[Past]:
    """Earlier runs of one cluster, the last one first; what is not readable is no history."""
    found = []
    for path in parent.glob(f"*/{FILE}"):
        match = FOLDER.fullmatch(path.parent.name)
        points = _points(path) if match and path.parent.name != now else ()
        if match and points:
            found.append(((match[1], int(match[2] or 1)), Past(path.parent.name, points)))
    return [past for _, past in sorted(found, key=lambda f: f[0], reverse=True)]


def _points(path: Path) -> tuple[Mapping[str, Any], ...]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    if not isinstance(data, dict) or data.get("format") != FORMAT or not isinstance(data.get("points"), list):
        return ()
    return tuple(p for p in data["points"] if isinstance(p, dict) and p.get("ok") is True and isinstance(p.get("figures"), dict))


def last(pasts: Iterable[Past], scenario: str, replica: str, conditions: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """The last result that may stand beside ours; where none may, the last one of the same benchmark, so that the reason can be said."""
    other: tuple[str, Mapping[str, Any]] | None = None
    for past in pasts:
        for point in past.points:
            if point.get("scenario") != scenario or point.get("replica") != replica or not isinstance(point.get("conditions"), dict):
                continue
            if not alike.unlike_before(conditions, point["conditions"]):
                return past.name, point
            other = other or (past.name, point)
    return other
