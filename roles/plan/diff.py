"""What would change between two plans, as lines a person can read."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from roles.plan.errors import PlanError

TOP = ("cluster", "recipe", "model", "engine", "version")
PLAIN = ("address", "rank", "nic", "runtime", "image")


def load(path: Path) -> dict[str, Any]:
    """A plan saved with --json."""
    try:
        data = json.loads(path.read_bytes().decode("utf-8"))
    except OSError as e:
        raise PlanError(f"{path}: cannot be read ({e.strerror}), expected a plan saved with --json") from None
    except (ValueError, RecursionError) as e:
        raise PlanError(f"{path}: is not JSON ({e}), expected a plan saved with --json") from None
    if not isinstance(data, dict) or not all(k in data for k in (*TOP, "hash", "replicas")):
        raise PlanError(f"{path}: is not a plan, expected a file saved with python -m roles.plan INVENTORY --json")
    try:
        list(lines(data, data))
    except (KeyError, TypeError, AttributeError):
        raise PlanError(f"{path}: is a plan with parts missing, expected one saved with this version's --json") from None
    return data


def lines(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """`old` to `new`: nothing is yielded when they would run the same."""
    for key in TOP:
        if old[key] != new[key]:
            yield f"{key}: {old[key]} -> {new[key]}"
    before, after = _nodes(old), _nodes(new)
    for name in [n for n in before if n not in after]:
        yield f"- node {name} leaves"
    for name in [n for n in after if n not in before]:
        yield f"+ node {name} joins replica {after[name][0]} as rank {after[name][1]['rank']}"
    for name in [n for n in after if n in before]:
        changes = list(_node(before[name], after[name]))
        if changes:
            yield f"node {name}"
            yield from (f"  {c}" for c in changes)


def _nodes(plan: Mapping[str, Any]) -> dict[str, tuple[str, Mapping[str, Any]]]:
    return {n["name"]: (r["name"], n) for r in plan["replicas"] for n in r["nodes"]}


def _node(old: tuple[str, Mapping[str, Any]], new: tuple[str, Mapping[str, Any]]) -> Iterator[str]:
    if old[0] != new[0]:
        yield f"replica: {old[0]} -> {new[0]}"
    a, b = old[1], new[1]
    for key in PLAIN:
        if a[key] != b[key]:
            yield f"{key}: {a[key]} -> {b[key]}"
    yield from _map("env ", a["env"], b["env"], "=")
    yield from _map("", _flags(a["serve_argv"]), _flags(b["serve_argv"]), " ")
    yield from _map("then ", _flags(a["after_ready_argv"]), _flags(b["after_ready_argv"]), " ")
    for key in ("devices", "mounts"):
        yield from (f"- {key[:-1]} {x}" for x in a[key] if x not in b[key])
        yield from (f"+ {key[:-1]} {x}" for x in b[key] if x not in a[key])
    yield from _map("port ", a["ports"], b["ports"], " ")
    yield from _map("docker ", _flags(_docker(a)), _flags(_docker(b)), " ")
    if a["setup"] != b["setup"]:
        yield "setup: the source patches differ"


def _docker(node: Mapping[str, Any]) -> list[str]:
    """The container options that no other line tells, without the labels that carry hashes."""
    if node["runtime"] != "docker":
        return []
    told = ("--env", "--device", "--mount", "--label")
    argv = node["run_argv"][: node["run_argv"].index(node["image"])]
    return [w for i, w in enumerate(argv) if w not in told and (i == 0 or argv[i - 1] not in told)]


def _flags(argv: list[str]) -> dict[str, str]:
    """`--flag value ...` as a map; what stands before the first flag is the command."""
    result: dict[str, list[str]] = {"": []}
    current = ""
    for word in argv:
        if word.startswith("--"):
            current, equals, value = word.partition("=")
            result.setdefault(current, []).extend([value] if equals else [])
        else:
            result[current].append(word)
    return {k: shlex.join(v) for k, v in result.items()}


def _map(label: str, old: Mapping[str, Any], new: Mapping[str, Any], join: str) -> Iterator[str]:
    for key in [k for k in old if k not in new]:
        yield f"- {label}{key}{join}{old[key]}".rstrip()
    for key in new:
        if key not in old:
            yield f"+ {label}{key}{join}{new[key]}".rstrip()
        elif str(old[key]) != str(new[key]):
            yield f"~ {label}{key}: {old[key]} -> {new[key]}"
