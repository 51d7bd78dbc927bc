"""Collect, find the cause, say it with what to do; the evidence is kept as one file without secrets."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
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
    """At the end of a failing serve: what the doctor makes of it. Never another failure on top of the first."""
    if run.cancel.is_set():
        return ""
    try:
        ((_, _, data),) = _examined(run, [replica], quick=True, name=f".{replica.name}")
    except Exception as e:  # whatever it stumbles on, the failure of serve itself is told
        run.folder.event("doctor", replica=replica.name, problem=repr(e))
        return f"doctor: replica {replica.name}: no verdict, a fault of bringup itself: {e!r}; {run.command}doctor.py looks again"
    return f"{data['text']}\n  bundle     {run.folder.path / _named(f'.{replica.name}', bundle.NAME)}"


def _examined(run: Run, replicas: Sequence[ReplicaPlan], quick: bool, name: str) -> list[tuple[Evidence, Verdict, dict[str, Any]]]:
    made = time.time()
    nodes = [n for r in replicas for n in r.nodes]
    with run.stage("collect"):
        found = collect.collect(run, nodes, quick)
    with run.stage("examine"):
        files = collect.files(run, replicas, found, made)
        bundle.write(run.folder.path / _named(name, bundle.NAME), files, made)
        told = examined(files)
    path = run.folder.path / _named(name, "doctor.json")
    path.write_text(json.dumps([data for _, _, data in told], indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for _, _, data in told:
        kept = {k: data[k] for k in ("what", "sentence", "do", "source")}
        run.facts.setdefault("report.doctor", {})[data["replica"]] = {**kept, "rule": (data["match"] or {}).get("rule")}
    return told


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
