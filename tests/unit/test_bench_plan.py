"""The recipe's benchmarks in the plan, the inventory's words about them, and which of them a run takes."""

from __future__ import annotations

import re
from typing import Any

import pytest

from roles.bench import alike, command
from roles.plan.errors import PlanError
from roles.run import scenarios
from roles.run.options import split
from tests.unit.sources import plan, recipes

LONG = {"flags": {"max-model-len": 196608}}


def names(recipe: str, options: dict[str, Any] | None = None, **data: Any) -> list[str]:
    return [b["name"] for b in scenarios.chosen(plan(recipe, **data), options or {})[0]]


def problems(recipe: str, options: dict[str, Any], **data: Any) -> str:
    with pytest.raises(PlanError) as caught:
        scenarios.chosen(plan(recipe, **data), options)
    return "\n".join(caught.value.problems)


def test_all_benchmarks_are_taken_unless_some_are_named() -> None:
    all_of_them = ["random-1k-1k-c1", "random-1k-1k-c16", "random-1k-1k-c100"]
    assert names("sglang/mi300x-tp4") == all_of_them
    assert names("sglang/mi300x-tp4", {"scenario": "random-1k-1k-c100, random-1k-1k-c1"}) == [all_of_them[0], all_of_them[2]]


def test_an_unknown_benchmark_is_one_sentence_with_the_allowed_names() -> None:
    said = problems("sglang/mi300x-tp4", {"scenario": "random-1k-1k-c2"})
    assert "found 'random-1k-1k-c2' (did you mean \"random-1k-1k-c" in said
    assert "expected benchmarks of sglang/mi300x-tp4: random-1k-1k-c1, random-1k-1k-c16, random-1k-1k-c100" in said


def test_a_recipe_without_benchmarks_says_so() -> None:
    assert "has no benchmark" in problems("xinference/pytorch", {})


def test_accuracy_needs_its_data_set_from_the_inventory() -> None:
    recipe = "sglang/nvidia-tp8-ep8"
    taken, left = scenarios.chosen(plan(recipe), {})
    assert [b["name"] for b in taken] == ["random-1k-1k-c1", "random-1k-1k-c100"]
    assert [w.split(":")[0] for w in left] == ["gsm8k", "mmlu"]
    assert 'its data set is missing: "bench": {"gsm8k": {"data": "/PATH"}}' in problems(recipe, {"scenario": "gsm8k"})
    data = {"bench": {"gsm8k": {"data": "/data/test.jsonl"}, "mmlu": {"data": "/data/mmlu", "script": "/scripts/mmlu.py"}}}
    assert names(recipe, {"scenario": "gsm8k,mmlu"}, **data) == ["gsm8k", "mmlu"]
    argv = {b["name"]: b["argv"] for b in plan(recipe, **data).bench}
    assert argv["gsm8k"] == ["python3", "benchmark/gsm8k/bench_sglang.py", "--port", "8000", "--data-path", "/data/test.jsonl"]
    assert argv["mmlu"] == ["python3", "/scripts/mmlu.py", "--port", "8000", "--data_dir", "/data/mmlu"]


def test_accuracy_is_not_swept() -> None:
    data = {"bench": {"gsm8k": {"data": "/d"}, "mmlu": {"data": "/d"}}}
    assert names("sglang/nvidia-tp8-ep8", {"sweep": (1, 2)}, **data) == ["random-1k-1k-c1", "random-1k-1k-c100"]
    assert "no number of requests" in problems("sglang/nvidia-tp8-ep8", {"sweep": (1, 2), "scenario": "gsm8k"}, **data)


def test_the_texts_prompts_are_cut_from_can_lie_on_the_nodes() -> None:
    made = plan("sglang/mi300x-tp4", bench={"random-1k-1k-c1": {"data": "/data/sharegpt.json"}})
    assert next(b["argv"][-2:] for b in made.bench) == ["--dataset-path", "/data/sharegpt.json"]


def test_a_request_longer_than_the_context_is_said_before_it_is_sent() -> None:
    why = "one request needs 195568 tokens, and max-model-len is 138000"
    assert why in problems("vllm-ascend/a3-long-context", {})
    assert names("vllm-ascend/a3-long-context", {}, **LONG) == ["prefix-190k-1k"]
    assert names("vllm-ascend/a2-dual") == ["prefix-190k-1k"]  # the checkpoint's own context is long enough


@pytest.mark.parametrize(
    ("recipe", "bench", "words"),
    [
        ("sglang/mi300x-tp4", {"random": {}}, "is no benchmark of sglang/mi300x-tp4; expected one of: random-1k-1k-c1"),
        ("sglang/mi300x-tp4", {"random-1k-1k-c1": {"script": "/x.py"}}, "has a script, but sglang-bench runs it"),
        ("vllm-ascend/a2-dual", {"prefix-190k-1k": {"data": "/x"}}, "its data set is made by the tool"),
        ("sglang/nvidia-tp8-ep8", {"gsm8k": {"data": "x"}}, "expected an absolute path"),
        ("sglang/nvidia-tp8-ep8", {"gsm8k": {"dat": "/x"}}, 'did you mean "data"'),
    ],
)
def test_what_the_inventory_says_wrongly_is_one_sentence(recipe: str, bench: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError, match=re.escape(words)):
        plan(recipe, bench=bench)


def test_a_benchmarks_files_are_no_reason_to_restart() -> None:
    recipe = "sglang/nvidia-tp8-ep8"
    assert plan(recipe).hash == plan(recipe, bench={"gsm8k": {"data": "/data/test.jsonl"}}).hash


INHERITED = {"vllm-ascend/a2-multi", "vllm-ascend/a3-low-latency", "vllm/nvidia-dp8-ep"}


@pytest.mark.parametrize("recipe", [r for r in recipes() if r not in INHERITED])
def test_a_reference_was_measured_with_what_the_recipe_sends(recipe: str) -> None:
    """Where a page stands behind the recipe itself, nothing but model, accelerator and layout can be unlike."""
    made = plan(recipe)
    for point in command.points(made.bench, "t", 1):
        if point.reference:
            ours = alike.conditions(made, made.replicas[0], point, point.reference["setup"]["accelerator"] or "")
            reasons = {r.split(" ")[0] for r in alike.unlike_page(ours, point.reference)}
            assert reasons <= {"model", "layout"}, (point.scenario, reasons)


@pytest.mark.parametrize(
    ("data", "options"),
    [
        ({"sweep": "1,4,16"}, {"sweep": (1, 4, 16)}),
        ({"sweep": 4}, {"sweep": (4,)}),
        ({"sweep": [4, 1, 4]}, {"sweep": (4, 1)}),
        ({"tolerance": 0.05}, {"tolerance": 0.05}),
        ({"tolerance": "5%"}, {"tolerance": 0.05}),
        ({"prompts": 8, "seed": 0, "limit": "30m"}, {"prompts": 8, "seed": 0, "limit": 1800.0}),
    ],
)
def test_the_verbs_options_are_read(data: dict[str, Any], options: dict[str, Any]) -> None:
    assert split("bench", data) == (options, {})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"sweep": "1,,4"}, "expected numbers such as 1,4,16"),
        ({"sweep": "0,1"}, "expected numbers such as 1,4,16"),
        ({"sweep": [1, "x"]}, "expected numbers such as 1,4,16"),
        ({"sweep": True}, "expected numbers such as 1,4,16"),
        ({"tolerance": 2}, "expected a share such as 0.1 or 10%"),
        ({"tolerance": "0"}, "expected a share"),
        ({"prompts": 0}, "expected a number of requests from 1 on"),
        ({"limit": "long"}, "expected a time such as 30m"),
        ({"scenarios": "x"}, 'did you mean "scenario"'),
    ],
)
def test_a_wrong_option_gets_one_sentence(data: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError, match=re.escape(words)) as caught:
        split("bench", data)
    assert len(caught.value.problems) == 1
