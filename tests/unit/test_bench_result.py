"""Results as the tools write them: vLLM and SGLang recorded from their clients against a stub, gsm8k and mmlu after their scripts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from roles.bench import accelerator, result
from roles.run.seen import Section, Seen

FIXTURES = Path(__file__).parents[1] / "fixtures"
VLLM = ["vllm-0.18.0-random", "vllm-0.32.0-random", "vllm-0.32.0-prefix"]
SGLANG = ["sglang-0.5.7-random", "sglang-0.5.23-random"]
PERCENTILES = {f"{n}_{m}_ms" for n in ("mean", "median", "std", "p99") for m in ("ttft", "tpot", "itl")}


def lines(name: str) -> list[str]:
    return (FIXTURES / "bench" / f"{name}.txt").read_text(encoding="utf-8").split("\n")


@pytest.mark.parametrize("name", VLLM)
def test_vllms_figures_are_read_under_its_own_names(name: str) -> None:
    found = result.read("vllm-bench", result.line(lines(name)))
    wanted = {"duration", "request_throughput", "output_throughput", "total_token_throughput", "total_input_tokens", *PERCENTILES}
    assert wanted <= set(found.figures)
    assert (found.completed, found.failed, found.why) == (16 if "prefix" in name else 8, 0, "")


@pytest.mark.parametrize("name", SGLANG)
def test_sglangs_figures_are_read_under_its_own_names(name: str) -> None:
    found = result.read("sglang-bench", result.line(lines(name)), 10)
    wanted = {"total_throughput", "input_throughput", "concurrency", "median_e2e_latency_ms", "p95_itl_ms", *PERCENTILES}
    assert wanted <= set(found.figures)
    assert (found.completed, found.failed, found.why) == (10, 0, "")


@pytest.mark.parametrize(("name", "accuracy"), [("gsm8k", 0.75), ("mmlu", 0.55)])
def test_accuracy_is_read_from_a_scripts_line(name: str, accuracy: float) -> None:
    found = result.read("script", result.line(lines(name)))
    assert found.figures["accuracy"] == accuracy
    assert "num_requests" not in found.figures  # gsm8k's says what was asked, not how many there were
    assert found.why == ""


def test_what_was_asked_is_no_figure() -> None:
    for name, tool in ((VLLM[1], "vllm-bench"), (SGLANG[0], "sglang-bench")):
        assert not {"num_prompts", "max_concurrency", "burstiness", "random_input_len"} & set(
            result.read(tool, result.line(lines(name))).figures
        )


def test_the_figures_are_those_of_the_table_that_was_printed() -> None:
    said = dict(line.rsplit(":", 1) for line in lines(VLLM[1]) if line.count(":") == 1)
    found = result.read("vllm-bench", result.line(lines(VLLM[1]))).figures
    assert f"{found['output_throughput']:.2f}" == said["Output token throughput (tok/s)"].strip()
    assert f"{found['p99_itl_ms']:.2f}" == said["P99 ITL (ms)"].strip()


def test_a_wrong_key_fails_all_requests_though_the_tool_ends_with_0() -> None:
    found = result.read("vllm-bench", result.line(lines("vllm-0.32.0-wrong-key")), 8)
    assert found.why == "8 of 8 requests failed"
    assert result.errors(lines("vllm-0.32.0-wrong-key")) == "Unauthorized"


def test_sglang_does_not_count_failures_so_the_prompts_do() -> None:
    assert result.read("sglang-bench", result.line(lines(SGLANG[0])), 12).why == "2 of 12 requests failed"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "wrote no result file"),
        ("Traceback (most recent call last)", "is no JSON"),
        ("[1, 2]", "holds a list"),
        ('{"completed": 8}', "lacks failed, duration, output_throughput, mean_ttft_ms, mean_tpot_ms"),
        ('{"completed": true}', "lacks completed"),
    ],
)
def test_what_is_no_result_is_one_sentence(text: str, words: str) -> None:
    with pytest.raises(result.Unreadable, match=words):
        result.read("vllm-bench", text)


def test_infinities_never_reach_our_file() -> None:
    data = json.loads(result.line(lines(SGLANG[0])))
    found = result.read("sglang-bench", json.dumps({**data, "accept_length": float("nan"), "p99_itl_ms": float("inf")}))
    assert not {"accept_length", "p99_itl_ms"} & set(found.figures)
    json.dumps(found.figures, allow_nan=False)


def seen(**sections: str) -> Seen:
    named = {name.replace("_", "-", 1).replace("_", "."): text for name, text in sections.items()}
    return Seen("n0", {name: Section(name, 0, tuple(text.split("\n"))) for name, text in named.items()})


@pytest.mark.parametrize(("file", "name"), [("a2", "910B3"), ("a3", "Ascend910")], ids=["Atlas A2", "Atlas A3"])
def test_an_npu_is_called_what_npu_smi_calls_it(file: str, name: str) -> None:
    texts = [p.read_text(encoding="utf-8") for p in sorted((FIXTURES / "accelerators" / "npu-smi").rglob(f"*{file}*"))]
    assert texts
    assert {accelerator.name(seen(npu_smi_info=t)) for t in texts if "Name" in t} >= {name}


def test_a_gpu_is_called_what_its_tool_calls_it() -> None:
    table = "index, uuid, name, driver_version\n0, GPU-1, NVIDIA H20-3e, 570.86\n1, GPU-2, NVIDIA H20-3e, 570.86"
    assert accelerator.name(seen(nvidia_smi_gpus=table)) == "NVIDIA H20-3e"
    card = '[{"gpu": 0, "asic": {"market_name": "AMD Instinct MI300X OAM"}}]'
    assert accelerator.name(seen(amd_smi_static=card)) == "AMD Instinct MI300X OAM"
    assert (
        accelerator.name(seen(nvidia_smi_gpus=table.replace("1, GPU-2, NVIDIA H20-3e", "1, GPU-2, NVIDIA H200")))
        == "NVIDIA H20-3e + NVIDIA H200"
    )


@pytest.mark.parametrize("text", ["", "oops", "index, uuid\n0, 1", "{", "[1]"])
def test_a_tool_that_says_nothing_useful_gives_no_name(text: str) -> None:
    assert accelerator.name(seen(nvidia_smi_gpus=text, amd_smi_static=text, npu_smi_info=text)) == ""
