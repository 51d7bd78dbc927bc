"""A verdict as people read it, and as doctor.json keeps it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from roles.doctor.advice import Present, advice
from roles.doctor.analyse import Verdict, pointed
from roles.doctor.evidence import Evidence
from roles.doctor.match import Match
from roles.doctor.times import shown
from roles.run.terminal import harmless

ALSO = 6
QUOTED = 240
PLACES = {
    "engine": "engine log", "plog": "plog", "dmesg": "kernel log", "journal": "journal of the unit", "docker": "journal of Docker",
    "unit": "unit", "processes": "processes", "npu-smi": "npu-smi", "nvidia-smi": "nvidia-smi", "hccn": "hccn_tool", "host": "host",
    "run": "this run", "differences": "the nodes compared",
}  # fmt: skip


def printed(evidence: Evidence, verdict: Verdict) -> str:
    """What happened, why, what to do, where that is known from, what else was seen."""
    return harmless("\n".join(_lines(evidence, verdict)))


def _lines(evidence: Evidence, verdict: Verdict) -> Iterator[str]:
    yield f"doctor: replica {verdict.replica}: {sentence(evidence, verdict)}"
    match = verdict.match
    if match is not None:
        yield _row("seen", f"{PLACES[match.source]}: {quoted(match.line)}" + (f"   ({match.count} times)" if match.count > 1 else ""))
        yield _row("why", match.rule.means)
    elif verdict.unknown is not None:
        yield _row("seen", f"{PLACES['engine']}: {quoted(verdict.unknown[2])}")
        yield _row("why", "no rule knows this error; it is the earliest one on any rank")
    if verdict.via is not None:
        yield _row("led here", f"{place(evidence, verdict.via.node)}{_at(verdict.via.at)} only waited for it: {quoted(verdict.via.line)}")
    yield from (_row("the other", line) for line in verdict.trace)
    yield from _rows("do", steps(evidence, verdict))
    relevant = {d.name for d in verdict.differences if match is not None and d.name in match.rule.compare}
    first = [d.sentence() for d in verdict.differences if d.name in relevant]
    yield from _rows("differs", first + [d.sentence() for d in verdict.differences if d.name not in relevant])
    if match is not None:
        yield _row("known from", match.rule.source)
    yield from _rows("also seen", [_short(evidence, m) for m in verdict.also[:ALSO]])
    if len(verdict.also) > ALSO:
        yield _row("", f"and {len(verdict.also) - ALSO} more, in doctor.json")
    yield from _rows("note", [_short(evidence, m) for m in verdict.notes[:ALSO]])
    yield from _rows("not seen", [f"{name}: {why}" for name, why in verdict.missing])


def sentence(evidence: Evidence, verdict: Verdict) -> str:
    """One sentence: who, when, what."""
    match = verdict.match
    if match is not None:
        told = {"wrapper": "the log ends without a reason: ", "symptom": "no cause was found, only a symptom: "}.get(verdict.what, "")
        return f"{told}{place(evidence, match.node)}{_at(match.at)}: {match.rule.what} ({match.rule.id})"
    if verdict.unknown is not None:
        name, at, _ = verdict.unknown
        return f"{place(evidence, name)}{_at(at)}: an error that no rule knows"
    if verdict.what == "unreachable":
        return "some nodes were not reached, and nothing wrong was found on the others"
    if verdict.what == "blocked":
        fails = [f for f in evidence.findings if f["level"] == "fail"]
        return f"no log tells of a failure, but {len(fails)} checks fail: {fails[0]['node']}: {fails[0]['check']}: {fails[0]['observed']}"
    return "serves, and nothing wrong was found" if evidence.healthy else "nothing wrong was found; it does not serve now"


def steps(evidence: Evidence, verdict: Verdict) -> list[str]:
    """What to do, with this plan's values."""
    if verdict.match is not None:
        return advice(list(verdict.match.rule.remedy), present(evidence, verdict.match))
    if verdict.unknown is not None:
        return ["read the engine's log around that line in the bundle; send the bundle with a report: secrets are taken out of it"]
    if verdict.what == "unreachable":
        return [f"reach {name} by ssh, then {evidence.command}doctor.py" for name, _ in verdict.missing[:1]]
    if verdict.what == "blocked":
        return [f["fix"] for f in evidence.findings if f["level"] == "fail" and f["fix"]][:3]
    return []


def present(evidence: Evidence, match: Match) -> Present:
    """The names a remedy may use, for this node."""
    node, head = evidence.node(match.node), evidence.head
    own = evidence.planned(match.node)
    others = [n for n in evidence.nodes if n.name in pointed(evidence, match)]
    ports = own.get("ports") or {}
    names = {
        "node": node.name, "other": others[0].name if others else "the other node", "address": node.address, "nic": node.nic or "<nic>",
        "head": head.get("address", ""), "unit": str(evidence.known.get("units", {}).get(evidence.replica, "")),
        "cluster": str(evidence.plan.get("cluster", "")), "replica": evidence.replica, "image": own.get("image") or "<image>",
        "model": str(evidence.plan.get("model", "")), "weights": str(evidence.known.get("weights", "")),
        "state": str(evidence.known.get("state", "")), "api": str(ports.get("api", "")), "rpc": str(ports.get("rpc", "")),
    }  # fmt: skip
    timeouts = evidence.plan.get("verify", {}).get("timeouts", {})
    return Present(names, tuple(head.get("serve_argv", ())), head.get("env", {}), timeouts, evidence.command)


def data(evidence: Evidence, verdict: Verdict) -> dict[str, Any]:
    """For doctor.json and the report."""
    return {
        "replica": verdict.replica,
        "what": verdict.what,
        "sentence": sentence(evidence, verdict),
        "match": verdict.match and _data(verdict.match),
        "unknown": verdict.unknown and dict(zip(("node", "at", "line"), verdict.unknown, strict=True)),
        "means": verdict.match.rule.means if verdict.match else "",
        "do": steps(evidence, verdict),
        "source": verdict.match.rule.source if verdict.match else "",
        "via": verdict.via and _data(verdict.via),
        "trace": list(verdict.trace),
        "also": [_data(m) for m in verdict.also],
        "notes": [_data(m) for m in verdict.notes],
        "differences": [{"name": d.name, "values": dict(d.values), "sentence": d.sentence()} for d in verdict.differences],
        "missing": dict(verdict.missing),
        "text": printed(evidence, verdict),
    }


def _data(match: Match) -> dict[str, Any]:
    return {
        "rule": match.rule.id, "kind": match.rule.kind, "node": match.node, "rank": match.rank, "at": match.at, "source": match.source,
        "log": match.log, "line": match.line[:1000], "count": match.count,
    }  # fmt: skip


def place(evidence: Evidence, node: str) -> str:
    return f"{node} (rank {evidence.node(node).rank})"


def quoted(line: str) -> str:
    return line if len(line) <= QUOTED else f"{line[: QUOTED - 3]}..."


def _at(at: float | None) -> str:
    return f" at {shown(at)} UTC" if at is not None else ""


def _short(evidence: Evidence, match: Match) -> str:
    times = f", {match.count} times" if match.count > 1 else ""
    return f"{place(evidence, match.node)}{_at(match.at)}: {match.rule.what} ({match.rule.id}{times}): {match.line[:120]}"


def _row(name: str, text: str) -> str:
    return f"  {name:<11}{text}"


def _rows(name: str, texts: list[str]) -> Iterator[str]:
    yield from (_row(name if i == 0 else "", text) for i, text in enumerate(texts))
