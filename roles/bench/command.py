"""What is run: the page's command line with this run's numbers, and the script that takes it into the engine's container. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roles.plan import container
from roles.plan.node import NodePlan
from roles.plan.plan import Plan, ReplicaPlan
from roles.run import key, remote

HERE = Path(__file__).parent
CONCURRENCY, PROMPTS, SEED = "max-concurrency", "num-prompts", "seed"
OURS = (CONCURRENCY, PROMPTS, SEED)
FULL = 4
"""Requests for each place of a sweep's concurrency, so that starting and ending do not fill the figure."""
FILE = "result.json"
HERE_TOO = ("127.0.0.1", "localhost", "0.0.0.0")  # noqa: S104 - where tools send to by default; no proxy stands between


@dataclass(frozen=True)
class Point:
    """One benchmark at one concurrency."""

    scenario: str
    replica: str
    node: str
    tool: str
    argv: tuple[str, ...]
    """As the page has it, with this run's numbers; where the result goes is said by `words`."""
    folder: str
    note: str = ""
    reference: Mapping[str, Any] | None = None

    @property
    def options(self) -> dict[str, Any]:
        return options(self.argv)

    @property
    def title(self) -> str:
        at = self.options.get(CONCURRENCY)
        return self.scenario + (f" at {at}" if at else "")

    @property
    def words(self) -> list[str]:
        """The whole command line."""
        into = {
            "vllm-bench": ["--save-result", "--result-dir", self.folder, "--result-filename", FILE],
            "sglang-bench": ["--output-file", f"{self.folder}/{FILE}"],
            "script": ["--result-file", f"{self.folder}/{FILE}"],
        }
        return [*self.argv, *into[self.tool]]


def options(argv: Sequence[str]) -> dict[str, Any]:
    """The options of a command line that the plan wrote: none of its values starts with two dashes."""
    found: dict[str, Any] = {}
    for word, following in zip(argv, [*argv[1:], "--"], strict=True):
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            found[name] = value if equals else True if following.startswith("--") else following
    return found


def changed(argv: Sequence[str], name: str, value: object) -> list[str]:
    """The command line with another value of one option."""
    words, flag = list(argv), f"--{name}"
    if flag in words:
        words[words.index(flag) + 1] = str(value)
        return words
    return [*words, flag, str(value)]


def points(
    entries: Iterable[Mapping[str, Any]], token: str, seed: int, sweep: Sequence[int] | None = None, prompts: int | None = None
) -> list[Point]:
    """What is run on each replica, in order; every one with a seed and a folder of its own."""
    taken = [*_swept(entries, sweep)] if sweep else [(e, list(e["argv"])) for e in entries]
    made = []
    for i, (entry, argv) in enumerate(taken):
        if entry["tool"] != "script":
            argv = changed(argv, PROMPTS, prompts) if prompts else argv
            argv = changed(argv, SEED, seed + i)
        folder = f"/tmp/bringup-bench-{re.sub(r'[^A-Za-z0-9]', '-', token)}-{i}"  # noqa: S108 - made with mkdir, 0700, in the container
        rest = {k: entry[k] for k in ("replica", "node", "tool", "note", "reference")}
        made.append(Point(scenario=entry["name"], argv=tuple(argv), folder=folder, **rest))
    return made


def _swept(entries: Iterable[Mapping[str, Any]], sweep: Sequence[int]) -> list[tuple[Mapping[str, Any], list[str]]]:
    """Benchmarks that differ in nothing but concurrency are one curve; a point that the page has is taken as the page has it."""
    curves: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for entry in entries:
        shape = {k: v for k, v in options(entry["argv"]).items() if k not in OURS}
        curves.setdefault((entry["replica"], repr(sorted(shape.items()))), []).append(entry)
    made = []
    for members in curves.values():
        for at in sweep:
            same = next((m for m in members if options(m["argv"]).get(CONCURRENCY) == str(at)), None)
            if same is not None:
                made.append((same, list(same["argv"])))
                continue
            first = members[0]
            count = max(int(options(first["argv"]).get(PROMPTS, 0)), FULL * at)
            made.append((first, changed(changed(first["argv"], CONCURRENCY, at), PROMPTS, count)))
    return made


def script(plan: Plan, replica: ReplicaPlan, node: NodePlan, point: Point, watched: bool) -> str:
    """What the node is told: no secret is in it. `watched`: its input stays open as long as somebody waits for the result."""
    docker = node.runtime == "docker"
    relative = point.tool == "script" and not point.argv[1].startswith("/")
    inside = remote.script(
        HERE / "inside.sh",
        values={
            "FOLDER": point.folder, "FILE": FILE, "AUTH": plan.known.engine.auth_env or "", "ENGINE": 1 if docker else "",
            "RELATIVE": "yes" if relative else "", "WATCHED": "yes" if watched else "",
            "DIRECT": ",".join((*HERE_TOO, *(n.address for n in replica.nodes))),
        },
    )  # fmt: skip
    values = {
        "UNIT": container.unit(plan.cluster, replica.name), "RUNTIME": node.runtime, "INSIDE": inside,
        "SECRETS": key.secrets_path(plan, replica), "VENV": "" if docker else f"{container.STATE}/{plan.cluster}/venv",
    }  # fmt: skip
    outside = "" if docker else "".join(f"export {name}={shlex.quote(value)}\n" for name, value in node.env.items() if name != "LD_PRELOAD")
    return outside + remote.script(values=values) + f"set -- {shlex.join(point.words)}\n" + (HERE / "node.sh").read_text(encoding="utf-8")
