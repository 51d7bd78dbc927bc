"""A verdict as people read it, and as doctor.json keeps it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from roles.doctor.advice import Present, advice
from roles.doctor.analyse import Verdict, pointed
from roles.doctor.evidence import Evidence
from roles.doctor.match import Match
from roles.doctor.times import shown
from roles.run.terminal import harmless

ALSO = 6
QUOTED = 240
FEW = 3
PLACES = {
    "engine": "engine log", "plog": "plog", "dmesg": "kernel log", "journal": "journal of the unit", "docker": "journal of Docker",
    "unit": "unit", "processes": "processes", "npu-smi": "npu-smi", "nvidia-smi": "nvidia-smi", "hccn": "hccn_tool", "host": "host",
    "run": "this run", "differences": "the nodes compared",
}  # fmt: skip


def printed(evidence: Evidence, verdict: Verdict) -> str:
    """What happened, why, what to do, where that is known from, what else was seen; in short where the run has just said the rest."""
    return harmless("\n".join(_lines(evidence, verdict) if evidence.asked else _short_lines(evidence, verdict)))


def _short_lines(evidence: Evidence, verdict: Verdict) -> Iterator[str]:
    yield f"doctor: replica {verdict.replica}: {sentence(evidence, verdict)}"
    match = verdict.match
    if match is not None:
        yield _row("seen", f"{PLACES[match.source]}: {quoted(match.line)}")
        yield _row("why", match.rule.means)
    elif verdict.unknown is not None:
        yield _row("seen", f"{PLACES['engine']}: {quoted(verdict.unknown[2])}")
    yield from _rows("do", steps(evidence, verdict)[:FEW])


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
    early = "" if evidence.started else "nothing of it was started: "
    if verdict.what == "unreachable":
        return f"{early}{_unreached(verdict)}; {_elsewhere(evidence, verdict)}"
    if verdict.what == "blocked":
        told = "it serves, but " if evidence.healthy else "no log tells of a failure, but " if evidence.asked else early
        return f"{told}{_failing(evidence.fails)}"
    if verdict.what == "failed":
        first, *rest = evidence.ended
        return f"{early or 'it failed: '}{_whole(first)}" + (f" (and {len(rest)} more)" if rest else "")
    if evidence.healthy:
        return "serves, and nothing wrong was found"
    last = f"; the last serve failed: {_whole(evidence.failures[0])}" if evidence.failures else ""
    return f"nothing wrong was found; it does not serve now{last}"


def _whole(failure: Mapping[str, str]) -> str:
    return quoted(": ".join(failure[k] for k in ("node", "stage", "why") if failure[k]))


def _failing(fails: Sequence[Mapping[str, str]]) -> str:
    first = quoted(f"{fails[0]['node']}: {fails[0]['check']}: {fails[0]['observed']}")
    return f"{len(fails)} checks fail: {first}" if len(fails) > 1 else f"1 check fails: {first}"


def _unreached(verdict: Verdict) -> str:
    (name, why), *rest = verdict.missing
    return f"{name} {f'and {len(rest)} more were' if rest else 'was'} not reached ({why})"


def _elsewhere(evidence: Evidence, verdict: Verdict) -> str:
    gone = {name for name, _ in verdict.missing}
    fails = [f for f in evidence.fails if f["node"] not in gone]
    return f"on the others {_failing(fails)}" if fails else "nothing wrong was found on the others"


def steps(evidence: Evidence, verdict: Verdict) -> list[str]:
    """What to do, with this plan's values."""
    if verdict.match is not None:
        return advice(list(verdict.match.rule.remedy), present(evidence, verdict.match))
    if verdict.unknown is not None:
        return ["read the engine's log around that line in the bundle; send the bundle with a report: secrets are taken out of it"]
    if verdict.what == "unreachable":
        return [f"reach {name} by ssh, then {evidence.command}{evidence.verb}.py" for name, _ in verdict.missing[:1]]
    if verdict.what == "blocked":
        return list(dict.fromkeys(f["fix"] for f in evidence.fails if f["fix"]))[:FEW]
    if verdict.what == "failed":
        return [evidence.ended[0]["fix"] or f"mend that, then {evidence.command}{evidence.verb}.py: it goes on from where it is"]
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
