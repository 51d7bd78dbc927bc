"""The main job, for real: bare nodes, vLLM in the seed's whole layout (tp 8 + dp 2 + EP, 16 workers), and back to clean nodes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from roles.plan.plan import Plan
from tests.lab.conftest import RunningLab
from tests.lab.engine import build, pair
from tests.lab.real import RealPair
from tests.lab.verbs import Ran, Site

pytestmark = pytest.mark.lab


@dataclass(frozen=True)
class RunningPair:
    lab: RunningLab
    plan: Plan
    members: pair.Pair
    site: Site
    first: Ran

    def whole(self, request: str, rank: int) -> dict[str, Any]:
        body = next(r for r in self.plan.verify["requests"] if r["name"] == request)
        return pair.ask(self.lab.place, self.plan, self.members[0][0], body, rank)

    def ask(self, request: str, rank: int) -> dict[str, Any]:
        answer: dict[str, Any] = self.whole(request, rank)["choices"][0]["message"]
        return answer

    def generated(self) -> dict[str, float]:
        return pair.generated(self.lab.place, self.plan, self.members[0][0])


@pytest.fixture(scope="module")
def engine(lab: RunningLab, real_pair: RealPair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPair]:
    real_pair.down()
    build.build(lab.place)
    plan = pair.the_plan(lab.place)
    members = pair.members(lab.place, plan)
    pair.down(lab.place, members)
    names = [node.name for node, _ in members]
    site = Site(lab.place, tmp_path_factory.mktemp("engine"), names, "lab/a2-dual", {"auth": "off"}, "pair")
    assert site.run("clean", "-y").code == 0
    first = site.run("serve", "-y", seconds=600)
    assert first.code == 0, first.err + first.out
    yield RunningPair(lab, plan, members, site, first)
    assert site.run("clean", "-y", "--data", "revert=true").code == 0


def test_the_answer_is_the_checkpoints_own(engine: RunningPair) -> None:
    assert "I am MiniMax-M2 (lab weights), served by a real engine." in str(engine.ask("chat", 0)["content"])


@pytest.mark.parametrize("rank", [0, 1])
def test_each_rank_answers_and_its_counter_alone_moves_by_the_answer(engine: RunningPair, rank: int) -> None:
    before = engine.generated()
    tokens = engine.whole("chat", rank)["usage"]["completion_tokens"]
    after = engine.generated()
    moved = {label: after[label] - before.get(label, 0) for label in after}
    assert tokens > 8
    assert moved.pop(str(rank)) >= tokens
    assert all(by <= 2 for by in moved.values()), "more than the liveness watch's single tokens"


def test_a_tool_call_is_parsed(engine: RunningPair) -> None:
    (call,) = engine.ask("tool-call", 1)["tool_calls"]  # type: ignore[misc]
    assert call["function"]["name"] == "get_current_weather"
    assert "city" in json.loads(call["function"]["arguments"])


@pytest.mark.parametrize("node", pair.NAMES)
def test_sixteen_workers_hold_their_cards_and_npu_smi_sees_them(engine: RunningPair, node: str) -> None:
    table = engine.lab.ssh(node, "npu-smi info")
    assert table.count("VLLMWorker_DP") == 8
    assert "No running processes" not in table


def test_the_model_list_names_the_served_model(engine: RunningPair) -> None:
    url = f"{next(iter(engine.plan.verify['endpoints'].values()))}/v1/models"
    listed = json.loads(engine.lab.ssh(pair.NAMES[0], f"curl -fsS {url}"))
    assert [m["id"] for m in listed["data"]] == [engine.plan.verify["model"]]


def test_every_stage_of_the_engine_file_but_the_ascend_ones_shows_in_the_real_log(engine: RunningPair) -> None:
    import re

    log = engine.lab.ssh(pair.NAMES[0], f"docker logs {pair.container_name(engine.members[0][1])} 2>&1 | tr '\\r' '\\n'")
    seen = [s["name"] for s in engine.plan.verify["stages"] if any(re.search(p, log) for p in s["patterns"])]
    assert [s for s in ("container", "engine", "distributed", "weights", "loaded", "ready", "http") if s not in seen] == []


def test_serve_proved_both_ranks_the_tool_call_and_a_soak(engine: RunningPair) -> None:
    proven = {p["name"]: p["ok"] for p in engine.first.report["facts"]["report.proof"]["r0"]}
    assert proven == dict.fromkeys(("health", "model", "ranks", "chat", "tool-call", "list-content", "stream", "forced-tool", "soak"), True)
    assert "2 of 2 ranks" in engine.first.out


def test_again_changes_nothing_and_status_says_it_serves(engine: RunningPair) -> None:
    again = engine.site.run("serve", "-y")
    assert (again.code, again.success) == (0, 0), again.err
    assert engine.site.run("status").code == 0


def test_a_flag_that_the_images_engine_refuses_leaves_the_replica_serving(engine: RunningPair) -> None:
    """serve asks the engine in the image before it stops anything for a change."""
    before = [engine.lab.ssh(n, "docker ps -q --filter label=bringup.cluster=pair") for n in engine.site.members]
    ran = engine.site.run("serve", "-y", "--data", "flags.kv-cache-dtype=fp9")
    assert ran.code == 1
    assert "image.command: refused: argument --kv-cache-dtype: invalid choice: 'fp9'" in ran.err + ran.out
    assert [engine.lab.ssh(n, "docker ps -q --filter label=bringup.cluster=pair") for n in engine.site.members] == before
    assert engine.site.run("status").code == 0


@pytest.mark.long
def test_a_changed_flag_restarts_both_ranks_in_order_and_proves_them(engine: RunningPair) -> None:
    engine.site.data["flags"] = {"max-num-seqs": 64}
    ran = engine.site.run("serve", "-y", "--data", "soak=2s", seconds=600)
    assert ran.code == 0, ran.err
    assert "~ --max-num-seqs: 128 -> 64" in ran.err
    starts = [e["node"] for e in ran.events if e["event"] == "start" and e.get("stage") == "start"]
    assert starts == [engine.site.name(n) for n in engine.site.members]


def test_stop_then_clean_leave_nothing_of_a_real_engine(engine: RunningPair) -> None:
    assert engine.site.run("stop", "-y").code == 0
    ran = engine.site.run("clean", "-y", "--data", "revert=true")
    assert ran.code == 0, ran.err
    for node in engine.site.members:
        files = "ls -d /etc/bringup /var/lib/bringup/pair 2>/dev/null; ls /etc/sysctl.d | grep bringup || :"
        left = f"ps -eo args | grep -c '[V]LLM::' || :; {files}"
        assert engine.lab.ssh(node, left).split() == ["0"]
        assert engine.lab.ssh(node, "npu-smi info").count("No running processes") == 8
        assert engine.lab.ssh(node, "ss -Hltn | grep -cE ':(20004|2347|600[0-3][0-9]) ' || :").strip() == "0"
    again = engine.site.run("clean", "-y", "--data", "revert=true")
    assert (again.code, again.success) == (0, 0)
