"""What is left after the engine was stopped: found, listed by whose it is, removed where it is ours or named, proven gone."""

from __future__ import annotations

import time
from pathlib import Path

import gevent
from pyinfra.api.host import Host

from roles.clean.processes import Process, classified, named
from roles.plan import container
from roles.plan.finding import Finding
from roles.run import change, checks, look, remote, start, terminal
from roles.run.change import Change
from roles.run.checks import Case
from roles.run.run import Run
from roles.run.seen import Seen

HERE = Path(__file__).parent
PATIENCE = 60.0
SHADES = {"orphan": "yellow", "foreign": "cyan"}
MOST = 20
"""Processes of ours that are listed one by one; more are counted."""
REMOVABLE = ("image", "weights")


def survey(run: Run) -> None:
    """Who holds what, in three classes; and whether the command line is right. Once, before anything is decided."""
    run.once("survey", lambda: _survey(run))


def _survey(run: Run) -> None:
    found = {n.name: _found(run, n.name) for n in run.plan.nodes if n.name in run.hosts}
    asked, problems = named(str(run.options.get("foreign", "")), found)
    if run.options.get("stale") and run.options.get("confirm") != run.plan.cluster:
        problems.append(f"--data stale=true ends processes that are not ours: add --data confirm={run.plan.cluster}")
    remove = [w.strip() for w in str(run.options.get("remove", "")).split(",") if w.strip()]
    problems += [f'--data remove: found "{w}", expected {" or ".join(REMOVABLE)}' for w in remove if w not in REMOVABLE]
    if problems:
        start.usage(*problems)
    run.facts["clean"] = {"found": found, "foreign": asked, "remove": remove}
    ours = {name: [p for p in processes if p.kind == "ours"] for name, processes in found.items()}
    many = sum(len(processes) for processes in ours.values()) > MOST
    for name, processes in found.items():
        if many and ours[name]:
            terminal.line(
                f"{'ours':<8} ", f"{name}: {len(ours[name])} processes of this cluster's unit, pid {ours[name][0].pid} and others"
            )
        for p in processes:
            if p.kind == "ours" and not many:
                terminal.line(f"{p.kind:<8} ", f"{name}: {p.row()}")
            if p.kind != "ours":
                terminal.line((f"{p.kind:<8} ", SHADES[p.kind]), f"{name}: {p.row()}")
                fix = "--data stale=true" if p.kind == "orphan" else f"--data foreign={name}:{p.container or p.pid}"
                fix = "by its own tools, or another port in the inventory" if p.daemon and not p.container else fix
                run.findings.append(Finding(name, f"clean.{p.kind}", "warn", p.row(), "no holder", fix))


def _found(run: Run, name: str) -> list[Process]:
    replica, _ = run.node(name)
    return classified(run.seen[name], container.unit(run.plan.cluster, replica.name), run.plan.cluster)


def clean(run: Run) -> None:
    """Processes that were asked for first, then everything of ours, then the proof."""
    change.step(run, "End what was named", lambda case: _ending(run, case), _end, "reboot the node, or reset it by hand")
    change.step(run, "Remove what is ours", lambda case: _removing(run, case), _remove)
    change.step(run, "Prove it is clean", lambda case: _proving(run, case), _prove)


def _ending(run: Run, case: Case) -> list[Change]:
    facts = run.facts["clean"]
    processes = facts["found"].get(case.node.name, [])
    named_here = {what for node, what in facts["foreign"] if node == case.node.name}
    chosen = [p for p in processes if (p.kind == "orphan" and run.options.get("stale")) or str(p.pid) in named_here]
    changes = [Change(f"end pid {p.pid} ({p.command[:50].strip()})", data=p) for p in chosen]
    return changes + [Change(f"stop container {what}", data=what) for what in sorted(named_here) if not what.isdigit()]


def _end(run: Run, host: Host, case: Case, changes: object) -> str:
    todo = [c.data for c in change.todo(run, host, "End what was named")]
    processes = " ".join(f"{p.pid}:{p.start}" for p in todo if isinstance(p, Process))
    containers = " ".join(c for c in todo if isinstance(c, str))
    text = remote.script(HERE / "end.sh", values={"PROCESSES": processes, "CONTAINERS": containers})
    done = run.call(host, "end", text, limit=120)
    return "" if done.ok else done.said


def _removing(run: Run, case: Case) -> list[Change]:
    """Containers, units, files, leftovers; a second run finds none of them."""
    seen, facts = case.seen, run.facts["clean"]
    changes = [Change(f"remove container {line.split()[0]}") for line in seen["ours.containers"].lines if line.strip()]
    changes += [Change(f"remove unit {line}") for line in seen["ours.units"].lines if line.strip()]
    changes += [Change(f"remove {line.rstrip('/')}") for line in seen["ours.files"].lines if line.strip()]
    left = [line.strip() for line in seen["leftovers"].lines if line.strip()]
    changes += [Change(f"remove {len(left)} files of the engine from /dev/shm")] if left else []
    if "image" in facts["remove"] and seen["image.present"].ok:
        changes.append(Change(f"remove image {case.node.image}"))
    folder = case.known.weights or ""
    if "weights" in facts["remove"] and folder.startswith(f"{container.STATE}/models/"):
        changes.append(Change(f"remove weights {folder}"))
    return changes


def _remove(run: Run, host: Host, case: Case, changes: object) -> str:
    what = [c.what for c in change.todo(run, host, "Remove what is ours")]
    weights = next((w.partition(" weights ")[2] for w in what if w.startswith("remove weights ")), "")
    values = {
        "STATE": container.STATE, "CONFIG": container.CONFIG, "CLUSTER": run.plan.cluster, "STOP": run.plan.verify["timeouts"]["stop"],
        "LEFTOVERS": " ".join(line.strip() for line in case.seen["leftovers"].lines), "REMOVE_WEIGHTS": weights,
        "REMOVE_IMAGE": case.node.image if any(w.startswith("remove image ") for w in what) else "",
    }  # fmt: skip
    done = run.call(host, "remove", remote.script(HERE / "remove.sh", values=values), limit=300)
    return "" if done.ok else done.said


def _proving(run: Run, case: Case) -> list[Change]:
    """Only where something was changed: the first look at an untouched node is its proof."""
    titles = run.facts["todo"].get(case.node.name, {})
    changed = any(changes for title, changes in titles.items() if title != "Prove it is clean")
    return [Change("look again until ports are free and device memory is idle")] if changed else []


def _prove(run: Run, host: Host, case: Case, changes: object) -> str:
    """Device memory comes back late (VA#7412): up to a minute."""
    return _until(run, host, case, whole=True)


def freed(run: Run) -> None:
    """After a stop: no process of ours, no port held by one, device memory idle. What was prepared stays."""
    change.step(
        run, "Prove ports and memory are free", lambda case: _freeing(run, case), lambda r, h, case, _: _until(r, h, case, whole=False)
    )


def _freeing(run: Run, case: Case) -> list[Change]:
    stopped = any(run.facts["todo"].get(case.node.name, {}).values())
    return [Change("look again until ports are free and device memory is idle")] if stopped else []


def _until(run: Run, host: Host, case: Case, whole: bool) -> str:
    end = time.monotonic() + PATIENCE
    while True:
        seen = look.look(run.state, [host], run.plan, run.cancel, FABRIC="off", LOOK="light")[host.name]
        left = remains(Case(run.plan, case.replica, case.node, seen, {**run.seen, host.name: seen}), bool(run.options.get("stale")), whole)
        if not left or run.cancel.is_set():
            run.folder.event("clean", node=host.name)
            return ""
        if time.monotonic() > end:
            return f"after {PATIENCE:.0f} s there is still {left[0]}"
        gevent.sleep(2)


def remains(case: Case, stale: bool, whole: bool = True) -> list[str]:
    """What of ours is still there; foreign holders are only warned about. `whole`: containers, units and files count, too."""
    seen, cluster = case.seen, case.plan.cluster
    left = _things(seen) if whole else []
    processes = classified(seen, container.unit(cluster, case.replica.name), cluster)
    left += [p.row() for p in processes if (p.kind == "ours" and (whole or not p.prepared)) or (p.kind == "orphan" and stale)]
    if not any(p.devices for p in processes):
        found = checks.judge(case.plan, {case.node.name: seen})
        left += [f.observed for f in found if f.check.endswith(".idle") and f.level in ("fail", "warn")]
    return left


def _things(seen: Seen) -> list[str]:
    left = [f"container {line.split()[0]}" for line in seen["ours.containers"].lines if line.strip()]
    left += [f"unit {line}" for line in seen["ours.units"].lines if line.strip()]
    left += [line for line in seen["ours.files"].lines if line.strip()]
    return left
