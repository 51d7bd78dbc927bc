"""What a recipe's page says of running it: commands, reasons, ports, proof."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from roles.plan.node import Explained, NodePlan
from roles.plan.pages.sample import Sample
from roles.plan.pages.words import block, bullets, code, plain, sections, table, wrapped
from roles.plan.recipe import Setting

PORTS = {
    "api": "the HTTP API, on rank 0",
    "rpc": "where the data-parallel ranks meet, on rank 0",
    "hccl": "HCCL, between the nodes",
    "master": "torch's meeting point, on rank 0",
    "gang": "where the nodes of a replica tell each other what they do",
}
EXPECTED = {
    "text": "an answer that looks like language",
    "tool-call": "a call of the tool it was given",
    "reasoning": "thinking, apart from the answer",
}


def commands(s: Sample) -> str:
    """Exactly what is run, node by node."""
    parts = ["As the unit on the node runs it; `python -m roles.plan` shows yours."]
    for node in s.plan.replicas[0].nodes:
        parts += [f"### Rank {node.rank}, {node.name}", *_patches(s, node), block(_command(node), "sh")]
        if node.after_ready_argv:
            parts += ["Once it answers:", block(wrapped(node.after_ready_argv), "sh")]
    return sections(*parts)


def _command(node: NodePlan) -> str:
    if node.image is None or node.image not in node.run_argv:
        return wrapped(node.run_argv, range(1, len(node.run_argv) - len(node.serve_argv) + 1))
    at = node.run_argv.index(node.image)
    return wrapped(node.run_argv, {at, at + 1})


def _patches(s: Sample, node: NodePlan) -> Iterator[str]:
    if node.setup:
        why = {p.file: p.why for p in s.recipe.setup}
        yield "Before the engine starts, these files of the image are changed; anything unexpected in them ends the start:"
        yield bullets(
            f"{p['do']} {code(p['file'])}{' to ' + code(p['to']) if 'to' in p else ': ' + code(p['line'])}. {plain(why[p['file']])}"
            for p in node.setup
        )


def reasons(s: Sample) -> str:
    nodes = s.plan.replicas[0].nodes
    flags, variables = ([getattr(n, kind) for n in nodes] for kind in ("flags", "variables"))
    return sections(
        table(["flag", "why", "source"], _explained(flags)),
        table(["variable", "why", "source"], _explained(variables)),
        table(["flag of the second step", "why", "source"], _launched(s)),
        "Not set here:" if any(True for _ in _unset(s)) else "",
        table(["setting", "when", "why", "source"], _unset(s)),
    )


def _explained(of_nodes: list[tuple[Explained, ...]]) -> Iterator[tuple[str, str, str]]:
    """Rank 0's first, then what only others have; values that differ from rank to rank stand side by side."""
    by_name: dict[str, dict[int, Explained]] = {}
    for rank, items in enumerate(of_nodes):
        for item in items:
            by_name.setdefault(item.words[0].partition("=")[0], {})[rank] = item
    for ranks in by_name.values():
        values = dict.fromkeys(" ".join(i.words) for i in ranks.values())
        some = f" (rank {', '.join(map(str, ranks))})" if len(ranks) < len(of_nodes) else ""
        first = next(iter(ranks.values()))
        yield ", ".join(map(code, values)) + some, plain(first.why), plain(first.source)


def _launched(s: Sample) -> Iterator[tuple[str, str, str]]:
    known = s.plan.known
    for c in known.settings.launch if known.engine.launch else ():
        yield code(f"--{c.name}"), plain(c.why), plain(c.source)


def _unset(s: Sample) -> Iterator[tuple[str, str, str, str]]:
    """What the recipe sets under other circumstances."""
    settings = s.plan.known.settings
    for dash, of_recipe, chosen in (
        ("--", s.recipe.flags, settings.flags),
        ("", s.recipe.env, settings.env),
        ("--", s.recipe.launch, settings.launch),
    ):
        have = {c.name for c in chosen}
        yield from _conditional(dash, {k: v for k, v in of_recipe.items() if k not in have})


def _conditional(dash: str, settings: Mapping[str, Setting]) -> Iterator[tuple[str, str, str, str]]:
    for name, x in settings.items():
        if x.when or x.unless:
            when = " or ".join(map(code, x.when)) + (f" not {', '.join(map(code, x.unless))}" if x.unless else "")
            yield code(f"{dash}{name}"), when, plain(x.why), plain(x.source)


def ports(s: Sample) -> str:
    replica = s.plan.replicas[0]
    rows = ((code(number), name, PORTS[name]) for name, number in s.plan.known.ports.items())
    opens = ((", ".join(step["from"]), step["to"], _numbers(step)) for step in replica.steps if step["do"] == "open")
    return sections(
        table(["port", "key of `ports`", "what for"], rows),
        "What must be reached from where; `check` tries it in both directions:",
        table(["from", "to", "tcp"], opens),
    )


def _numbers(step: Mapping[str, Any]) -> str:
    named = step.get("named")
    return ", ".join(step["ports"]) + (f" (among them {', '.join(named)})" if named else "")


def proof(s: Sample) -> str:
    verify, limits = s.plan.verify, s.plan.known.deadlines
    stages = ", ".join(x["name"] for x in verify["stages"])
    ranks = f"a completion from each of the {verify['ranks']} data-parallel ranks" if verify["ranks"] > 1 else "a completion"
    return sections(
        f"`serve` follows every log through its stages ({stages}), for {limits['ready']} s at most and {limits['stall']} s without a "
        f"sign of life, and says *served* only after:",
        bullets(
            [
                f"{code(verify['paths']['health'])} answers 200, and {code(verify['paths']['models'])} names {code(verify['model'])}",
                ranks,
                *(f"{code(r['name'])} on {code(r['path'])}: {EXPECTED[r['expect']]}" for r in verify["requests"]),
                *(["a call of that tool when it is forced"] if any(r["expect"] == "tool-call" for r in verify["requests"]) else []),
                "content as a list, streaming, and ten seconds of requests without a pause",
            ]
        ),
    )
