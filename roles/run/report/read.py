"""A run folder as the page needs it: what is there, made harmless; what is missing is missing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roles.plan import diff
from roles.plan.errors import PlanError
from roles.run.report.words import clean

EMPTY: Mapping[str, Any] = {
    "verb": "", "cluster": "", "recipe": "", "plan_hash": "", "dry": False, "exit": None, "nodes": (), "findings": (), "stages": (),
    "failures": (), "facts": {}, "warnings": (), "command": "", "versions": {},
}  # fmt: skip
"""A report of an older release lacks some of these."""
NAME = re.compile(r"(\d{8}T\d{6}Z)-[a-z]+(?:-\d+)?")
TOLD = ('"event": "change"', '"event": "decision"')


@dataclass(frozen=True)
class Record:
    """All the page is made from."""

    name: str
    report: Mapping[str, Any]
    plan: Mapping[str, Any] | None = None
    before: tuple[str, Mapping[str, Any]] | None = None
    """The run before on this cluster, and its plan."""
    bench: Mapping[str, Any] | None = None
    doctor: tuple[Mapping[str, Any], ...] = ()
    events: tuple[Mapping[str, Any], ...] = ()
    """Changes and decisions."""
    unread: tuple[str, ...] = ()

    @property
    def facts(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.report.get("facts") or {}
        return found


def read(folder: Path, secrets: Sequence[str] = ()) -> Record:
    """report.json must be there; everything else may be missing or broken."""
    unread: list[str] = []
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    if not isinstance(report, dict):
        raise ValueError("report.json holds no report")
    plan = _plan(folder / "plan.json", unread)
    before = previous(folder) if plan else None
    doctors = [d for path in sorted(folder.glob("doctor*.json")) for d in _json(path, list, unread) or ()]
    return Record(
        name=clean(folder.name),
        report={**EMPTY, **clean(report, secrets)},
        plan=clean(plan, secrets),
        before=(before[0], clean(before[1], secrets)) if before else None,
        bench=clean(_json(folder / "bench.json", dict, unread), secrets),
        doctor=tuple(clean([d for d in doctors if isinstance(d, dict)], secrets)),
        events=tuple(clean(list(_events(folder / "events.jsonl")), secrets)),
        unread=tuple(clean(unread)),
    )


def _json(path: Path, kind: type, unread: list[str]) -> Any:
    """Nothing where there is no such file; a broken one is noted."""
    if not path.exists():
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        data = None
    if isinstance(data, kind):
        return data
    unread.append(path.name)
    return None


def _plan(path: Path, unread: list[str]) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        return diff.load(path)
    except PlanError:
        unread.append(path.name)
        return None


def _events(path: Path) -> Iterator[dict[str, Any]]:
    """Only the kinds that are shown: a long run has a hundred thousand of the others."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if any(word in line for word in TOLD):
                try:
                    yield json.loads(line)
                except ValueError:  # the last line of a run that was killed
                    continue


def previous(folder: Path) -> tuple[str, dict[str, Any]] | None:
    """The last run before this one whose plan can be read."""
    own = _place(folder)
    if own is None:
        return None
    earlier = [(at, p) for p in folder.parent.iterdir() if p.name != folder.name and (at := _place(p)) and at < own]
    for _, path in sorted(earlier, reverse=True):
        try:
            return path.name, diff.load(path / "plan.json")
        except PlanError:
            continue
    return None


def _place(folder: Path) -> tuple[str, int] | None:
    """When a run began: its name's second, then when its plan was written."""
    found = NAME.fullmatch(folder.name)
    try:
        return (found[1], (folder / "plan.json").stat().st_mtime_ns) if found else None
    except OSError:
        return None
