"""Proven is written only for what was proven to its end, and whoever could not write it says so."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from roles.run import remote
from roles.run.folder import Folder
from roles.run.proven import Proven
from roles.run.run import Run
from roles.serve import bring
from roles.serve.sight import Sight
from roles.serve.state import Decision, What
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
        decision = Decision("start", "test")
        self.one = SimpleNamespace(replica=REPLICA, up=lambda: True, why="", decision=decision, sight=Sight.NODE)

        def call(host: Any, name: str, text: str, **more: Any) -> remote.Done:
            self.asked.append((name, host.name))
            return marks.get(host.name, remote.Done(0))

        monkeypatch.setattr(self.run, "call", call)

    def up(self, proof: Any) -> str:
        self.run.facts["prove"] = proof
        why, self.act = bring._served(self.run, self.one)  # type: ignore[arg-type]
        return why or bring._mark(self.run, REPLICA)


def test_what_is_proven_is_written_on_every_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(tmp_path, monkeypatch, {})
    assert asked.up(lambda *_: Proven()) == ""
    assert sorted(asked.asked) == [("proven", FIRST), ("proven", SECOND)]
    assert asked.run.failures == []


def test_an_interrupted_proof_proves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(tmp_path, monkeypatch, {})

    def cut_short(run: Run, replica: object) -> Proven:
        run.cancel.set()
        return Proven()

    assert asked.up(cut_short) == "interrupted"
    assert asked.asked == []


def test_a_node_that_could_not_write_it_is_a_failure_and_nothing_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(tmp_path, monkeypatch, {SECOND: remote.Done(1, ("cp: no space left on device",))})
    assert asked.up(lambda *_: Proven()) == f"{SECOND}: proven: cp: no space left on device"
    (failure,) = asked.run.failures
    assert (failure["node"], failure["stage"]) == (SECOND, "proven")
    assert "would not begin again by itself: cp: no space left on device" in failure["why"]
    assert {name for name, _ in asked.asked} == {"proven"}


@pytest.mark.parametrize("unit", ["active", "failed", "inactive", "activating", ""])
@pytest.mark.parametrize(
    ("what", "proven", "alive", "dead"),
    [
        ("start", Proven("HTTP 500"), "leave", "end"),
        ("restart", Proven("no answer in time"), "leave", "end"),
        ("start", Proven("HTTP 401", refused=True), "leave", "end"),
        ("start", Proven("the answer looks garbled", refuted=True), "end", "end"),
        ("restart", Proven("the model list has other", refuted=True), "end", "end"),
        ("follow", Proven("the answer looks garbled", refuted=True), "leave", "leave"),
        ("follow", Proven("no answer in time"), "leave", "leave"),
    ],
)
def test_only_a_refuted_proof_or_a_dead_unit_of_our_own_start_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: What, proven: Proven, alive: str, dead: str, unit: str
) -> None:
    asked = Asked(tmp_path, monkeypatch, {SECOND: remote.Done(0, (unit, "2026-11-30 the engine ended with code 1"))})
    asked.one.decision = Decision(what, "test")
    asked.one.healthy = SimpleNamespace(is_set=lambda: True)
    asked.run.facts["prove"] = lambda *_: proven
    why, sight = bring._served(asked.run, asked.one)  # type: ignore[arg-type]
    assert why == proven.why
    assert bring._act(asked.one, sight) == (dead if unit in ("failed", "inactive") else alive)  # type: ignore[arg-type]


def test_a_unit_that_cannot_be_asked_is_not_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(tmp_path, monkeypatch, {SECOND: remote.Done(remote.LOST, ("failed",))})
    assert bring._ended(asked.run, REPLICA) is Sight.LATE


def test_how_to_come_to_the_nodes_key_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(tmp_path, monkeypatch, {})
    asked.run.facts["silent"] = {REPLICA.name: Proven("HTTP 401", refused=True)}
    for auth, said in (
        ("generate", "api-key away and run again; or --data rekey=true"),
        ("file:/etc/key", "put the nodes' key into /etc/key and"),
    ):
        asked.run.plan = plan("vllm-ascend/a2-dual", auth=auth)
        assert said in bring._way_on(asked.run, REPLICA)
    asked.run.facts["silent"] = {REPLICA.name: Proven("no answer in time")}
    assert "status.py tells what its units say" in bring._way_on(asked.run, REPLICA)
