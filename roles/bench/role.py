"""Measure what runs: the recipe's benchmarks, one after the other on each replica, beside the page's results and our own earlier ones."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from roles.bench import accelerator, alike, command, compare, history, record, table
from roles.bench.client import Client
from roles.bench.command import Point
from roles.plan.plan import ReplicaPlan
from roles.run import look, remote, scenarios, terminal
from roles.run.folder import now
from roles.run.progress import Progress
from roles.run.run import Run
from roles.run.units import unit

Pulse = Callable[[Run, ReplicaPlan], str]
LIMIT = 7200.0


def bench(run: Run, pulse: Pulse) -> int:
    """The verb. 0 when every benchmark ran and every request of it was answered; being slower than the page is a verdict, no failure."""
    entries, left_out = scenarios.chosen(run.plan, run.options)
    seed = run.options.get("seed", int(time.time()) % 1_000_000_000)
    points = command.points(entries, run.folder.name, seed, run.options.get("sweep"), run.options.get("prompts"))
    for why in left_out:
        print(f"left out: {why}", file=sys.stderr)
    if run.dry:
        return _shown(points)
    run.seen.update(look.look(run.state, run.hosts.values(), run.plan, run.cancel, FABRIC="off", LOOK="light"))
    one = Bench(run, left_out, Progress([n.name for n in run.plan.nodes]))
    remote.together({r.name: (lambda r=r: one.replica(r, [p for p in points if p.replica == r.name], pulse)) for r in run.plan.replicas})  # type: ignore[misc]
    one.progress.end()
    one.keep()
    for curve in record.curves(one.points):
        terminal.show(*table.curve(curve), "")
    terminal.line(f"benchmarks: {run.folder.path / history.FILE}")
    return 0 if one.points and not run.failures else 1


def _shown(points: Iterable[Point]) -> int:
    for p in points:
        print(f"{p.node}: {shlex.join(p.words)}")
    return 0


class Bench:
    """One run of the verb: what was measured so far, kept after every benchmark."""

    def __init__(self, run: Run, left_out: Sequence[str], progress: Progress) -> None:
        self.run, self.left_out, self.progress = run, left_out, progress
        self.tolerance = float(run.options.get("tolerance", compare.TOLERANCE))
        self.pasts = history.read(run.folder.path.parent, run.folder.path.name)
        self.points: list[dict[str, Any]] = []
        self.began = now()

    def replica(self, replica: ReplicaPlan, points: Sequence[Point], pulse: Pulse) -> None:
        """All benchmarks of one replica, if it serves; the next one runs though the last one failed."""
        head = replica.nodes[0].name
        if all("limit" in self.run.missing.get(n.name, "") for n in replica.nodes):
            print(f"replica {replica.name}: left out by --limit", file=sys.stderr, flush=True)
            return
        why = self._not_serving(replica) or pulse(self.run, replica)
        if why:
            sentence = f"replica {replica.name} is not serving: {why}"
            self.run.fail(head, "serving", sentence, f"{self.run.command}serve.py")
            terminal.line(f"{sentence}; run {self.run.command}serve.py", out=sys.stderr)
            return
        for point in points:
            if not self.run.cancel.is_set():
                self._measure(replica, point)

    def _not_serving(self, replica: ReplicaPlan) -> str:
        """Why there is nothing to measure; a result under another plan's name would be a lie."""
        for node in replica.nodes:
            if node.name not in self.run.hosts:
                return f"{node.name}: {self.run.missing[node.name]}"
            seen = self.run.seen[node.name]
            one = unit(seen, node.runtime)
            if seen.problem or not (one.active and one.running):
                return f"{node.name}: {seen.problem or one.ended or 'is down'}"
            if one.spec != replica.spec:
                return f"{node.name} runs another plan than this inventory's"
        health = self.run.seen[replica.nodes[0].name]["health"].first
        return "" if health == "200" else f"{replica.nodes[0].name}: health says {health or 'nothing'}"

    def _measure(self, replica: ReplicaPlan, point: Point) -> None:
        run, names = self.run, dict.fromkeys(accelerator.name(self.run.seen[n.name]) for n in replica.nodes)
        conditions = alike.conditions(run.plan, replica, point, " + ".join(n for n in names if n))
        began = time.monotonic()
        with run.stage(f"bench {point.title}", point.node, replica.name) as stage:
            client = Client(run, replica, point, self.progress)
            found, why = client.run_it(float(run.options.get("limit", LIMIT)))
            stage["ok"] = not why
        if run.cancel.is_set():
            return
        figures = found.figures if found else {}
        page = before = None
        if found and not why:
            page = compare.page(figures, conditions, point.reference, self.tolerance) if point.reference else None
            past = history.last(self.pasts, point.scenario, replica.name, conditions)
            before = compare.before(past[0], figures, conditions, past[1], self.tolerance) if past else None
        counts = (found.completed, found.failed) if found else (None, None)
        self._tell(record.point(point, conditions, figures, counts, why, time.monotonic() - began, page, before, client.remarks))
        if why:
            run.fail(point.node, f"bench {point.title}", why)

    def _tell(self, p: dict[str, Any]) -> None:
        """Said, kept and noted at once: an interrupt loses nothing that was measured."""
        self.points.append(p)
        self.progress.end()
        terminal.show(*table.point(p, self.tolerance), "")
        self.run.folder.event("bench", **record.short(p))
        for side, word in (("page", "the page's"), ("before", "the last run's")):
            if p[side] and p[side]["worse"]:
                sentence = f"{p['title']} on replica {p['replica']} is worse than {word}: {table.said(p[side], self.tolerance)}"
                self.run.facts.setdefault("report.bench.warnings", []).append(sentence)
                terminal.line(("warning: ", "yellow"), sentence, out=sys.stderr)
        self.keep()

    def keep(self) -> None:
        """Whole or not at all."""
        run = self.run
        run.facts["report.bench"] = [record.short(p) for p in self.points]
        data = record.run(run.plan, self.points, self.left_out, self.tolerance, self.began, now())
        part = run.folder.path / f"{history.FILE}.part"
        part.write_text(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
        os.replace(part, run.folder.path / history.FILE)
