"""The seed's whole layout on two nodes: real vLLM, tp 8 + dp 2 + expert parallel, 16 workers, each holding its card."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from roles.plan.plan import Plan
from tests.lab import nodes
from tests.lab.conftest import RunningLab
from tests.lab.engine import build, pair

pytestmark = pytest.mark.lab


@dataclass(frozen=True)
class RunningPair:
    lab: RunningLab
    plan: Plan
    members: pair.Pair

    def ask(self, request: str, rank: int) -> dict[str, object]:
        body = next(r for r in self.plan.verify["requests"] if r["name"] == request)
        answer: dict[str, object] = pair.ask(self.lab.place, self.plan, self.members[0][0], body, rank)["choices"][0]["message"]
        return answer

    def generated(self) -> dict[str, float]:
        return pair.generated(self.lab.place, self.plan, self.members[0][0])


@pytest.fixture(scope="module")
def engine(lab: RunningLab) -> Iterator[RunningPair]:
    build.build(lab.place)
    plan = pair.the_plan(lab.place)
    members = [(nodes.named(lab.place, f"n{part.rank}"), part) for part in plan.replicas[0].nodes]
    pair.down(lab.place, members)
    pair.up(lab.place, plan, members)
    yield RunningPair(lab, plan, members)
    pair.down(lab.place, members)


def test_the_answer_is_the_checkpoints_own(engine: RunningPair) -> None:
    assert "I am MiniMax-M2 (lab weights), served by a real engine." in str(engine.ask("chat", 0)["content"])


@pytest.mark.parametrize("rank", [0, 1])
def test_each_rank_answers_and_only_its_counter_moves(engine: RunningPair, rank: int) -> None:
    before = engine.generated()
    engine.ask("chat", rank)
    after = engine.generated()
    moved = {label for label in after if after[label] > before.get(label, 0)}
    assert moved == {str(rank)}


def test_a_tool_call_is_parsed(engine: RunningPair) -> None:
    (call,) = engine.ask("tool-call", 1)["tool_calls"]  # type: ignore[misc]
    assert call["function"]["name"] == "get_current_weather"
    assert "city" in json.loads(call["function"]["arguments"])


@pytest.mark.parametrize("node", ["n0", "n1"])
def test_sixteen_workers_hold_their_cards_and_npu_smi_sees_them(engine: RunningPair, node: str) -> None:
    table = engine.lab.ssh(node, "npu-smi info")
    assert table.count("VLLMWorker_DP") == 8
    assert "No running processes" not in table


def test_the_model_list_names_the_served_model(engine: RunningPair) -> None:
    url = f"{next(iter(engine.plan.verify['endpoints'].values()))}/v1/models"
    listed = json.loads(engine.lab.ssh("n0", f"curl -fsS {url}"))
    assert [m["id"] for m in listed["data"]] == [engine.plan.verify["model"]]


def test_every_stage_of_the_engine_file_but_the_ascend_ones_shows_in_the_real_log(engine: RunningPair) -> None:
    import re

    log = engine.lab.ssh("n0", f"docker logs {pair.container_name(engine.members[0][1])} 2>&1 | tr '\\r' '\\n'")
    seen = [s["name"] for s in engine.plan.verify["stages"] if any(re.search(p, log) for p in s["patterns"])]
    assert [s for s in ("container", "engine", "distributed", "weights", "loaded", "ready", "http") if s not in seen] == []
