"""The page itself: a run folder's record, put into the template."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from roles.run.report import extras, figures, plans, timeline, words
from roles.run.report.findings import findings
from roles.run.report.outcome import Outcome, outcome
from roles.run.report.read import Record, read

HERE = Path(__file__).parent
NAME = "report.html"
MARKS = {"good": "✓", "warn": "!", "bad": "✕", "plain": "–"}
LEVELS = {"fail": "bad", "warn": "warn", "skip": "plain", "pass": "good"}


def write(folder: Path, secrets: Sequence[str] = ()) -> Path:
    """Whole or not at all."""
    text = html(read(folder, secrets))
    part = folder / f"{NAME}.part"
    part.write_text(text, encoding="utf-8", errors="replace")
    os.replace(part, folder / NAME)
    return folder / NAME


def html(record: Record, zone: tzinfo | None = None) -> str:
    """The same record gives the same page, but for the local time."""
    return _environment().get_template("page.html").render(_context(record, zone))


@functools.cache
def _environment() -> Environment:
    """Nothing of a record is ever markup: all of it is escaped."""
    made = Environment(autoescape=True, loader=FileSystemLoader(HERE), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {"duration": words.duration, "clock": words.clock, "number": words.number, "counted": words.counted}
    return made


def _context(record: Record, zone: tzinfo | None) -> dict[str, Any]:
    report, plan = record.report, record.plan
    nodes = extras.nodes(report)
    names = [n.name for n in nodes]
    said = outcome(report)
    line = timeline.timeline(report, plan)
    stages = timeline.by_stage(line) if line else []
    changed, unchanged = extras.changes(record.events, len(names))
    return {
        "style": Markup((HERE / "style.css").read_text(encoding="utf-8")),
        "marks": MARKS,
        "levels": LEVELS,
        "name": record.name,
        "report": report,
        "title": f"{report['cluster']}: {report['verb']}",
        "outcome": said,
        "head": _head(record, said, zone),
        "failures": extras.failures(report),
        "warnings": [*report["warnings"], *(record.facts.get("report.bench.warnings") or [])],
        "unread": record.unread,
        "doctor": extras.doctor(record.doctor, record.facts),
        "line": line,
        "phases": timeline.PHASES,
        "gantt": line and _drawn(lambda chart: chart.gantt(line, timeline.summary(line, f"{report['verb']} of {report['cluster']}"))),
        "stages": stages,
        "matrix": timeline.by_node(line, stages) if line else [],
        "proof": extras.proof(record.facts),
        "bench": figures.tables(record.bench) if record.bench else [],
        "left_out": (record.bench or {}).get("left_out") or [],
        "curves": [(c, [_drawn(functools.partial(_curve, plot=p)) for p in c.plots]) for c in figures.curves(record.bench or {})],
        "sides": {"here": "this run", **figures.SIDES},
        "findings": findings(report["findings"], names),
        "nodes": nodes,
        "status": extras.status(record.facts),
        "ranks": extras.RANKS,
        "weights": extras.weights(record.facts),
        "decisions": extras.decisions(record.events),
        "changes": changed,
        "changes_left_out": unchanged,
        "plan": plan,
        "plan_facts": plans.facts(plan) if plan else {},
        "changed": plans.change(record.before, plan) if plan else None,
        "commands": plans.commands(plan) if plan else None,
        "others": plans.others(plan) if plan else [],
        "extras": extras.others(record.facts),
    }


def _head(record: Record, said: Outcome, zone: tzinfo | None) -> list[tuple[str, str, bool]]:
    """What anybody asks first: label, text, and whether it is something typed."""
    report, plan = record.report, record.plan or {}
    began, ended = words.when(report.get("began")), words.when(report.get("ended"))
    nodes: Sequence[Mapping[str, Any]] = report.get("nodes") or ()
    reached = sum(bool(n.get("reached")) for n in nodes)
    replicas = len({n.get("replica") for n in nodes})
    versions: Mapping[str, str] = report.get("versions") or {}
    found = [
        ("Began", words.moment(began, zone), False),
        ("Took", words.duration((ended - began).total_seconds() if began and ended else None), False),
        ("Exit status", str(report.get("exit")), False),
        ("Nodes", f"{reached} of {len(nodes)} reached, {words.counted(replicas, 'replica')}", False),
        ("Model", str(plan.get("model", "")), False),
        ("Engine", f"{plan['engine']} {plan['version']}" if plan else "", False),
        ("Recipe", str(report.get("recipe", "")), False),
        ("Plan", str(report.get("plan_hash", "")), True),
        ("Versions", ", ".join(f"{k} {v}" for k, v in sorted(versions.items())), False),
        ("Command", str(report.get("command", "")), True),
    ]
    return [one for one in found if one[1]]


def _curve(chart: Any, plot: figures.Plot) -> str:
    text: str = chart.curve([chart.Line(side, points) for side, points in plot.lines], plot.x, plot.y, plot.said)
    return text


def _drawn(draw: Callable[[Any], str]) -> Markup:
    """A plot that cannot be drawn leaves the tables, which say the same."""
    try:
        from roles.run.report import chart

        return Markup(draw(chart))  # an XML library wrote it, and escaped every text
    except Exception as e:
        return Markup('<p class="note">The plot could not be drawn ({}); the tables below say the same.</p>').format(type(e).__name__)
