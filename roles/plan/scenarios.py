"""The recipe's benchmarks against one replica: command lines, and why one of them cannot run as things are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from roles.plan.bench import Bench, lengths
from roles.plan.check import collect
from roles.plan.cluster import Replica
from roles.plan.errors import near
from roles.plan.keys import BenchKeys
from roles.plan.resolve import Resolved
from roles.plan.settings import argv, filled

TOOLS = {"vllm-bench": ["vllm", "bench", "serve"], "sglang-bench": ["python3", "-m", "sglang.bench_serving"], "script": ["python3"]}


def entries(r: Resolved, replica: Replica, names: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The page's benchmarks against this replica, with the page's own results beside them."""
    collect(_strange(r))
    return [
        {
            "name": name,
            "replica": replica.name,
            "node": replica.head.name,
            "tool": b.tool,
            "argv": _argv(b, r.keys.bench.get(name, BenchKeys()), names, f"{r.file}: bench.{name}"),
            "lacks": _lacks(r, name, b),
            "note": b.note,
            "reference": b.reference.model_dump() if b.reference else None,
        }
        for name, b in r.recipe.bench.items()
    ]


def _strange(r: Resolved) -> Iterator[str]:
    """What the inventory says of benchmarks that the recipe does not have, or that take no such file."""
    known = r.recipe.bench
    for name, keys in r.keys.bench.items():
        place = f'{r.place}: "bench.{name}"'
        if name not in known:
            yield f"{place} is no benchmark of {r.keys.recipe}{near(name, known)}; expected one of: {', '.join(known) or 'none'}"
        elif keys.script and known[name].tool != "script":
            yield f"{place} has a script, but {known[name].tool} runs it; expected data only"
        elif keys.data and not known[name].data:
            yield f"{place} has data, but its data set is made by the tool; expected neither"


def _argv(b: Bench, keys: BenchKeys, names: Mapping[str, Any], place: str) -> list[str]:
    words = list(TOOLS[b.tool])
    if b.script:
        words.append(keys.script or b.script)
    options = {**b.options, **({b.data: keys.data} if b.data and keys.data else {})}
    for option, value in options.items():
        words += argv(option, filled(value, names, place) if option != b.data else value)
    return words


def _lacks(r: Resolved, name: str, b: Bench) -> str:
    """Why it cannot run as things are; empty where it can."""
    if b.tool == "script" and b.data and r.keys.bench.get(name, BenchKeys()).data is None:
        return f'its data set is missing: "bench": {{"{name}": {{"data": "/PATH"}}}} in the inventory, and a mount of it'
    flag = r.engine.layout.get("max_len", "")
    limit = r.settings.value(flag) if flag else None
    limit = limit if isinstance(limit, int) else r.model.context
    need = b.context or sum(lengths(b.options) or (0, 0))
    if limit and need > limit:
        return f"one request needs {need} tokens, and {flag or 'the context'} is {limit}"
    return ""
