"""Fetch or follow the engines' logs of all ranks, merged by the controller's time."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from roles.plan.node import NodePlan
from roles.run import look, remote
from roles.run.run import Run
from roles.run.seen import MARK
from roles.run.terminal import harmless

FETCH = Path(__file__).with_name("fetch.sh")
STAMP = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(?:Z|\+00:00) ?")
TAIL = 200
NOTHING = 4


@dataclass(frozen=True, order=True)
class Line:
    """One line of one rank, at the controller's time."""

    at: float
    order: int
    node: str
    text: str

    def shown(self, width: int) -> str:
        return f"{datetime.fromtimestamp(self.at, timezone.utc):%H:%M:%S.%f}"[:-3] + f"  {self.node.ljust(width)}  {self.text}"


class Reader:
    """One node's stream: times are corrected by how far its clock is off."""

    def __init__(self, node: str) -> None:
        self.node, self.offset, self.last, self.count = node, 0.0, 0.0, 0

    def feed(self, raw: str, now: float) -> Line | None:
        if raw.startswith(f"{MARK}clock "):
            self.offset = float(raw.split()[1]) - now
            self.last = now
            return None
        found = STAMP.match(raw)
        text = harmless(raw[found.end() :] if found else raw).rstrip()
        if found:
            whole = datetime.fromisoformat(found[1]).replace(tzinfo=timezone.utc).timestamp()
            self.last = whole + float(found[2] or 0) - self.offset
        self.count += 1
        return Line(self.last, self.count, self.node, text) if text.strip() else None


def read(run: Run) -> int:
    """The verb. 1 when a node's log could not be had."""
    follow = bool(run.options.get("follow"))
    width = max(len(n.name) for n in run.plan.nodes)
    lines: list[Line] = []

    def taken(line: Line) -> None:
        run.folder.keep(line.node, "engine.log", line.shown(0) + "\n")
        if follow:
            print(line.shown(width), flush=True)
        else:
            lines.append(line)

    def one(node: NodePlan) -> str:
        reader = Reader(node.name)
        said: list[str] = []

        def on_line(raw: str, reply: remote.Reply) -> None:
            line = reader.feed(run.masked(raw), time.time())
            if line is not None:
                said.append(line.text)
                del said[:-1]
                taken(line)

        count = run.options.get("tail", TAIL)
        values = {**look.values(run.plan, node), "LINES": count or "all", "FOLLOW": "yes" if follow else ""}
        done = remote.run(
            run.state, run.hosts[node.name], "bringup-logs", remote.script(FETCH, values=values),
            on_line=on_line, cancel=run.cancel, tied=True, keep=False,
        )  # fmt: skip
        return "" if done.ok or run.cancel.is_set() else said[-1] if said and done.code == NOTHING else done.said

    bad = remote.together({n.name: (lambda n=n: one(n)) for n in run.plan.nodes if n.name in run.hosts})  # type: ignore[misc]
    for line in sorted(lines):
        print(line.shown(width))
    problems = {**run.missing, **{name: why for name, why in bad.items() if why}}
    for name, why in problems.items():
        print(f"{name}: {why}", file=sys.stderr)
        run.fail(name, "logs", why)
    sys.stdout.flush()
    return 1 if problems else 0
