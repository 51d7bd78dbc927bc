"""The reference results in the recipes are the figures the vendor pages print."""

from __future__ import annotations

import pytest

from tests.unit import seedtext
from tests.unit.sources import plan

VLLM = {
    "Successful requests": "completed", "Failed requests": "failed", "Benchmark duration (s)": "duration",
    "Total input tokens": "total_input_tokens",    "Total generated tokens": "total_output_tokens", "Request throughput (req/s)": "request_throughput",
    "Output token throughput (tok/s)": "output_throughput", "Total Token throughput (tok/s)": "total_token_throughput",
    **{f"{n} {m} (ms)": f"{n.lower()}_{m.lower()}_ms" for n in ("Mean", "Median", "P95", "P99", "Max") for m in ("TTFT", "TPOT", "ITL")},
}  # fmt: skip
SGLANG = {
    **VLLM, "Input token throughput (tok/s)": "input_throughput", "Total token throughput (tok/s)": "total_throughput", "Concurrency": "concurrency",
    "Mean E2E Latency (ms)": "mean_e2e_latency_ms", "Median E2E Latency (ms)": "median_e2e_latency_ms",
}  # fmt: skip
ASCEND = {
    "Mean TTFT": "mean_ttft_ms", "TTFT (avg)": "mean_ttft_ms", "Mean TPOT": "mean_tpot_ms", "TPOT (avg)": "mean_tpot_ms", "Mean ITL": "mean_itl_ms",
    "Output tok/s": "output_throughput", "Output throughput": "output_throughput", "Total tok/s": "total_token_throughput",
}  # fmt: skip
TABLES = [
    ("002", "Benchmarking", 1, "vllm/nvidia-tp4", "random-2k-1k", VLLM),
    ("001", "4.1.1 Low Concurrency (Latency-Optimized)", 1, "sglang/mi300x-tp4", "random-1k-1k-c1", SGLANG),
    ("001", "4.1.2 Medium Concurrency (Balanced)", 1, "sglang/mi300x-tp4", "random-1k-1k-c16", SGLANG),
    ("001", "4.1.3 High Concurrency (Throughput-Optimized)", 1, "sglang/mi300x-tp4", "random-1k-1k-c100", SGLANG),
    ("004", "Results A3 baseline, 3.5k/1k@bs=217", 0, "vllm-ascend/a3", "random-3.5k-1k", ASCEND),
    ("004", "Results A3 long context, 190k/1k@bs=4", 0, "vllm-ascend/a3-long-context", "prefix-190k-1k", ASCEND),
    ("004", "Results A2, 190k/1k, concurrency=4, 16 prompts", 0, "vllm-ascend/a2-dual", "prefix-190k-1k", ASCEND),
]
NOT_TAKEN = {
    "Maximum request concurrency", "Max request concurrency", "Peak output token throughput (tok/s)", "Peak concurrent requests",
    "Total input text tokens", "Total input vision tokens", "Total generated tokens (retokenized)", "Success/Failure", "Prefix hit rate",
}  # fmt: skip


@pytest.mark.parametrize("table", TABLES, ids=lambda t: f"{t[3]} {t[4]}")
def test_a_reference_holds_the_pages_figures(table: tuple[str, str, int, str, str, dict[str, str]]) -> None:
    seed, heading, number, recipe, scenario, names = table
    printed = seedtext.metrics(seedtext.block(seed, heading, number))
    reference = next(b["reference"] for b in plan(recipe).data()["bench"] if b["name"] == scenario)["metrics"]
    assert len(printed) >= 3
    for words, figure in printed.items():
        if words not in NOT_TAKEN:
            assert reference[names[words]] == figure, words


def test_every_reference_comes_from_a_table_that_is_compared() -> None:
    from tests.unit.sources import recipes

    compared = {(recipe, scenario) for _, _, _, recipe, scenario, _ in TABLES}
    inherited = {"vllm-ascend/a2-multi", "vllm-ascend/a3-low-latency", "vllm/nvidia-dp8-ep"}
    for recipe in recipes():
        if recipe.startswith("lab/") or recipe in inherited:
            continue
        for b in plan(recipe).data()["bench"]:
            assert (b["reference"] is not None) == ((recipe, b["name"]) in compared), (recipe, b["name"])
