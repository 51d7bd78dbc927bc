"""May two results be compared? What each was measured with, and every way in which they differ. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from roles.bench.command import CONCURRENCY, PROMPTS, SEED, Point
from roles.plan.bench import lengths
from roles.plan.plan import Plan, ReplicaPlan

PLACES = ("model", "tokenizer", "host", "port", "base-url", "dataset-path", "data-path", "data_dir")
"""Options that say where things are and how they are called, not what is measured."""
SAME = {
    "model": "model", "engine": "engine", "machine": "machine", "accelerator": "accelerator", "accelerators": "number of accelerators",
    "nodes": "number of nodes", "tool": "tool", "input": "input tokens", "output": "output tokens",
    "concurrency": "requests at the same time", "prompts": "number of requests",
}  # fmt: skip
REMARKED = {"version": "engine version", "layout": "layout"}


def conditions(plan: Plan, replica: ReplicaPlan, point: Point, accelerator: str) -> dict[str, Any]:
    """What a result is measured with: all that must be the same for another one to stand beside it."""
    known, options = plan.known, point.options
    sizes = lengths(options) or (None, None)
    return {
        "model": plan.model,
        "engine": plan.engine,
        "version": plan.version,
        "machine": known.recipe.hardware,
        "accelerator": accelerator,
        "accelerators": known.layout.devices * len(replica.nodes),
        "nodes": len(replica.nodes),
        "layout": layout(plan),
        "tool": point.tool,
        "input": sizes[0],
        "output": sizes[1],
        "concurrency": number(options.get(CONCURRENCY)),
        "prompts": number(options.get(PROMPTS)),
        "seed": number(options.get(SEED)),
        "options": {k: v for k, v in options.items() if k not in (*PLACES, CONCURRENCY, PROMPTS, SEED)},
    }


def layout(plan: Plan) -> dict[str, int]:
    """Parallel sizes as people say them: those above one."""
    sizes = {"tp": plan.known.layout.tp, "dp": plan.known.layout.dp, "pp": plan.known.layout.pp, "pcp": plan.known.layout.pcp}
    return {k: v for k, v in sizes.items() if v > 1} or {"tp": 1}


def number(value: object) -> int | None:
    return int(value) if isinstance(value, str) and value.isdigit() else None


def unlike_page(ours: Mapping[str, Any], reference: Mapping[str, Any]) -> list[str]:
    """Why a page's result is not to be compared with ours; nothing when it is."""
    setup, work = reference["setup"], reference["workload"]
    theirs = {"model": reference["model"], **{k: setup[k] for k in ("engine", "machine", "accelerators")}, **work}
    found = [_differ(word, ours[k], theirs[k], "on the page") for k, word in SAME.items() if k in theirs and ours[k] != theirs[k]]
    wanted, seen = setup["accelerator"], ours["accelerator"]
    if wanted and wanted.lower() not in seen.lower():
        found.append(_differ("accelerator", seen or "not known", wanted, "on the page"))
    shown = {k: v for k, v in setup["layout"].items() if v > 1}
    if shown and shown != {k: v for k, v in ours["layout"].items() if v > 1}:
        found.append(_differ("layout", _words(ours["layout"]), _words(shown), "on the page"))
    return found


def unlike_before(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Why an earlier result of this cluster is not to be compared with ours; nothing when it is."""
    found = [_differ(word, ours[k], theirs.get(k), "then") for k, word in SAME.items() if ours[k] != theirs.get(k)]
    return found or list(_options(ours["options"], theirs.get("options") or {}))


def _options(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    """The tool's own options, where they are not said already: rates, shares that repeat, endings."""
    for name in sorted({*ours, *theirs}):
        if ours.get(name) != theirs.get(name):
            yield _differ(f"--{name}", ours.get(name), theirs.get(name), "then")


def remarks(ours: Mapping[str, Any], theirs: Mapping[str, Any], then: str) -> list[str]:
    """What differs, is no reason against comparing, and must be said beside the ratio."""
    found = []
    for key, word in REMARKED.items():
        if theirs.get(key) and theirs[key] != ours[key]:
            found.append(_differ(word, _words(ours[key]), _words(theirs[key]), then))
    return found


def _words(value: object) -> object:
    return " ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else value


def _differ(word: str, ours: object, theirs: object, where: str) -> str:
    return f"{word} {_shown(ours)} here, {_shown(theirs)} {where}"


def _shown(value: object) -> str:
    return "none" if value is None or value == "" else "set" if value is True else str(value)
