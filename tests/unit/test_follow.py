"""A start told by its log: stages, progress, fatal lines, stalls."""

from __future__ import annotations

import pytest

from roles.plan.plan import make
from roles.plan.source import read_inventory
from roles.run.follow import Follower, duration
from roles.run.seen import MARK
from tests.unit.test_imports import ROOT

VERIFY = make(read_inventory(ROOT / "inventories" / "a2.py")).verify
LOG = [
    "(APIServer pid=1) INFO 11-20 12:00:00 [api_server.py:1351] vLLM API server version 0.18.0",
    "(EngineCore_DP0 pid=9) INFO Initializing a V1 LLM engine (v0.18.0) with config",
    "INFO world_size=16 rank=0 local_rank=0 distributed_init_method=tcp://10.0.0.11:1 backend=hccl",
    "INFO Starting to load model /opt/models",
    "Loading safetensors checkpoint shards:  25% Completed | 40/160 [00:40<02:00,  1.0it/s]",
    "Loading safetensors checkpoint shards:  50% Completed | 80/160 [01:20<01:20,  1.0it/s]",
    "INFO Loading weights took 160.00 seconds",
    "INFO Available KV cache memory: 12.3 GiB",
    "Capturing CUDA graphs (decode, FULL):  50%|#####     | 2/4 [00:01<00:01]",
    "INFO init engine (profile, create kv cache, warmup model) took 30 seconds",
    "INFO:     Application startup complete.",
]


def follower(rank: int = 0) -> Follower:
    return Follower(VERIFY["stages"], VERIFY["fatal"], rank, stall=60)


def test_stages_come_in_order_once_each() -> None:
    one = follower()
    told = [e.text for i, line in enumerate(LOG) for e in one.feed(line, float(i)) if e.kind == "stage"]
    assert told == ["container", "engine", "distributed", "weights", "loaded", "kv-cache", "graph", "ready", "http"]


def test_progress_has_a_count_and_says_how_long_it_will_take() -> None:
    one = follower()
    told = [e for at, line in zip((0, 1, 2, 3, 40, 80), LOG[:6], strict=True) for e in one.feed(line, float(at)) if e.kind == "progress"]
    assert (told[0].done, told[0].total) == (40, 160)
    assert told[1].text == "80/160, about 80 s left"


def test_a_later_stage_never_goes_back() -> None:
    one = follower()
    list(one.feed(LOG[6], 0.0))
    assert [e for e in one.feed(LOG[3], 1.0) if e.kind == "stage"] == []
    assert one.stage == "loaded"


def test_a_fatal_line_is_told_with_its_meaning() -> None:
    (told,) = [e for e in follower().feed("[ERROR] EI0006: Getting socket times out. Reason: x", 0.0) if e.kind == "fatal"]
    assert "EI0006" in told.line
    assert told.text


def test_a_mark_in_the_middle_of_a_line_is_no_part_of_the_log() -> None:
    one = follower()
    kinds = [(e.kind, e.text) for e in one.feed(f"half a line{MARK}health 200", 0.0)]
    assert kinds == [("health", "200")]
    assert one.words[-1] == "half a line"


@pytest.mark.parametrize(
    ("signs", "stalled"), [("", True), ("alive 1000 1000", True), (f"alive {5 << 20} 0", False), (f"alive 0 {20 << 20}", False)]
)
def test_silence_is_a_stall_only_when_nothing_is_read_and_no_memory_grows(signs: str, stalled: bool) -> None:
    one = follower()
    list(one.feed(LOG[3], 0.0))
    if signs:
        list(one.feed(MARK + signs, 50.0))
    assert bool(one.stalled(70.0)) is stalled
    if stalled:
        assert "in stage weights" in one.stalled(70.0)


def test_rank_1_has_no_http_stage() -> None:
    one = follower(1)
    assert [e.kind for e in one.feed(LOG[-1], 0.0)] == []


def test_last_words_prefer_errors() -> None:
    one = follower()
    for line in ("fine", "ValueError: no such flag", "fine again"):
        list(one.feed(line, 0.0))
    assert one.last_words() == "ValueError: no such flag"


@pytest.mark.parametrize(("seconds", "said"), [(5, "5 s"), (89, "89 s"), (600, "10 min"), (7200, "2.0 h")])
def test_durations_are_said_in_fitting_units(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_node_without_its_tick_is_taken_for_gone_and_an_engine_without_a_word_is_not() -> None:
    one = follower()
    for second in range(0, 50):
        list(one.feed(f"{MARK}tick", float(second)))
        assert one.unheard(float(second)) == ""
    assert one.unheard(60.0) == ""
    assert one.unheard(49.0 + 45.0).startswith("nothing was heard from the node for 45 s")
    assert one.stalled(60.0), "a tick is no sign of the engine's life"
