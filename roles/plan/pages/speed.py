"""What a recipe's page says of benchmarks: the command of each, and the vendor page's own result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from roles.plan.bench import Reference
from roles.plan.pages.sample import Sample
from roles.plan.pages.words import block, bullets, plain, sections, table, wrapped

UNITS = {"_ms": "ms", "throughput": "tokens/s", "duration": "s"}


def benchmarks(s: Sample) -> str:
    if not s.plan.bench:
        return "Its page has none."
    parts = [
        "`bench` runs them inside the engine's container and sets the page's result beside ours only where model, machine, layout and load "
        "are alike ([how](../verbs.md#what-bench-measures)). None was run on this hardware yet.",
        block("pyinfra inventories/mine.py deploy/bench.py", "sh"),
    ]
    for entry in s.plan.bench:
        parts += [f"### {entry['name']}", *_one(entry, s.recipe.bench[entry["name"]].reference)]
    return sections(*parts)


def _one(entry: dict[str, Any], reference: Reference | None) -> Iterator[str]:
    yield block(wrapped(entry["argv"]), "sh")
    yield bullets(
        plain(text) for text in (entry["note"], f"As the sample stands it cannot run: {entry['lacks']}" if entry["lacks"] else "") if text
    )
    if reference is None:
        return
    load = reference.workload
    yield (
        f"The page's result ({plain(reference.source)}): {plain(reference.hardware)}, {reference.model}, {load.input} tokens in and "
        f"{load.output} out, {load.concurrency} at a time, {load.prompts} requests."
    )
    yield table(
        ["figure", "page", ""], ((name.replace("_", " "), f"{value:.15g}", _unit(name)) for name, value in reference.metrics.items())
    )


def _unit(name: str) -> str:
    if name == "request_throughput":
        return "requests/s"
    return next((unit for ending, unit in UNITS.items() if name.endswith(ending)), "")
