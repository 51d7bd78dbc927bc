"""What is kept of a run: bench.json, its curves, and the short form in the report. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from roles.bench import history
from roles.bench.command import Point
from roles.bench.compare import Beside
from roles.plan.plan import Plan

CURVE = (
    "request_throughput", "output_throughput", "total_token_throughput",
    *(f"{way}_{what}_ms" for what in ("ttft", "tpot", "itl", "e2el") for way in ("mean", "median", "p99")),
)  # fmt: skip
SPELLED = {"total_throughput": "total_token_throughput", **{f"{w}_e2e_latency_ms": f"{w}_e2el_ms" for w in ("mean", "median", "p99")}}
"""SGLang's names of the same figures, for curves; elsewhere every tool keeps its own."""
HEADLINE = ("output_throughput", "mean_ttft_ms", "mean_tpot_ms", "accuracy")


def point(
    one: Point,
    conditions: Mapping[str, Any],
    figures: Mapping[str, float],
    counts: tuple[int | None, int | None],
    why: str,
    seconds: float,
    page: Beside | None,
    before: Beside | None,
    remarks: Sequence[str],
) -> dict[str, Any]:
    """One benchmark that was run; `why` is what went wrong, empty when all of it was answered."""
    return {
        "scenario": one.scenario,
        "title": one.title,
        "replica": one.replica,
        "node": one.node,
        "tool": one.tool,
        "argv": list(one.argv),
        "note": one.note,
        "conditions": dict(conditions),
        "ok": not why,
        "why": why,
        "completed": counts[0],
        "failed": counts[1],
        "seconds": round(seconds, 1),
        "figures": dict(figures),
        "remarks": list(remarks),
        "page": {**page.data(), "hardware": one.reference["hardware"]} if page and one.reference else None,
        "before": before.data() if before else None,
    }


def run(
    plan: Plan, points: Sequence[Mapping[str, Any]], left_out: Sequence[str], tolerance: float, began: str, ended: str
) -> dict[str, Any]:
    """The whole file; later runs read it as their history."""
    return {
        "format": history.FORMAT,
        "cluster": plan.cluster,
        "recipe": plan.recipe,
        "model": plan.model,
        "engine": plan.engine,
        "version": plan.version,
        "plan_hash": plan.hash,
        "began": began,
        "ended": ended,
        "tolerance": tolerance,
        "left_out": list(left_out),
        "points": list(points),
        "curves": curves(points),
    }


def curves(points: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Points that differ only in how many requests run at the same time, by that number: two of them are a curve."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for p in points:
        at = p["conditions"]["concurrency"]
        if p["ok"] and at is not None:
            same = {k: p["conditions"][k] for k in ("tool", "input", "output", "options")}
            groups.setdefault(f"{p['replica']} {sorted(same.items(), key=str)}", []).append(p)
    found = []
    for members in groups.values():
        by_number = {p["conditions"]["concurrency"]: p for p in members}
        if len(by_number) > 1:
            first = members[0]
            names = list(dict.fromkeys(m["scenario"] for m in members))
            places = [_place(by_number[at]) for at in sorted(by_number)]
            head = {k: first["conditions"][k] for k in ("input", "output")}
            found.append({"replica": first["replica"], "scenarios": names, "tool": first["tool"], **head, "points": places})
    return found


def _place(p: Mapping[str, Any]) -> dict[str, Any]:
    """One place on a curve, and what stands beside it where like stands beside like; what the tool did not tell is null."""
    figures = _spelled(p["figures"])
    pace = figures["mean_tpot_ms"]
    return {
        "concurrency": p["conditions"]["concurrency"],
        "prompts": p["conditions"]["prompts"],
        "scenario": p["scenario"],
        **figures,
        "tokens_per_s_of_one_request": 1000 / pace if pace else None,
        **{side: _spelled(p[side]["figures"]) if p[side] and not p[side]["unlike"] else None for side in ("page", "before")},
    }


def _spelled(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a curve under one name each."""
    known = {SPELLED.get(k, k): v for k, v in figures.items()}
    return {k: known.get(k) for k in CURVE}


def short(p: Mapping[str, Any]) -> dict[str, Any]:
    """A point as the report tells it."""
    kept = {k: p[k] for k in ("scenario", "title", "replica", "node", "ok", "why", "completed", "failed")}
    kept |= {k: p["figures"][k] for k in HEADLINE if k in p["figures"]}
    for side in ("page", "before"):
        if p[side]:
            kept[side] = {k: p[side][k] for k in ("name", "verdict", "unlike", "worse")}
            kept[side]["ratios"] = {k: v for k, v in (p[side]["ratios"] or {}).items() if k in HEADLINE}
    return kept
