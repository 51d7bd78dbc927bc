"""Proven is written only for what was proven to its end, and whoever could not write it says so."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from roles.run import remote
from roles.run.folder import Folder
from roles.run.run import Run
from roles.serve import bring
from tests.unit.sources import plan

PLAN = plan("vllm-ascend/a2-dual", auth="off")
REPLICA = PLAN.replicas[0]
FIRST, SECOND = (n.name for n in REPLICA.nodes)


class Asked:
    """A run whose engine comes up at once; what its nodes are asked to do is kept."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch, marks: dict[str, remote.Done]) -> None:
        hosts: dict[str, Any] = {n.name: SimpleNamespace(name=n.name) for n in PLAN.nodes}
        self.run = Run("serve", PLAN, {}, SimpleNamespace(), hosts, {}, Folder(PLAN.cluster, "serve", str(path)))  # type: ignore[arg-type]
        self.asked: list[tuple[str, str]] = []
        self.one = SimpleNamespace(replica=REPLICA, up=lambda: True, why="")

        def call(host: Any, name: str, text: str, **more: Any) -> remote.Done:
            self.asked.append((name, host.name))
            return marks.get(host.name, remote.Done(0))

        monkeypatch.setattr(self.run, "call", call)

    def up(self, proof: Any) -> str:
        self.run.facts["prove"] = proof
        return bring._served(self.run, self.one) or bring._mark(self.run, REPLICA)  # type: ignore[arg-type]


def test_what_is_proven_is_written_on_every_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(tmp_path, monkeypatch, {})
    assert asked.up(lambda *_: "") == ""
    assert sorted(asked.asked) == [("proven", FIRST), ("proven", SECOND)]
    assert asked.run.failures == []


def test_an_interrupted_proof_proves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(tmp_path, monkeypatch, {})

    def cut_short(run: Run, replica: object) -> str:
        run.cancel.set()
        return ""

    assert asked.up(cut_short) == "interrupted"
    assert asked.asked == []


def test_a_node_that_could_not_write_it_is_a_failure_and_nothing_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(tmp_path, monkeypatch, {SECOND: remote.Done(1, ("cp: no space left on device",))})
    assert asked.up(lambda *_: "") == f"{SECOND}: proven: cp: no space left on device"
    (failure,) = asked.run.failures
    assert (failure["node"], failure["stage"]) == (SECOND, "proven")
    assert "would not begin again by itself: cp: no space left on device" in failure["why"]
    assert {name for name, _ in asked.asked} == {"proven"}
