"""Every plan says what its vendor page says, except where differences.yaml gives the reason."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml

from tests.unit import seedtext
from tests.unit.sources import plan

WEIGHTS = "/models/weights"
PLACES = {
    "{PrimaryNodeIP}": "10.0.0.11", "{SecondaryNodeIP}": "10.0.0.12", "{service_ip}": "10.0.0.11", "{NIC}": "enp67s0f0np0",
    "{profiling_dir}": "/profiles", "{model_path}": WEIGHTS, "/path/to/weight/Eagle3/": "/models/draft",
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One block of one page, and the plan that must say the same."""

    name: str
    seed: str
    heading: str
    number: int
    recipe: str
    what: str = "serve"
    rank: int = 0
    data: dict[str, Any] = field(default_factory=dict)
    fragment: bool = False
    """Only a few lines of a command: what the plan has beyond them is no difference."""


A2: dict[str, Any] = {"profiler": "/profiles"}
A3: dict[str, Any] = {"model": "MiniMax-M2.5-w8a8-QuaRot", "draft": "/models/draft"}
LAUNCH = "Launching MiniMax-M2.1/M2 with vLLM"
CASES = [
    Case("a3-docker", "004", "A3 (single node)", 0, "vllm-ascend/a3", "docker", data=A3),
    Case("a2-docker", "004", "A2 (dual node, run on both nodes)", 0, "vllm-ascend/a2-dual", "docker"),
    Case("a3-serve", "004", "A3 (single node)", 1, "vllm-ascend/a3", data=A3),
    Case("a3-long", "004", "A3 (single node)", 2, "vllm-ascend/a3-long-context", data=A3, fragment=True),
    Case("a3-curl", "004", "A3 (single node)", 3, "vllm-ascend/a3", data=A3, fragment=True),
    Case("a2-node0", "004", "Node0 (primary) startup script", 0, "vllm-ascend/a2-dual", data=A2),
    Case("a2-node1", "004", "Node1 (secondary) startup script", 0, "vllm-ascend/a2-dual", rank=1, data=A2),
    Case("a2-bench", "004", "Benchmark method", 0, "vllm-ascend/a2-dual", "bench prefix-190k-1k"),
    Case("vllm-tp4", "002", LAUNCH, 0, "vllm/nvidia-tp4", data={"model": "MiniMax-M2"}),
    Case("vllm-dp8", "002", LAUNCH, 1, "vllm/nvidia-dp8-ep", data={"model": "MiniMax-M2"}),
    Case("vllm-piecewise", "002", LAUNCH, 2, "vllm/nvidia-tp4", data={"model": "MiniMax-M2", "variants": ["piecewise"]}),
    Case("vllm-responses", "002", LAUNCH, 3, "vllm/nvidia-tp4", data={"model": "MiniMax-M2", "variants": ["responses"]}),
    Case("vllm-bench", "002", "Benchmarking", 0, "vllm/nvidia-tp4", "bench random-2k-1k", data={"model": "MiniMax-M2"}),
    Case("rocm-docker", "002", "Step 1: Prepare Docker Environment", 1, "vllm/rocm-mi300x", "docker", data={"model": "MiniMax-M2"}),
    Case("rocm-serve", "002", "Step 3: Start the vLLM server", 0, "vllm/rocm-mi300x", data={"model": "MiniMax-M2"}),
    Case("rocm-bench", "002", "Step 4: Run Benchmark", 0, "vllm/rocm-mi300x", "bench random-8k-1k", data={"model": "MiniMax-M2"}),
    Case("sglang-nvidia", "000", "5.1 Speed Benchmark", 0, "sglang/nvidia-tp8-ep8", data={"model": "MiniMax-M2"}),
    Case("sglang-nvidia-c1", "000", "5.1.1 Latency-Sensitive Benchmark", 0, "sglang/nvidia-tp8-ep8", "bench random-1k-1k-c1", data={"model": "MiniMax-M2"}),
    Case("sglang-nvidia-c100", "000", "5.1.2 Throughput-Sensitive Benchmark", 0, "sglang/nvidia-tp8-ep8", "bench random-1k-1k-c100", data={"model": "MiniMax-M2"}),
    Case("gsm8k", "000", "5.2.1 GSM8K Benchmark", 0, "sglang/nvidia-tp8-ep8", "bench gsm8k"),
    Case("mmlu", "000", "5.2.2 MMLU Benchmark", 0, "sglang/nvidia-tp8-ep8", "bench mmlu"),
    Case("sglang-amd-docker", "001", "3.2.1", 1, "sglang/mi300x-tp4", "docker"),
    Case("sglang-amd-4", "001", "3.2.4 Launch the server", 0, "sglang/mi300x-tp4"),
    Case("sglang-amd-8", "001", "3.2.4 Launch the server", 1, "sglang/mi300x-tp8-ep8"),
    Case("sglang-amd-c1", "001", "4.1.1 Low Concurrency (Latency-Optimized)", 0, "sglang/mi300x-tp4", "bench random-1k-1k-c1"),
    Case("sglang-amd-c16", "001", "4.1.2 Medium Concurrency (Balanced)", 0, "sglang/mi300x-tp4", "bench random-1k-1k-c16"),
    Case("sglang-amd-c100", "001", "4.1.3 High Concurrency (Throughput-Optimized)", 0, "sglang/mi300x-tp4", "bench random-1k-1k-c100"),
    Case("xinference-pytorch", "003", "Model Spec 1 (pytorch, 230 Billion)", 0, "xinference/pytorch", "launch"),
    Case("xinference-awq", "003", "Model Spec 2 (awq, 230 Billion)", 0, "xinference/awq", "launch"),
    Case("xinference-mlx", "003", "Model Spec 3 (mlx, 230 Billion)", 0, "xinference/mlx", "launch"),
]  # fmt: skip
ALIASES = {
    "tp": "tp-size",
    "ep": "ep-size",
    "random-input": "random-input-len",
    "random-output": "random-output-len",
    "num-prompt": "num-prompts",
}


def page(case: Case) -> seedtext.Facts:
    found = seedtext.facts(seedtext.commands(seedtext.block(case.seed, case.heading, case.number)), PLACES)
    return {f"flag {ALIASES.get(k[5:], k[5:])}" if k.startswith("flag ") else k: v for k, v in found.items()}


def ours(case: Case) -> seedtext.Facts:
    made = plan(case.recipe, **case.data).data()
    node = made["replicas"][0]["nodes"][case.rank]
    if case.what == "docker":
        return seedtext.docker(node["run_argv"][2:])
    if case.what == "launch":
        return seedtext.flags(node["after_ready_argv"])
    if case.what.startswith("bench "):
        return seedtext.flags(next(b["argv"] for b in made["bench"] if b["name"] == case.what[6:]))
    return {f"env {k}": v for k, v in node["env"].items()} | seedtext.flags(node["serve_argv"])


def differences(case: Case) -> dict[str, tuple[str | None, str | None]]:
    """item -> (page, plan); None is absent."""
    theirs, mine = page(case), ours(case)
    if case.fragment:
        theirs.pop("command", None)
    beyond = [k for k in mine if k not in theirs and not case.fragment]
    if case.what == "docker":  # the page sets the engine's variables in a later block
        beyond = [k for k in beyond if not k.startswith("env ")]
    items = [*theirs, *beyond]
    return {k: (theirs.get(k), mine.get(k)) for k in items if theirs.get(k) != mine.get(k)}


def listed() -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = yaml.safe_load((seedtext.SEEDS / "differences.yaml").read_text(encoding="utf-8"))
    return entries


def explains(entry: dict[str, Any], case: str, item: str, values: tuple[str | None, str | None]) -> bool:
    if not any(fnmatch.fnmatchcase(case, c) for c in entry["cases"]) or not any(fnmatch.fnmatchcase(item, i) for i in entry["items"]):
        return False
    return all(key not in entry or entry[key] == value for key, value in zip(("page", "plan"), values, strict=True))


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_a_plan_differs_from_its_page_only_where_the_reason_is_listed(case: Case) -> None:
    found = differences(case)
    unlisted = {k: v for k, v in found.items() if not any(explains(e, case.name, k, v) for e in listed())}
    assert not unlisted, f"not in differences.yaml (page, plan): {unlisted}"


def test_every_listed_difference_still_exists_and_has_a_reason() -> None:
    found = [(c.name, k, v) for c in CASES for k, v in differences(c).items()]
    for entry in listed():
        assert len(entry["why"]) > 15, entry
        for item in entry["items"]:
            for case in entry["cases"]:
                one = {**entry, "items": [item], "cases": [case]}
                assert any(explains(one, *f) for f in found), f"stale: {case}: {item}"


def test_every_block_of_every_page_is_compared_or_named_here() -> None:
    not_compared = {
        ("000", "4.1 Basic Usage", 0): "a request; test_proof compares it",
        ("001", "3.2.1", 0): "docker pull: the image of sglang-amd-docker",
        ("001", "3.2.2 Make modifications inside the docker", 0): "the patches; test_setup makes them",
        ("001", "4.1 Speed Benchmark", 0): "the same server command as sglang-amd-4, shortened",
        ("001", "4.1.1 Low Concurrency (Latency-Optimized)", 1): "a result; test_references compares it",
        ("001", "4.1.2 Medium Concurrency (Balanced)", 1): "a result; test_references compares it",
        ("001", "4.1.3 High Concurrency (Throughput-Optimized)", 1): "a result; test_references compares it",
        ("002", "Installing vLLM", 0): "a nightly of October 2025; the venv runtime installs a pinned release",
        ("002", "Benchmarking", 1): "a result; test_references compares it",
        ("002", "Step 1: Prepare Docker Environment", 0): "docker pull: the image of rocm-docker",
        ("004", "A3 (single node)", 4): "a request; test_proof compares it",
        ("004", "A2 (dual node)", 0): "a request; test_proof compares it",
    }
    seen = {(c.seed, c.heading, c.number) for c in CASES} | set(not_compared)
    for seed in ("000", "001", "002", "003", "004"):
        count: dict[str, int] = {}
        for heading, _ in seedtext.blocks(seed):
            if heading.startswith("Results "):
                continue
            number = count.get(heading, 0)
            count[heading] = number + 1
            assert (seed, heading, number) in seen, f"seed {seed}, {heading}, block {number} is not compared"
