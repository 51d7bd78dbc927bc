"""The judges judge: the vendors' commands pass where they should, and mistakes are named."""

from __future__ import annotations

import shlex

import pytest

pytestmark = pytest.mark.engines

A2 = """vllm serve /opt/data/verification/models/MiniMax-M2.5/ --served-model-name minimax25
 --host 10.0.0.11 --port 20004 {role} --tensor-parallel-size 8 --data-parallel-size 2
 --data-parallel-size-local 1 --data-parallel-address 10.0.0.11 --data-parallel-rpc-port 2347
 --max-num-seqs 128 --max-num-batched-tokens 65536 --gpu-memory-utilization 0.92
 --enable-expert-parallel --trust-remote-code --enable-auto-tool-choice
 --tool-call-parser minimax_m2 --reasoning-parser minimax_m2_append_think
 --compilation-config '{{"cudagraph_mode": "FULL_DECODE_ONLY"}}' --mm_processor_cache_type="shm"
 --async-scheduling --additional-config '{{"enable_cpu_binding":true}}'"""
A2_NODE0 = A2.format(role="--data-parallel-start-rank 0")  # as the vendor prints it
A2_RANK0 = A2.format(role="--api-server-count 1")
A2_RANK1 = A2.format(role="--headless --data-parallel-start-rank 1")
A3 = """vllm serve /path/to/weight/MiniMax-M2.5-w8a8-QuaRot --served-model-name MiniMax-M2.5
 --host 0.0.0.0 --port 8000 --trust-remote-code --async-scheduling
 --compilation-config '{"cudagraph_mode": "FULL_DECODE_ONLY"}'
 --additional-config '{"enable_cpu_binding":true}' --enable-expert-parallel
 --tensor-parallel-size 4 --data-parallel-size 4 --max-num-seqs 48 --max-model-len 40690
 --max-num-batched-tokens 16384 --gpu-memory-utilization 0.85"""
ASCEND = " --quantization ascend"
EAGLE3 = """ --speculative_config '{"enforce_eager": true, "method": "eagle3",
 "model": "/path/to/weight/Eagle3/", "num_speculative_tokens": 3}'"""
LONG = """ --tensor-parallel-size 8 --data-parallel-size 1 --decode-context-parallel-size 1
 --prefill-context-parallel-size 2 --cp-kv-cache-interleave-size 128 --max-model-len 138000"""
M2 = "vllm serve MiniMaxAI/MiniMax-M2 --enable-auto-tool-choice --tool-call-parser minimax_m2"
THINK = " --reasoning-parser minimax_m2_append_think"
NVIDIA = {
    "tp4": f"{M2}{THINK} --tensor-parallel-size 4",
    "dp8 ep": f"{M2}{THINK} --data-parallel-size 8 --enable-expert-parallel",
    "piecewise": f'{M2}{THINK} --compilation-config \'{{"cudagraph_mode": "PIECEWISE"}}\'',
    "responses": f"{M2} --reasoning-parser minimax_m2 --tensor-parallel-size 4",
    "rocm": f"{M2}{THINK} --data-parallel-size 8 --max-model-len 32768 --enable-expert-parallel"
    " --disable-nccl-for-dp-synchronization --trust-remote-code",
}
SGLANG = """python3 -m sglang.launch_server --model-path MiniMaxAI/MiniMax-M2 {size}
 --reasoning-parser minimax-append-think --tool-call-parser minimax-m2 --trust-remote-code
 --mem-fraction-static 0.85"""
SGLANG_SEEDS = {
    "nvidia": SGLANG.format(size="--tp 8 --ep 8"),
    "mi300x tp4": SGLANG.format(size="--tp-size 4 --host 0.0.0.0 --port 8000"),
    "mi300x tp8": SGLANG.format(size="--tp-size 8 --ep-size 8 --host 0.0.0.0 --port 8000"),
}
LAUNCH = "xinference launch --model-engine Transformers --model-name MiniMax-M2"
LAUNCH += " --size-in-billions 230 --model-format {} --quantization {}"


def words(command: str) -> list[str]:
    return shlex.split(command)


@pytest.fixture(params=["vllm", "vllm_018"])
def each_vllm(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["sglang", "sglang_057"])
def each_sglang(request):
    return request.getfixturevalue(request.param)


def test_the_a2_pair_resolves_to_one_engine_over_two_nodes(each_vllm):
    rank0, rank1 = (each_vllm.check(words(node)) for node in (A2_RANK0, A2_RANK1))
    assert (rank0.ok, rank1.ok) == (True, True), rank0.error + rank1.error
    shape = {"tp": 8, "dp": 2, "dp_local": 1, "ep": True, "dp_rpc_port": 2347, "external_lb": False}
    assert shape.items() <= rank0.config.items()
    assert shape.items() <= rank1.config.items()
    assert (rank0.config["dp_rank"], rank1.config["dp_rank"]) == (0, 1)
    assert (rank0.config["launch"], rank1.config["launch"]) == ("one api server", "headless")


def test_start_rank_0_on_rank_0_means_an_external_balancer_at_032_only(vllm, vllm_018):
    new, old = (judge.check(words(A2_NODE0)) for judge in (vllm, vllm_018))
    assert (new.ok, old.ok) == (True, True), new.error + old.error
    assert new.config["external_lb"] is True
    assert old.config["external_lb"] is False


def test_without_a_count_rank_0_gets_one_api_server_per_engine(each_vllm):
    verdict = each_vllm.check(words(A2.format(role="")))
    assert verdict.config["api_servers"] == 2, verdict.error


def test_headless_can_be_asked_for_without_the_flag(each_vllm):
    assert each_vllm.check(words(A3), headless=True).config["launch"] == "headless"


def test_the_a3_command_resolves(each_vllm):
    verdict = each_vllm.check(words(A3))
    assert {"tp": 4, "dp": 4, "max_model_len": 40690}.items() <= verdict.config.items()
    assert each_vllm.check(words(A3 + ASCEND + EAGLE3), level="parse").ok


@pytest.mark.parametrize("seed", NVIDIA)
def test_the_nvidia_and_rocm_commands_resolve(vllm, seed):
    verdict = vllm.check(words(NVIDIA[seed]))
    assert verdict.ok, verdict.error


@pytest.mark.parametrize("seed", NVIDIA)
def test_at_018_the_checkpoints_own_code_must_be_trusted(vllm_018, seed):
    bare = NVIDIA[seed].replace(" --trust-remote-code", "")
    assert "trust_remote_code" in vllm_018.check(words(bare)).error
    assert vllm_018.check(words(f"{bare} --trust-remote-code")).ok


def test_what_only_ascend_builds_have_is_refused_honestly(vllm, vllm_018):
    assert "Unknown quantization method: ascend" in vllm.check(words(A3 + ASCEND)).error
    assert "Unknown quantization method: ascend" in vllm_018.check(words(A3 + ASCEND)).error
    assert "prefill context parallel" in vllm.check(words(A3 + LONG)).error
    assert vllm_018.check(words(A3 + LONG)).ok


def test_an_eagle3_head_is_taken_at_032_and_not_for_this_model_at_018(vllm, vllm_018):
    new, old = (judge.check(words(A3 + EAGLE3)) for judge in (vllm, vllm_018))
    assert (new.config["speculative"], new.config["speculative_tokens"]) == ("eagle3", 3)
    assert "eagle3 is only supported for" in old.error


@pytest.mark.parametrize(
    ("mistake", "word"),
    [
        ("--tensor-paralel-size 8", "unrecognized arguments: --tensor-paralel-size"),
        ("--compilation-config {cudagraph_mode:1}", "--compilation-config"),
        ("--compilation-config '{\"cudagraf\": 1}'", "cudagraf"),
        ('--compilation-config \'{"cudagraph_mode": "FULL_DECODE"}\'', "FULL_DECODE"),
        ("--headless --api-server-count 1", "cannot be used with --headless"),
        ("--enable-auto-tool-choice", "requires --tool-call-parser"),
        ("--enable-auto-tool-choice --tool-call-parser nope", "invalid tool call parser: nope"),
        ("--port eight", "--port"),
    ],
)
def test_vllm_names_a_mistake_while_parsing(each_vllm, mistake, word):
    verdict = each_vllm.check(words(f"{A3} {mistake}"), level="parse")
    assert not verdict.ok
    assert word in verdict.error
    assert "\n" not in verdict.error


@pytest.mark.parametrize(
    ("mistake", "word"),
    [
        ("--tensor-parallel-size 5", "heads (48) must be divisible by tensor parallel size (5)"),
        ("--max-model-len 999999", "max_model_len (999999) is greater"),
    ],
)
def test_vllm_names_a_mistake_in_the_configuration(each_vllm, mistake, word):
    verdict = each_vllm.check(words(f"{A3} {mistake}"))
    assert not verdict.ok
    assert word in verdict.error


def test_only_032_looks_at_the_name_of_the_reasoning_parser_before_it_starts(vllm, vllm_018):
    assert "nope" in vllm.check(words(f"{A3} --reasoning-parser nope")).error
    assert vllm_018.check(words(f"{A3} --reasoning-parser nope")).ok


def test_no_verdict_sees_the_one_before(each_vllm):
    """vLLM keeps the name of the reasoning parser in a default that all its configurations share."""
    before = each_vllm.check(words(A2_RANK0))
    each_vllm.check(words(f"{A3} --reasoning-parser nope"))
    assert not each_vllm.check(words(A3 + ASCEND)).ok
    assert each_vllm.check(words(A2_RANK0)) == before


@pytest.mark.parametrize("seed", SGLANG_SEEDS)
def test_the_sglang_commands_resolve(each_sglang, seed):
    verdict = each_sglang.check(words(SGLANG_SEEDS[seed]))
    assert verdict.ok, verdict.error
    size = {"nvidia": (8, 8), "mi300x tp4": (4, 1), "mi300x tp8": (8, 8)}[seed]
    assert (verdict.config["tp"], verdict.config["ep"]) == size
    assert verdict.config["port"] == (30000 if seed == "nvidia" else 8000)


@pytest.mark.parametrize(
    ("mistake", "level", "word"),
    [
        ("--tool-call-parser minimax_m2", "parse", "invalid choice: 'minimax_m2'"),
        ("--tensor-paralel 8", "parse", "unrecognized arguments: --tensor-paralel 8"),
        ("--port eight", "parse", "invalid int value: 'eight'"),
        ("--nnodes 3", "config", "tp_size must be divisible by number of nodes"),
    ],
)
def test_sglang_names_a_mistake(each_sglang, mistake, level, word):
    verdict = each_sglang.check(words(f"{SGLANG_SEEDS['nvidia']} {mistake}"), level=level)
    assert not verdict.ok
    assert word in verdict.error


@pytest.mark.parametrize(
    ("build", "model_id"),
    [
        (("pytorch", "none"), "MiniMaxAI/MiniMax-M2"),
        (("awq", "Int4"), "QuantTrio/MiniMax-M2-AWQ"),
        (("mlx", "5bit"), "mlx-community/MiniMax-M2-5bit"),
    ],
)
def test_xinference_launches_the_builds_of_its_page(xinference, build, model_id):
    verdict = xinference.check(words(LAUNCH.format(*build)))
    assert verdict.ok, verdict.error
    assert verdict.config["model_id"] == model_id


def test_xinference_local_starts_where_it_is_told(xinference):
    verdict = xinference.check(words("xinference-local --host 0.0.0.0 --port 9997"))
    assert {"host": "0.0.0.0", "port": 9997}.items() <= verdict.config.items()


@pytest.mark.parametrize(
    ("command", "level", "word"),
    [
        ("xinference-local --prot 9997", "parse", "No such option: --prot"),
        ("xinference lunch", "parse", "No such command 'lunch'"),
        ("xinference launch --model-engine Transformers", "parse", "--model-name"),
        ("xinference launch --model-name MiniMax-M2", "config", "--model-engine is required"),
        (LAUNCH.format("pytorch", "Int8"), "config", "has no such build"),
    ],
)
def test_xinference_names_a_mistake(xinference, command, level, word):
    verdict = xinference.check(words(command), level=level)
    assert not verdict.ok
    assert word in verdict.error


def test_xinference_passes_on_what_it_does_not_know(xinference):
    verdict = xinference.check(words(LAUNCH.format("awq", "Int4") + " --gpu_memory 0.9"))
    assert verdict.ok
    assert verdict.config["extra"] == ["--gpu_memory", "0.9"]


def test_every_judge_lists_the_options_it_knows(each_vllm, each_sglang, xinference):
    assert {"--data-parallel-start-rank", "--headless", "-tp"} <= each_vllm.options()
    assert {"--tp-size", "--ep-size", "--tool-call-parser"} <= each_sglang.options()
    assert {"--size-in-billions", "--host"} <= xinference.options()
