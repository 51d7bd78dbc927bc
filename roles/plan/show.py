"""A plan for people: per node its commands, one flag a line; the steps; the ports."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from roles.plan.node import Explained, NodePlan
from roles.plan.plan import Plan, ReplicaPlan

WIDTH = 64


def readable(plan: Plan, explain: bool = False) -> str:
    """The whole plan as text; `explain` adds why each flag and variable is there."""
    return "\n".join(_lines(plan, explain)) + "\n"


def _lines(plan: Plan, explain: bool) -> Iterator[str]:
    nodes = sum(len(r.nodes) for r in plan.replicas)
    yield f"{plan.cluster}: {plan.title}"
    yield f"  recipe {plan.recipe} · model {plan.model} · {plan.engine} {plan.version} · plan {plan.hash}"
    yield f"  {_counted(len(plan.replicas), 'replica')}, {_counted(nodes, 'node')}; served as {plan.verify['model']}"
    for warning in plan.warnings:
        yield f"  warning: {warning}"
    if explain:
        for item in plan.left_out:
            yield f"  left out: {item}"
    for replica in plan.replicas:
        yield ""
        engine = plan.verify["endpoints"][replica.name]
        outside = plan.verify.get("outside", {}).get(replica.name)
        yield f"replica {replica.name}  {outside}/v1  (nginx, in front of {engine})" if outside else f"replica {replica.name}  {engine}/v1"
        for node in replica.nodes:
            yield from _node(node, explain)
        yield from _steps(replica)
        yield from _ports(replica)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _node(node: NodePlan, explain: bool) -> Iterator[str]:
    where = node.name if node.name == node.address else f"{node.name} ({node.address})"
    yield ""
    yield f"  rank {node.rank}  {where}{f'  {node.nic}' if node.nic else ''}"
    if node.runtime == "docker":
        yield "    container"
        yield from _wrapped(node.run_argv[: node.run_argv.index(str(node.image))])
        yield f"      {node.image}"
    else:
        yield "    environment"
        yield from (f"      {shlex.quote(f'{k}={v}')}" for k, v in node.env.items())
    for patch in node.setup:
        yield f"    setup  {patch['do']} {patch['file']}" + (f" -> {patch['to']}" if "to" in patch else f": {patch['line']}")
    yield "    engine"
    yield from _engine(node, explain)
    if node.after_ready_argv:
        yield "    then, once it answers"
        yield from _wrapped(node.after_ready_argv)
    if explain:
        yield "    variables"
        yield from _explained(node.variables)


def _engine(node: NodePlan, explain: bool) -> Iterator[str]:
    flagged = sum(len(f.words) for f in node.flags)
    yield f"      {shlex.join(node.serve_argv[: len(node.serve_argv) - flagged])}"
    if explain:
        yield from _explained(node.flags)
    else:
        yield from (f"        {shlex.join(f.words)}" for f in node.flags)


def _explained(items: tuple[Explained, ...]) -> Iterator[str]:
    for item in items:
        words = shlex.join(item.words)
        reason = item.why + (f"  [{item.source}]" if item.source and item.source != "inventory" else "")
        yield f"        {words:<{WIDTH}}  {reason}".rstrip()


def _wrapped(argv: list[str]) -> Iterator[str]:
    """One option and its value a line, so that two plans can be read side by side."""
    line: list[str] = []
    for word in argv:
        if word.startswith("--") and line:
            yield f"      {shlex.join(line)}"
            line = []
        line.append(word)
    yield f"      {shlex.join(line)}"


def _steps(replica: ReplicaPlan) -> Iterator[str]:
    yield ""
    yield "  steps"
    run: list[str] = []
    last = ""
    number = 0
    for step in (s for s in replica.steps if s["do"] != "open"):
        detail = " ".join(f"{k}={v}" for k, v in step.items() if k not in ("node", "do") and v not in (None, [], ""))
        text = f"{step['do']}{f'  {detail}' if detail else ''}"
        if text != last and run:
            number += 1
            yield _step(number, last, run)
            run = []
        run.append(step["node"])
        last = text
    yield _step(number + 1, last, run)


def _step(number: int, text: str, nodes: list[str]) -> str:
    where = ", ".join(nodes) if len(nodes) <= 3 else f"{nodes[0]} .. {nodes[-1]} ({len(nodes)} nodes)"
    return f"    {number:>2}. {where}: {text}"


def _ports(replica: ReplicaPlan) -> Iterator[str]:
    yield ""
    yield "  ports that must be open"
    for step in (s for s in replica.steps if s["do"] == "open"):
        named = f"  (among them {', '.join(step['named'])})" if step.get("named") else ""
        yield f"    {', '.join(step['from'])} -> {step['to']}  tcp {', '.join(step['ports'])}{named}"
