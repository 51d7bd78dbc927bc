"""Prove replicas: the last stage of serve, the verb verify, and the pulse of what runs already."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import gevent

from roles.plan.plan import ReplicaPlan
from roles.run import api, key, remote, terminal
from roles.run.proven import Proven
from roles.run.run import Run
from roles.run.units import doing
from roles.verify import outside
from roles.verify.result import Result

if TYPE_CHECKING:
    from roles.verify.proof import Proof

SHORT_SOAK = 10.0
AGAIN, PAUSE = 60.0, 5.0
"""Seconds for which a replica that looks well and is silent is asked again, and between two askings."""


def prove(run: Run, replica: ReplicaPlan) -> Proven:
    """All of the proof; with the first sentence that does not hold."""
    with run.stage("proof", replica.nodes[0].name, replica.name) as stage:
        results = _results(run, replica, float(run.options.get("soak", SHORT_SOAK)))
        bad = [r for r in results if not r.ok]
        stage["ok"] = not bad
    for r in bad:
        run.fail(replica.nodes[0].name, f"proof {r.name}", r.said)
    if not bad and not run.cancel.is_set():
        _announce(run, replica)
    return _came_to(replica, bad)


def _came_to(replica: ReplicaPlan, bad: list[Result]) -> Proven:
    if not bad:
        return Proven()
    said = f"{replica.nodes[0].name}: proof: {bad[0].name}: {bad[0].said}"
    return Proven(said, any(r.refuted for r in bad), any(r.refused for r in bad))


def pulse(run: Run) -> None:
    """Before anything is decided: replicas that look well, or say that they serve, must give one token from every rank."""
    run.once("pulse", lambda: _pulse(run))


def _pulse(run: Run) -> None:
    up = [r for r in run.plan.replicas if _looks_up(run, r)]
    found = remote.together({r.name: (lambda r=r: _heard(run, r)) for r in up})  # type: ignore[misc]
    run.facts["silent"] = {name: proven for name, proven in found.items() if proven.why}


def _looks_up(run: Run, replica: ReplicaPlan) -> bool:
    seen = [run.seen[n.name] for n in replica.nodes if n.name in run.seen]
    return len(seen) == len(replica.nodes) and (seen[0]["health"].first == "200" or doing(seen[0])[0] == "serving")


def _heard(run: Run, replica: ReplicaPlan) -> Proven:
    """One silent answer tells nothing: it is asked again for a while. A key that is refused stays refused."""
    end = time.monotonic() + AGAIN
    while True:
        proven = _short(run, replica)
        if not proven.why or proven.refuted or proven.refused or time.monotonic() > end or run.cancel.is_set():
            return proven
        terminal.line(f"replica {replica.name}: {proven.why}; asked again ...", out=sys.stderr)
        gevent.sleep(PAUSE)


def _short(run: Run, replica: ReplicaPlan) -> Proven:
    with api.opened(run, replica) as way:
        bad = [r for r in _proof(run, way, lenient=True).pulse() if not r.ok]
    return Proven(bad[0].said, any(r.refuted for r in bad), any(r.refused for r in bad)) if bad else Proven()


def short(run: Run, replica: ReplicaPlan) -> str:
    """Nothing when every rank gave a token just now, else one sentence."""
    return _short(run, replica).why


def _proof(run: Run, way: api.Api, lenient: bool = False) -> Proof:
    from roles.verify.proof import Proof  # with the OpenAI client, which takes 0.4 s to import: only who asks waits for it

    return Proof(way, run.plan.verify, key.known(run), run.cancel.is_set, lenient=lenient)


def verify(run: Run) -> int:
    """The verb: every replica proven now, from the outside. 0 when all hold."""
    bad = remote.together({r.name: (lambda r=r: prove(run, r).why) for r in run.plan.replicas})  # type: ignore[misc]
    for name, why in bad.items():
        if why:
            terminal.line(f"replica {name}: {why}", out=sys.stderr)
    print(f"report: {run.folder.path / 'report.json'}", flush=True)
    return 1 if any(bad.values()) else 0


def _results(run: Run, replica: ReplicaPlan, soak: float) -> list[Result]:
    results: list[Result] = []
    with api.opened(run, replica) as way:
        proof = _proof(run, way)
        for result in proof.all(soak):
            results.append(_told(run, replica, result))
            if not result.ok and result.name in ("health", "ranks"):
                break  # the others would only wait in vain
    if "outside" in run.plan.verify and all(r.ok for r in results) and not run.cancel.is_set():
        with api.opened(run, replica, outside=True) as way:
            results.append(_told(run, replica, outside.proven(way, run.plan.verify, key.known(run))))
    run.facts.setdefault("report.proof", {})[replica.name] = [r.data() for r in results]
    return results


def _told(run: Run, replica: ReplicaPlan, result: Result) -> Result:
    mark = ("proven ", "green") if result.ok else ("REFUTED", "red") if result.refuted else ("unseen ", "yellow")
    terminal.line(f"  {replica.name}  ", mark, f"  {result.name.ljust(13)} {result.seconds:6.1f} s  {result.said}")
    run.folder.event("proof", replica=replica.name, **result.data())
    return result


def times(stages: Iterable[Mapping[str, Any]], replica: ReplicaPlan) -> dict[str, float]:
    """How long each stage of a replica took, from its first node's start to its last node's end; in the order they began."""
    spans: dict[str, tuple[datetime, datetime]] = {}
    for one in stages:
        if one["replica"] == replica.name and one["stage"] != "up" and one["end"]:
            begin, end = datetime.fromisoformat(one["start"]), datetime.fromisoformat(one["end"])
            first, last = spans.get(one["stage"], (begin, end))
            spans[one["stage"]] = (min(first, begin), max(last, end))
    return {name: (end - begin).total_seconds() for name, (begin, end) in sorted(spans.items(), key=lambda s: s[1][0])}


def _announce(run: Run, replica: ReplicaPlan) -> None:
    """The endpoint, what each stage took, and a curl line that reads the key from its file."""
    url = run.plan.verify.get("outside", run.plan.verify["endpoints"])[replica.name]
    path = key.named_file(run.plan)
    auth = f' -H "Authorization: Bearer $(cat {shlex.quote(str(path))})"' if path else ""
    print(f"  {replica.name}  {', '.join(f'{name} {seconds:.0f} s' for name, seconds in times(run.stages, replica).items())}")
    print(f"\n{run.plan.model} is served at {url}/v1 (model {run.plan.verify['model']})")
    print(f"  curl -s {url}/v1/models{auth}\n", flush=True)
