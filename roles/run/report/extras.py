"""The smaller sections: proof, doctor, status, weights, changes, nodes. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from roles.run.report.findings import by_node
from roles.run.report.words import size, who

KNOWN = ("report.proof", "report.doctor", "report.status", "report.weights", "report.bench", "report.bench.warnings")
MOST = 400
TONES = {
    "nothing": "good",
    "cause": "bad",
    "unknown": "bad",
    "blocked": "bad",
    "failed": "bad",
    "unreachable": "bad",
    "wrapper": "warn",
    "symptom": "warn",
}


def failures(report: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{k: str(f.get(k) or "") for k in ("node", "stage", "why", "fix")} for f in report["failures"]]


@dataclass(frozen=True)
class Answer:
    """One sentence of the proof."""

    name: str
    ok: bool
    said: str
    seconds: float


@dataclass(frozen=True)
class Proof:
    """All of one replica's."""

    replica: str
    results: tuple[Answer, ...]

    @property
    def fine(self) -> bool:
        return all(r.ok for r in self.results)


def proof(facts: Mapping[str, Any]) -> list[Proof]:
    return [
        Proof(name, tuple(Answer(str(r.get("name")), bool(r.get("ok")), str(r.get("said")), float(r.get("seconds") or 0)) for r in results))
        for name, results in (facts.get("report.proof") or {}).items()
    ]


@dataclass(frozen=True)
class Said:
    """The doctor's verdict on one replica."""

    replica: str
    tone: str
    sentence: str
    seen: str
    where: str
    means: str
    do: tuple[str, ...]
    source: str
    rule: str
    differs: tuple[str, ...]


def doctor(told: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> list[Said]:
    """From doctor.json; where that is missing, from the short form in the report."""
    if told:
        return [_said(str(d.get("replica", "")), d) for d in told]
    return [_said(name, d) for name, d in (facts.get("report.doctor") or {}).items()]


def _said(replica: str, d: Mapping[str, Any]) -> Said:
    line = d.get("match") or d.get("unknown") or {}
    return Said(
        replica, TONES.get(str(d.get("what")), "plain"), str(d.get("sentence", "")), str(line.get("line", "")), str(line.get("node", "")),
        str(d.get("means", "")), tuple(map(str, d.get("do") or ())), str(d.get("source", "")),
        str(line.get("rule") or d.get("rule") or ""), tuple(str(x.get("sentence")) for x in d.get("differences") or ()),
    )  # fmt: skip


def changes(events: Iterable[Mapping[str, Any]], everybody: int) -> tuple[list[tuple[str, str, tuple[str, ...]]], int]:
    """What was changed and where, equal ones together; and how many are left out."""
    groups: dict[str, list[str]] = {}
    for e in events:
        if e.get("event") == "change":
            names = groups.setdefault(str(e.get("what")), [])
            names += [str(e.get("node"))] if str(e.get("node")) not in names else []
    rows = [(what, *who(names, everybody)) for what, names in groups.items()]
    return rows[:MOST], max(len(rows) - MOST, 0)


MEANT = {
    "nothing": "left alone", "follow": "followed until it was proven", "start": "started", "restart": "stopped and started again",
    "back": "taken back to its kept plan",
}  # fmt: skip


def decisions(events: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, str, tuple[str, ...]]]:
    """What was decided for each replica, why, and the differences that led to it."""
    made = []
    for e in events:
        if e.get("event") == "decision":
            meant = MEANT.get(str(e.get("what")), str(e.get("what")))
            made.append((str(e.get("replica")), str(e.get("why")), meant, tuple(map(str, e.get("changes") or ()))))
    return made


@dataclass(frozen=True)
class Node:
    """One node of the plan."""

    name: str
    address: str
    replica: str
    rank: str
    why: str
    failed: int
    warned: int


def nodes(report: Mapping[str, Any]) -> list[Node]:
    found = report.get("findings") or ()
    failed, warned = by_node(found, "fail"), by_node(found, "warn")
    return [
        Node(
            str(n["name"]), str(n.get("address", "")), str(n.get("replica", "")), str(n.get("rank", "")),
            "" if n.get("reached") else str(n.get("why") or "not reached"), failed.get(str(n["name"]), 0), warned.get(str(n["name"]), 0),
        )
        for n in report.get("nodes") or ()
    ]  # fmt: skip


def weights(facts: Mapping[str, Any]) -> list[tuple[str, str, str, list[tuple[str, str]]]]:
    """Folder, source, the node that had them first, and what each node took in."""
    found: Mapping[str, Any] = facts.get("report.weights") or {}
    return [
        (folder, str(w.get("source") or ""), str(w.get("origin") or ""), [(n, size(b)) for n, b in (w.get("bytes") or {}).items()])
        for folder, w in found.items()
    ]


RANKS = (("tokens_per_s", "Tokens per second"), ("running", "Running"), ("waiting", "Waiting"), ("kv_use", "KV cache in use"))


def status(facts: Mapping[str, Any]) -> list[tuple[str, str, list[tuple[str, ...]], list[str]]]:
    """Replica, why it does not serve, its ranks' figures, its history."""
    return [
        (name, str(s.get("why") or ""), [_rank(rank, row) for rank, row in (s.get("ranks") or {}).items()], list(s.get("history") or ()))
        for name, s in (facts.get("report.status") or {}).items()
    ]


def _rank(name: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    return (name, *(f"{float(row.get(k) or 0):{'.0%' if k == 'kv_use' else 'g'}}" for k, _ in RANKS))


def others(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Facts this page has no section for: shown as they are."""
    return [(k.removeprefix("report."), json.dumps(v, indent=2, ensure_ascii=False)) for k, v in facts.items() if k not in KNOWN]
