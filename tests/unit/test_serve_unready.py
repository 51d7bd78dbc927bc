"""pyinfra drops a host that failed and goes on; nothing of its replica may be started."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from roles.run.run import Run
from roles.serve import role
from tests.unit.sources import plan

PLAN = plan("vllm-ascend/a2-dual", replicas=2)
FIRST, SECOND = PLAN.replicas


def begun(monkeypatch: pytest.MonkeyPatch, failed: str) -> tuple[list[str], list[dict[str, str]]]:
    """Which replicas were brought up, and what was told, when this node could not be prepared."""
    hosts = {n.name: SimpleNamespace(name=n.name, log_styled=lambda *_, **__: None) for n in PLAN.nodes}
    failures: list[dict[str, str]] = []
    run = SimpleNamespace(
        hosts=hosts, failures=failures, cancel=SimpleNamespace(is_set=lambda: False), once=lambda _, work: work(),
        node=lambda host: PLAN.node(host.name), fail=lambda node, stage, why, fix="": failures.append({"node": node, "why": why}),
    )  # fmt: skip
    started: list[str] = []
    monkeypatch.setattr(role.bring, "in_turn", lambda _, replica: started.append(replica.name) or "")
    state = SimpleNamespace(active_hosts=[h for name, h in hosts.items() if name != failed])
    for host in state.active_hosts:
        role._bring_up(cast(Any, state), cast(Any, host), cast(Run, run))
    return started, failures


@pytest.mark.parametrize("rank", [0, 1])
def test_the_replica_of_a_node_that_failed_is_left_alone_and_the_other_is_not(monkeypatch: pytest.MonkeyPatch, rank: int) -> None:
    lost = FIRST.nodes[rank].name
    started, failures = begun(monkeypatch, lost)
    assert set(started) == {SECOND.name}
    assert failures[0]["node"] == lost
    assert "nothing of the replica was started" in failures[0]["why"]


def test_whole_replicas_are_brought_up(monkeypatch: pytest.MonkeyPatch) -> None:
    started, failures = begun(monkeypatch, "none")
    assert (set(started), failures) == ({FIRST.name, SECOND.name}, [])
