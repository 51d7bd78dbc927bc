"""Collect, find the cause, say it with what to do; the evidence is kept as one file without secrets."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from roles.doctor import bundle, collect, say
from roles.doctor.analyse import Verdict, analyse
from roles.doctor.evidence import Evidence, Files, read
from roles.doctor.rules import rules
from roles.plan.plan import ReplicaPlan
from roles.run import checks, look
from roles.run.run import Run
from roles.run.seen import Seen

FEW, NAMES = 3, 8
TOLD = "doctor.told"
"""The fact of a run: replicas whose verdict was printed."""


def doctor(run: Run) -> int:
    """The verb: looks, collects, judges, writes. 0 when nothing is wrong."""
    with run.stage("look"):
        run.seen.update(look.look(run.state, run.hosts.values(), run.plan, run.cancel, FABRIC="off"))
        run.seen.update({name: Seen(name, problem=why) for name, why in run.missing.items() if "--limit" not in why})
        found = checks.judge(run.plan, run.seen)
        run.findings[:] = [replace(f, fix=f.fix.replace("pyinfra INVENTORY deploy/", run.command)) for f in found]
    told = _examined(run, run.plan.replicas, quick=False, name="")
    for _, verdict, data in told:
        print(data["text"], flush=True)
        if verdict.wrong:
            node = verdict.match.node if verdict.match else verdict.unknown[0] if verdict.unknown else ""
            run.fail(node, "doctor", data["sentence"], "; ".join(data["do"][:1]))
    print(f"bundle: {run.folder.path / bundle.NAME}", flush=True)
    print(f"report: {run.folder.path / 'report.json'}", flush=True)
    return 1 if any(verdict.wrong for _, verdict, _ in told) else 0


def verdict(run: Run, replica: ReplicaPlan) -> str:
    """At the end of a start that failed: what the doctor makes of it. Never another failure on top of the first."""
    if run.cancel.is_set():
        return ""
    run.facts.setdefault(TOLD, set()).add(replica.name)
    name = f".{replica.name}"
    text = _safely(run, replica, lambda: _examined(run, [replica], quick=True, name=name)[0][2]["text"])
    path = run.folder.path / _named(name, bundle.NAME)
    return f"{text}\n  bundle     {path}" if path.exists() else text


def ending(run: Run) -> None:
    """The last words of a failing serve: each replica that failed and has no verdict yet, from what this run said; no node is asked."""
    left = [r for r in failed(run) if r.name not in run.facts.get(TOLD, ())]
    for replica in left[:FEW]:
        print(f"\n{_safely(run, replica, lambda r=replica: _said(run, r))}", flush=True)  # type: ignore[misc]
    if rest := [r.name for r in left[FEW:]]:
        names = ", ".join(rest[:NAMES]) + (" ..." if len(rest) > NAMES else "")
        print(f"doctor: {len(rest)} more failed ({names}); {run.command}doctor.py looks at each of them", flush=True)


def failed(run: Run) -> list[ReplicaPlan]:
    """Replicas of which a node failed; the first where what failed is no node of the plan, and nothing was told yet."""
    names = {f["node"] for f in run.failures} or {h.name for h in run.state.failed_hosts}
    return [r for r in run.plan.replicas if names & {n.name for n in r.nodes}] or list(run.plan.replicas[: 0 if TOLD in run.facts else 1])


def _safely(run: Run, replica: ReplicaPlan, examine: Callable[[], str]) -> str:
    """Whatever it stumbles on, the failure of serve itself is told."""
    try:
        return examine()
    except Exception as e:
        run.folder.event("doctor", replica=replica.name, problem=repr(e))
        return f"doctor: replica {replica.name}: no verdict, a fault of bringup itself: {e!r}; {run.command}doctor.py looks again"


def _said(run: Run, replica: ReplicaPlan) -> str:
    told = examined(collect.said(run, replica, time.time()))
    _write(run, f".{replica.name}", told)
    text: str = told[0][2]["text"]
    return text


def _examined(run: Run, replicas: Sequence[ReplicaPlan], quick: bool, name: str) -> list[tuple[Evidence, Verdict, dict[str, Any]]]:
    made = time.time()
    nodes = [n for r in replicas for n in r.nodes]
    with run.stage("collect"):
        found = collect.collect(run, nodes, quick)
    with run.stage("examine"):
        files = collect.files(run, replicas, found, made)
        bundle.write(run.folder.path / _named(name, bundle.NAME), files, made)
        told = examined(files)
    _write(run, name, told)
    return told


def _write(run: Run, name: str, told: Sequence[tuple[Evidence, Verdict, dict[str, Any]]]) -> None:
    """doctor.json, and the short form in the report."""
    path = run.folder.path / _named(name, "doctor.json")
    path.write_text(json.dumps([data for _, _, data in told], indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for _, _, data in told:
        kept = {k: data[k] for k in ("what", "sentence", "do", "source")}
        run.facts.setdefault("report.doctor", {})[data["replica"]] = {**kept, "rule": (data["match"] or {}).get("rule")}


def examined(files: Files) -> list[tuple[Evidence, Verdict, dict[str, Any]]]:
    """A bundle's replicas with their verdicts: the same here and from a file."""
    told = []
    for evidence in read(files):
        found = analyse(evidence, rules())
        told.append((evidence, found, say.data(evidence, found)))
    return told


def _named(name: str, file: str) -> str:
    """doctor.json, or doctor.r0.json: one run may examine several replicas."""
    stem, dot, rest = file.partition(".")
    return f"{stem}{name}{dot}{rest}"
