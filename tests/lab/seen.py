"""What can be seen of a running two-node engine from outside: logs, ports, answers, counters, processes, devices."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import Any

from roles.plan.plan import Plan
from tests.lab import nodes
from tests.lab.engine import pair
from tests.lab.place import Place

Shape = Any  # of a JSON value: its keys, and the kinds of its values
CHAT = "/v1/chat/completions"


@dataclass
class Seen:
    """All that was seen of one engine."""

    waiting: dict[str, Any]
    stages: list[list[str]]
    ports: list[dict[str, list[str]]]
    processes: list[list[tuple[str, list[str]]]]
    answers: dict[str, tuple[int, Shape]]
    errors: dict[str, tuple[Any, ...]]
    streams: dict[str, list[Shape]]
    metrics: set[tuple[str, str]]
    moved: list[set[str]]
    plan_stop: float
    end: tuple[str, ...] = ()
    stopping: float = 0.0


@dataclass(frozen=True)
class Outside:
    """Where to look."""

    place: Place
    plan: Plan
    members: pair.Pair

    def on(self, rank: int, script: str) -> str:
        return nodes.ssh(self.place, self.members[rank][0], script)

    def stages(self, rank: int) -> list[str]:
        """Stages in the order in which the rank's log first shows them."""
        name = pair.container_name(self.members[rank][1])
        seen: list[str] = []
        for line in self.on(rank, f"docker logs {name} 2>&1 | tr '\\r' '\\n'").splitlines():
            known = (s for s in self.plan.verify["stages"] if s["name"] not in seen)
            seen += [s["name"] for s in known if any(re.search(p, line) for p in s["patterns"])]
        return seen

    def listening(self, rank: int) -> dict[str, list[str]]:
        """Where the plan's ports listen."""
        ports = {name: self.members[0][1].ports[name] for name in ("api", "rpc")}
        found = [line.split()[3] for line in self.on(rank, "ss -Hltn").splitlines()]
        return {name: sorted(a for a in found if a.endswith(f":{port}")) for name, port in ports.items()}

    def processes(self, rank: int) -> list[tuple[str, list[str]]]:
        """Titles of the container's processes, and the cards each holds open."""
        cards = "ls -l /proc/$p/fd 2>/dev/null | grep -o '/dev/davinci[0-9]*$' | sort -u | tr '\\n' ' '"
        top = f"docker top {pair.container_name(self.members[rank][1])} -eo pid,args | tail -n +2"
        lines = self.on(rank, f'{top} | while read -r p args; do echo "$args|$({cards})"; done').splitlines()
        found = [line.rpartition("|") for line in lines]
        return sorted((title(args), held.split()) for args, _, held in found)

    def call(self, path: str, body: Any = None, rank: int | None = None) -> tuple[int, str]:
        """Status and text of a request that the first node sends."""
        words = ["curl", "-sS", "-N", "-m", "120", "-w", "\n%{http_code}"]
        words += ["-H", f"{self.plan.verify['rank_header']}: {rank}"] if rank is not None else []
        words += ["-H", "Content-Type: application/json", "-d", json.dumps(body)] if body is not None else []
        url = next(iter(self.plan.verify["endpoints"].values()))
        text, _, status = self.on(0, shlex.join([*words, f"{url}{path}"])).rpartition("\n")
        return int(status), text

    def answer(self, path: str, body: Any = None, rank: int | None = None) -> tuple[int, Shape]:
        status, text = self.call(path, body, rank)
        return status, shape(json.loads(text)) if text else None

    def error(self, path: str, body: Any = None, rank: int | None = None) -> tuple[Any, ...]:
        status, text = self.call(path, body, rank)
        said = json.loads(text)
        inner = said.get("error", {})
        return status, sorted(said), sorted(inner), inner.get("type"), inner.get("code")

    def stream(self, path: str, body: Any, rank: int | None = None) -> list[Shape]:
        """The first event, all between, the last, and what ends it."""
        _, text = self.call(path, {**body, "stream": True}, rank)
        *events, end = re.findall(r"^data: (.*)$", text, re.MULTILINE)
        shapes = [shape(json.loads(e)) for e in events]
        return [shapes[0], merged(shapes[1:-1]), shapes[-1], end]

    def metrics(self) -> set[tuple[str, str]]:
        """Names and labels of all samples."""
        found = re.findall(r"^([\w:]+)\{(.*)\} \S+$", self.call("/metrics")[1], re.MULTILINE)
        return {(name, " ".join(sorted(labels.replace('"', "").split(",")))) for name, labels in found}

    def moved(self, body: dict[str, Any], rank: int) -> set[str]:
        """Engines whose counter of tokens one request to this rank moves."""
        before = pair.generated(self.place, self.plan, self.members[0][0])
        self.call(CHAT, body, rank)
        after = pair.generated(self.place, self.plan, self.members[0][0])
        return {engine for engine in after if after[engine] > before.get(engine, 0)}


def look(at: Outside, waiting: dict[str, Any]) -> Seen:
    """One walk around a ready engine, with the plan's own two requests and variations of them."""
    chat, tool = (r["body"] for r in at.plan.verify["requests"])
    named = {"type": "function", "function": {"name": tool["tools"][0]["function"]["name"]}}
    text = {"model": chat["model"], "prompt": "Hi", "max_tokens": 4}
    return Seen(
        waiting=waiting,
        stages=[at.stages(rank) for rank in (0, 1)],
        ports=[at.listening(rank) for rank in (0, 1)],
        processes=[at.processes(rank) for rank in (0, 1)],
        answers={
            "health": at.answer("/health"),
            "models": at.answer("/v1/models"),
            "version": at.answer("/version"),
            "chat": at.answer(CHAT, chat, 0),
            "tool call": at.answer(CHAT, tool, 1),
            "tool by name": at.answer(CHAT, {**tool, "tool_choice": named}, 1),
            "tool required": at.answer(CHAT, {**tool, "tool_choice": "required"}, 0),
            "cut": at.answer(CHAT, {**chat, "max_tokens": 3}),
            "completion": at.answer("/v1/completions", text),
        },
        errors={
            "unknown model": at.error(CHAT, {**chat, "model": "x"}),
            "rank too high": at.error(CHAT, chat, 7),
            "no tokens": at.error(CHAT, {**chat, "max_tokens": 0}),
            "no messages": at.error(CHAT, {"model": chat["model"]}),
            "no such path": at.error("/nothing"),
            "wrong method": at.error(CHAT),
        },
        streams={
            "chat": at.stream(CHAT, {**chat, "stream_options": {"include_usage": True}}, 1),
            "tool call": at.stream(CHAT, tool, 0),
            "completion": at.stream("/v1/completions", text),
        },
        moved=[at.moved(chat, rank) for rank in (0, 1)],
        metrics=at.metrics(),
        plan_stop=at.plan.verify["timeouts"]["stop"],
    )


def title(args: str) -> str:
    """A command line without what differs from one program file to another."""
    return next((known for known in ("vllm serve", "resource_tracker") if known in args), args.strip())


def shape(value: Any) -> Shape:
    if isinstance(value, dict):
        return {k: shape(v) for k, v in value.items()}
    if isinstance(value, list):
        return [merged([shape(v) for v in value])] if value else []
    return (
        "null" if value is None else "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__
    )


def merged(shapes: list[Shape]) -> Shape:
    """One shape for all: every key that any has, null only where all are."""
    kinds = [s for s in shapes if s not in ("null", [])] or shapes[:1]
    if kinds and all(isinstance(s, dict) for s in kinds):
        keys = sorted({k for s in kinds for k in s})
        return {k: merged([s[k] for s in kinds if k in s]) for k in keys}
    if kinds and all(isinstance(s, list) for s in kinds):
        return [merged([i for s in kinds for i in s])]
    return kinds[0] if kinds and all(s == kinds[0] for s in kinds) else sorted({json.dumps(s) for s in kinds})
