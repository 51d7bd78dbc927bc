"""The run folder: plan.json, report.json, events.jsonl, per-node files. A record only; the truth lives on the nodes."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from roles.run import about
from roles.run.redact import redact

ROOT = Path(__file__).resolve().parents[2]


class Folder:
    """One invocation's folder, made when something is first written."""

    def __init__(self, cluster: str, verb: str, runs: str | None = None, now: datetime | None = None) -> None:
        stamp = (now or datetime.now(timezone.utc)).strftime("%Y%m%dT%H%M%SZ")
        self.parent = Path(os.path.expanduser(runs)).absolute() / cluster if runs else ROOT / "runs" / cluster
        self.name = f"{stamp}-{verb}"
        self.secrets: Callable[[], list[str]] = list
        """What this run knows and nothing written here may hold; asked each time, for a key can be made on the way."""
        self._path: Path | None = None
        self._begun = self._broken = False

    @property
    def path(self) -> Path:
        if self._path is None:
            self.parent.mkdir(parents=True, exist_ok=True)
            for n in range(1, 1000):
                path = self.parent / (self.name if n == 1 else f"{self.name}-{n}")
                try:
                    path.mkdir(mode=0o750)
                except FileExistsError:
                    continue
                self._path = path
                break
        assert self._path is not None
        return self._path

    def event(self, kind: str, **facts: Any) -> None:
        """One line, written at once: what a reader needs when the controller is gone."""
        line = about.without({"time": now(), "event": kind, **facts}, self.secrets())
        with self._kept(), (self.path / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def node_file(self, node: str, suffix: str) -> Path:
        """A node's own file; its name is made safe, for @fake/n0 is a name too."""
        folder = self.path / "nodes"
        folder.mkdir(exist_ok=True)
        return folder / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', node)}.{suffix}"

    def keep(self, node: str, suffix: str, text: str, fresh: bool = False) -> None:
        """What a node said goes into its file without what it gives away; at the end of it, or in place of what was there."""
        with self._kept(), self.node_file(node, suffix).open("w" if fresh else "a", encoding="utf-8") as file:
            file.write(redact(text, self.secrets()))

    def plan(self, data: dict[str, Any]) -> None:
        """What this run was asked for, written once, at its beginning: the next run shows what changed since."""
        self._whole("plan.json", data)

    def report(self, data: dict[str, Any]) -> None:
        self._whole("report.json", data)

    def _whole(self, name: str, data: dict[str, Any]) -> None:
        """Whole or not at all."""
        with self._kept():
            part = self.path / f"{name}.part"
            part.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            os.replace(part, self.path / name)

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """The first write must succeed; a later one that does not ends no run: what matters is on the nodes."""
        try:
            yield
            self._begun = True
        except OSError as e:
            if not self._begun:
                if self._path:
                    shutil.rmtree(self._path, ignore_errors=True)
                raise
            if not self._broken:
                self._broken = True
                print(f"{self.unwritable(e)}; the run goes on, and its record has gaps", file=sys.stderr, flush=True)

    def unwritable(self, problem: OSError) -> str:
        return f"the run folder in {self.parent} cannot be written: {problem.strerror or problem}"


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
