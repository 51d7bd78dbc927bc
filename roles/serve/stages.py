"""A node's stages as the report and the events tell them."""

from __future__ import annotations

from roles.run.folder import now
from roles.run.run import Run


class Stages:
    """One node's stages: one ends where the next begins."""

    def __init__(self, run: Run, node: str, replica: str) -> None:
        self.run, self.node, self.replica = run, node, replica
        self.entry: dict[str, object] | None = None

    def begin(self, name: str) -> None:
        self.end(True)
        self.entry = {"stage": name, "node": self.node, "replica": self.replica, "start": now(), "end": None, "ok": None}
        self.run.stages.append(self.entry)
        self.run.folder.event("stage", stage=name, node=self.node, replica=self.replica)

    def end(self, ok: bool) -> None:
        if self.entry is not None and self.entry["end"] is None:
            self.entry["end"], self.entry["ok"] = now(), ok
