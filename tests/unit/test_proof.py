"""How an endpoint is proven: the pages' requests, the stages' patterns on real log lines."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from roles.plan.library import library
from tests.unit import seedtext
from tests.unit.sources import plan

LINES = {
    "vllm-ascend": [
        ("container", "(APIServer pid=7) INFO 11-20 10:00:00 [api_server.py:1977] vLLM API server version 0.18.0"),
        ("container", "Launching 1 data parallel engine(s) in headless mode, with head node address tcp://10.0.0.11:2347."),
        ("engine", "(EngineCore_DP0 pid=91) INFO [core.py:94] Initializing a V1 LLM engine (v0.18.0) with config: model='/m'"),
        ("engine", "Started DP Coordinator process (PID: 88)"),
        (
            "distributed",
            "(Worker_DP0_TP3 pid=99) world_size=16 rank=3 local_rank=3 distributed_init_method=tcp://10.0.0.11:29500 backend=hccl",
        ),
        ("weights", "(Worker_DP0_TP0_EP0 pid=95) Loading safetensors checkpoint shards:  64% Completed | 105/163 [09:30<04:59,  5.16s/it]"),
        ("weights", "(Worker_DP0_TP0_EP0 pid=95) INFO [model_runner_v1.py:2402] Starting to load model /models/MiniMax-M2.5..."),
        ("loaded", "Loading model weights took 28.6301 GB"),
        ("loaded", "Loading weights took 512.33 seconds"),
        ("kv-cache", "Available KV cache memory: 21.52 GiB"),
        ("kv-cache", "GPU KV cache size: 1,234,567 tokens"),
        ("graph", "Capturing CUDA graphs (decode, FULL):  50%|#####     | 17/35 [00:10<00:10,  1.70it/s]"),
        ("graph", "Graph capturing finished in 21 secs, took 1.20 GiB"),
        ("ready", "init engine (profile, create kv cache, warmup model) took 95.13 seconds"),
        ("http", "(APIServer pid=7) INFO Starting vLLM server on http://10.0.0.11:20004"),
        ("http", "INFO:     Application startup complete."),
    ],
}


@pytest.mark.parametrize(("engine", "stage", "line"), [(e, s, line) for e, pairs in LINES.items() for s, line in pairs])
def test_a_stage_is_known_by_its_log_line(engine: str, stage: str, line: str) -> None:
    stages = library().engine(engine, "test").stages
    assert [s.name for s in stages if any(re.search(p, line) for p in s.patterns)] == [stage]


def test_every_stage_of_the_pair_is_shown_by_a_line() -> None:
    assert {s for s, _ in LINES["vllm-ascend"]} == {s.name for s in library().engine("vllm-ascend", "test").stages}


def test_shards_are_counted() -> None:
    (pattern, *_) = next(s.patterns for s in library().engine("vllm", "test").stages if s.name == "weights")
    match = re.search(pattern, "Loading safetensors checkpoint shards:  64% Completed | 105/163 [09:30<04:59,  5.16s/it]")
    assert match
    assert (match["done"], match["total"]) == ("105", "163")


@pytest.mark.parametrize(
    "line",
    [
        "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore_DP0': 1}",
        "Remote engine 1 must not use --headless in external or hybrid dp lb mode",
        "EI0006: Getting socket times out. Reason: Remote Rank did not send the data in time.",
        "EJ0001: Failed to initialize the HCCP process. Reason: Maybe the last training process is running.",
        "NPU out of memory. Tried to allocate 2.00 GiB (NPU 0; 60.97 GiB total capacity; ...)",
        "vllm: error: unrecognized arguments: --maxnumseqs 4",
    ],
)
def test_a_fatal_line_ends_the_wait(line: str) -> None:
    assert any(re.search(f.pattern, line) for f in library().engine("vllm-ascend", "test").fatal.values())


@pytest.mark.parametrize(
    "line",
    [
        "No available shared memory broadcast block found in 60 seconds",
        "WARNING: The current HCCL buffer is large",
        "INFO: EngineCore waiting for work.",
        "Detected fp8 MiniMax-M2 checkpoint on NPU. Disabling fp8 quantization and loading dequantized bf16 weights instead.",
        "Traceback of allocation is disabled",
    ],
)
def test_a_harmless_line_does_not(line: str) -> None:
    assert not any(re.search(f.pattern, line) for f in library().engine("vllm-ascend", "test").fatal.values())


def body(text: str) -> Any:
    """The JSON a page's curl sends."""
    data = re.search(r"-d '(.*)'", text, re.DOTALL)
    assert data
    return json.loads(data.group(1))


def test_the_pages_requests_are_sent() -> None:
    a2 = {r["name"]: r["body"] for r in plan().verify["requests"]}
    page = body(seedtext.block("004", "A2 (dual node)"))
    assert {k: v for k, v in page.items() if k != "ignore_eos"} == a2["chat"], "ignore_eos would hide a model that never stops"
    a3 = {r["name"]: r["body"] for r in plan("vllm-ascend/a3", model="MiniMax-M2.5-w8a8-QuaRot").verify["requests"]}
    assert body(seedtext.block("004", "A3 (single node)", 4)) == a3["tool-call"]
    sglang = {r["name"]: r["body"] for r in plan("sglang/nvidia-tp8-ep8", model="MiniMax-M2").verify["requests"]}
    assert body(seedtext.block("000", "4.1 Basic Usage")).items() <= sglang["chat-list-content"].items()


def test_the_responses_variant_proves_the_responses_api() -> None:
    assert "/v1/responses" in [r["path"] for r in plan("vllm/nvidia-tp4", variants=["responses"]).verify["requests"]]
    assert "/v1/responses" not in [r["path"] for r in plan("vllm/nvidia-tp4").verify["requests"]]
