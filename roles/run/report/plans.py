"""The plan in the page: what changed since the run before, what the first node runs, how the others differ from it. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from roles.plan import diff
from roles.run.report.words import who

MOST_ENDPOINTS = 4
KINDS = {"+": "added", "-": "removed", "~": "changed"}


@dataclass(frozen=True)
class Line:
    """One line of a difference; `kind` is its mark in words, for those who do not see colours."""

    kind: str
    text: str


@dataclass(frozen=True)
class Group:
    """Nodes that change in the same way; without nodes, what changes for all of the plan."""

    nodes: str
    more: tuple[str, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Change:
    """This plan and the one of the run before."""

    name: str
    same: bool
    groups: tuple[Group, ...]


def change(before: tuple[str, Mapping[str, Any]] | None, plan: Mapping[str, Any]) -> Change | None:
    """Nothing where there was no run before."""
    if before is None:
        return None
    name, old = before
    return Change(name, old["hash"] == plan["hash"], tuple(_groups(diff.lines(old, plan), sum(len(r["nodes"]) for r in plan["replicas"]))))


def _groups(lines: Iterable[str], everybody: int) -> Iterator[Group]:
    """The lines of the plan, then those of its nodes: equal ones once."""
    whole: list[Line] = []
    nodes: dict[str, list[Line]] = {}
    for text in lines:
        if text.startswith(" "):
            nodes[list(nodes)[-1]].append(_line(text.strip()))
        elif text.startswith("node "):
            nodes[text.removeprefix("node ")] = []
        else:
            whole.append(_line(text))
    alike: dict[tuple[Line, ...], list[str]] = {}
    for name, own in nodes.items():
        alike.setdefault(tuple(own), []).append(name)
    if whole:
        yield Group("", (), tuple(whole))
    for own_lines, names in alike.items():
        yield Group(*who(names, everybody), own_lines)


def _line(text: str) -> Line:
    return Line(KINDS.get(text[:1], "changed") if text[1:2] == " " else "changed", text)


@dataclass(frozen=True)
class Command:
    """Something a node runs, one option a line."""

    title: str
    text: str


def commands(plan: Mapping[str, Any]) -> tuple[str, list[Command]]:
    """The first node's name, and all it runs."""
    node = plan["replicas"][0]["nodes"][0]
    found = [Command("Engine", wrapped(node["serve_argv"]))]
    if node["runtime"] == "docker":
        found.append(Command("Container", wrapped(node["run_argv"][: node["run_argv"].index(node["image"]) + 1])))
    if node["env"]:
        found.append(Command("Environment", "\n".join(f"{k}={v}" for k, v in node["env"].items())))
    if node["after_ready_argv"]:
        found.append(Command("Then, once it answers", wrapped(node["after_ready_argv"])))
    return str(node["name"]), found


def wrapped(argv: Sequence[str]) -> str:
    """A command line that a shell would take, one option a line."""
    lines: list[list[str]] = [[]]
    for word in argv:
        if word.startswith("--") and lines[-1]:
            lines.append([])
        lines[-1].append(str(word))
    return " \\\n  ".join(shlex.join(line) for line in lines)


def others(plan: Mapping[str, Any]) -> list[tuple[str, tuple[str, ...]]]:
    """Every other node, by what it runs differently from the first."""
    nodes = [n for r in plan["replicas"] for n in r["nodes"]]
    return [(str(n["name"]), tuple(_between(plan, nodes[0], n))) for n in nodes[1:]]


def _between(plan: Mapping[str, Any], one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    """Two nodes compared as if they were one node in two plans."""
    a, b = ({**plan, "replicas": [{"name": "", "nodes": [{**n, "name": "node"}]}]} for n in (one, other))
    yield from (line.strip() for line in diff.lines(a, b) if line.startswith(" "))


def facts(plan: Mapping[str, Any]) -> dict[str, str]:
    """What is served, by what, where."""
    first = plan["replicas"][0]["nodes"][0]
    verify = plan.get("verify") or {}
    ends = [f"{name}: {url}/v1" for name, url in (verify.get("outside") or verify.get("endpoints") or {}).items()]
    if len(ends) > MOST_ENDPOINTS:
        ends[MOST_ENDPOINTS:] = [f"and {len(ends) - MOST_ENDPOINTS} more, in plan.json"]
    found = {
        "Recipe": plan["recipe"],
        "Model": plan["model"] + (f", served as {verify['model']}" if verify.get("model") else ""),
        "Engine": f"{plan['engine']} {plan['version']}",
        "Image": first.get("image") or "",
        "Endpoints": "\n".join(ends),
    }
    return {k: str(v) for k, v in found.items() if v}
