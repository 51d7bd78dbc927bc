"""One benchmark as it runs: the tool followed on its node, its result read, the engine's own counters before and after."""

from __future__ import annotations

import re
import time

import httpx2

from roles.bench import command, result
from roles.bench.command import PROMPTS, Point
from roles.plan.plan import ReplicaPlan
from roles.run import api, key, metrics, remote
from roles.run.follow import Follower, duration
from roles.run.progress import Progress
from roles.run.run import Run

STAGES = [
    {"name": "requests", "on": "all", "patterns": [r"(?P<done>\d+)/(?P<total>\d+) \[", "Starting main benchmark run", "Starting warmup"]},
    {"name": "result", "on": "all", "patterns": ["Serving Benchmark Result", "^Accuracy:", "^Average accuracy:"]},
]
"""What the tools say on their way."""
HITS, QUERIES = "vllm:prefix_cache_hits_total", "vllm:prefix_cache_queries_total"
RUNNING = "vllm:num_requests_running"


class Client:
    """Runs one point on rank 0's node."""

    def __init__(self, run: Run, replica: ReplicaPlan, point: Point, progress: Progress) -> None:
        self.run, self.replica, self.point, self.progress = run, replica, point, progress
        self.node = replica.nodes[0]
        self.follower = Follower(STAGES, [], 0, float("inf"))
        self.remarks: list[str] = []

    def run_it(self, limit: float) -> tuple[result.Result | None, str]:
        """The result, if there is one, and what is wrong; a failed benchmark may have both."""
        before = self._counters()
        busy = sum(metrics.metrics(before, RUNNING).values())
        if busy:
            self.remarks.append(f"{busy:.0f} requests of others ran when it began: they share in the figures")
        self.progress.say(self.node.name, f"{self.point.title}: {self.point.tool} starts")
        host = self.run.hosts[self.node.name]
        watched = getattr(host.connector, "client", None) is not None
        text = command.script(self.run.plan, self.replica, self.node, self.point, watched)
        done = self.run.call(host, "bench", text, on_line=self._line, limit=limit)
        raw = result.line(done.lines)
        found, why = self._read(done, raw, limit)
        if raw:
            self._kept(raw)
        if found and (share := hit_rate(before, self._counters())) is not None:
            found.figures["prefix_hit_rate"] = share
        return found, why

    def _line(self, line: str, reply: remote.Reply) -> None:
        if line.startswith(result.LEAD):
            return
        for event in self.follower.feed(line, time.monotonic()):
            text = event.text if event.kind == "progress" else self.follower.stage
            self.progress.show(self.node.name, f"{self.point.title}: {text}")

    def _read(self, done: remote.Done, raw: str, limit: float) -> tuple[result.Result | None, str]:
        if done.code == remote.LATE:
            return None, f"{self.point.tool} was not done within {duration(limit)} (--data limit=...)"
        prompts = self.point.options.get(PROMPTS)
        try:
            found = result.read(self.point.tool, raw, int(prompts) if prompts else None)
        except result.Unreadable as e:
            return None, f"{self._ended(done)}: {e}" if done.ok else self._ended(done)
        said = result.errors(done.lines)
        why = f"{found.why}: {said}" if found.why and said else found.why
        return found, why if done.ok else self._ended(done)

    def _ended(self, done: remote.Done) -> str:
        """How the tool ended, with what tells most of its last words."""
        words = self.follower.cause() or self.follower.last_words()
        how = f"ended with code {done.code}" if done.code >= 0 else done.said
        return f"{self.point.tool} {how}" + (f": {words}" if words else "")

    def _kept(self, raw: str) -> None:
        """The tool's own file, as it wrote it."""
        folder = self.run.folder.path / "bench"
        folder.mkdir(exist_ok=True)
        name = re.sub(r"[^A-Za-z0-9._-]", "-", f"{self.point.replica}-{self.point.title}")
        (folder / f"{name}.json").write_text(raw + "\n", encoding="utf-8")

    def _counters(self) -> str:
        """The engine's metrics; empty where it has none."""
        secret = key.known(self.run)
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        with api.opened(self.run, self.replica) as way:
            try:
                answer = way.client.get(way.url + self.run.plan.verify["paths"]["metrics"], headers=headers, timeout=10)
            except (httpx2.HTTPError, KeyError):
                return ""
            return str(answer.text) if answer.status_code == 200 else ""


def hit_rate(before: str, after: str) -> float | None:
    """Which share of the input tokens between two looks came from the prefix cache; None where the engine does not count."""

    def grew(name: str) -> float:
        return sum(metrics.metrics(after, name).values()) - sum(metrics.metrics(before, name).values())

    asked = grew(QUERIES)
    return round(grew(HITS) / asked, 4) if before and asked > 0 else None
