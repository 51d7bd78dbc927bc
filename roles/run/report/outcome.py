"""What became of a run, in words. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from roles.run.report.words import counted, listed

Tone = Literal["good", "warn", "bad", "plain"]
DONE = {
    "check": "Ready", "prepare": "Prepared", "serve": "Served and proven", "verify": "Proven", "status": "Serving", "logs": "Logs shown",
    "bench": "Measured", "doctor": "Nothing wrong was found", "stop": "Stopped", "clean": "Clean",
}  # fmt: skip
NOT_DONE = {
    "check": "Blocked", "prepare": "Not prepared", "serve": "Not served", "verify": "Refuted", "status": "Not serving",
    "logs": "Logs not complete", "bench": "Not all measured", "doctor": "Something is wrong", "stop": "Not stopped", "clean": "Not clean",
}  # fmt: skip
SAID = {
    "check": "Nothing stands in the way.",
    "prepare": "Every node has what the plan needs.",
    "verify": "Every rank answered through the real API, and every request was as promised.",
    "status": "Every replica serves.",
    "logs": "The engines' logs of all ranks, by time.",
    "doctor": "No log, check or counter tells of a fault.",
    "stop": "Nothing of ours runs on any node; what was prepared stays.",
    "clean": "Nothing of ours is left on any node.",
}


@dataclass(frozen=True)
class Outcome:
    """A word, a sentence, and how it should look."""

    tone: Tone
    word: str
    sentence: str


def outcome(report: Mapping[str, Any]) -> Outcome:
    """From the exit status, and from what was found and failed."""
    verb, code = str(report.get("verb", "")), report.get("exit")
    if code == 130:
        return Outcome("warn", "Interrupted", "Interrupted by the user before it was done.")
    if code == 143:
        return Outcome("warn", "Ended by a signal", "Ended from outside before it was done.")
    if report.get("dry") and code == 0:
        return Outcome("plain", "Dry run", "Only shown; nothing was changed on any node.")
    if code != 0:
        return Outcome("bad", NOT_DONE.get(verb, "Failed"), _why(report))
    warned = levels(report)["warn"]
    if verb == "check" and warned:
        return Outcome("warn", "Slow", f"It would run, not as it should: {counted(warned, 'finding')} to look at.")
    return Outcome("good", DONE.get(verb, "Done"), _so(verb, report))


def levels(report: Mapping[str, Any]) -> Counter[str]:
    return Counter(str(f.get("level")) for f in report.get("findings") or ())


def _so(verb: str, report: Mapping[str, Any]) -> str:
    names = list(dict.fromkeys(str(n.get("replica")) for n in report.get("nodes") or ()))
    facts = report.get("facts") or {}
    if verb == "serve":
        return f"{_replicas(names)}: tokens came from every rank, through the real API."
    if verb == "bench":
        return f"{counted(len(facts.get('report.bench') or ()), 'benchmark')}, every request of them answered."
    return SAID.get(verb, "What was asked is true now.")


def _why(report: Mapping[str, Any]) -> str:
    """The first failure is the cause; then what blocks; then who was not reached."""
    failures: Sequence[Mapping[str, Any]] = report.get("failures") or ()
    status: Mapping[str, Any] = (report.get("facts") or {}).get("report.status") or {}
    mute = [f"Replica {name} does not serve: {s.get('why')}." for name, s in status.items() if not s.get("serves")]
    if mute:
        return " ".join(mute[:3]) + (f" {len(mute) - 3} more do not." if len(mute) > 3 else "")
    if failures:
        first = failures[0]
        return ": ".join(str(first[k]) for k in ("node", "stage", "why") if first.get(k)) + "." + _rest(report)
    for f in report.get("findings") or ():
        if f.get("level") == "fail":
            count = levels(report)["fail"]
            return f"{f['node']}: {f['check']}: {f['observed']}." + (f" {counted(count - 1, 'more finding')} fail." if count > 1 else "")
    missing = [str(n.get("name")) for n in report.get("nodes") or () if not n.get("reached")]
    return f"Not reached: {listed(missing)}." if missing else "An operation failed; the events and the nodes' logs say which."


def _rest(report: Mapping[str, Any]) -> str:
    """Replicas that are proven although another one is not."""
    proof: Mapping[str, Any] = (report.get("facts") or {}).get("report.proof") or {}
    fine = [name for name, results in proof.items() if results and all(r.get("ok") for r in results)]
    return f" {_replicas(fine)} {'serves' if len(fine) == 1 else 'serve'}." if fine and report.get("verb") == "serve" else ""


def _replicas(names: Sequence[str]) -> str:
    return f"Replica {names[0]}" if len(names) == 1 else f"Replicas {listed(names)}" if len(names) <= 6 else f"{len(names)} replicas"
