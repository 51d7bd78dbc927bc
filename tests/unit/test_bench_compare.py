"""Figures beside figures: like with like gets a ratio and a verdict, all else gets a reason."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from roles.bench import alike, command, compare, history, record, table
from roles.bench.command import Point
from roles.plan.plan import Plan
from roles.run import terminal
from tests.unit.sources import plan

OURS = {"output_throughput": 34.0, "mean_ttft_ms": 3300.0, "mean_tpot_ms": 112.0, "prefix_hit_rate": 0.86, "p99_ttft_ms": 9000.0}


def one(recipe: str = "vllm-ascend/a2-dual", name: str = "", **data: Any) -> tuple[Plan, Point]:
    made = plan(recipe, **data)
    return made, command.points([b for b in made.bench if not name or b["name"] == name], "t", 7)[0]


def measured(recipe: str = "vllm-ascend/a2-dual", name: str = "", accelerator: str = "910B3", **data: Any) -> dict[str, Any]:
    made, point = one(recipe, name, **data)
    return alike.conditions(made, made.replicas[0], point, accelerator)


def page(conditions: dict[str, Any], ours: dict[str, float] = OURS, recipe: str = "vllm-ascend/a2-dual", name: str = "") -> compare.Beside:
    _, point = one(recipe, name)
    assert point.reference
    return compare.page(ours, conditions, point.reference, 0.1)


def printed(things: Iterable[str | terminal.Rows]) -> str:
    """As it is told to a pipe."""
    out = io.StringIO()
    terminal.show(*things, out=out)
    return out.getvalue()


def test_the_pages_own_job_on_the_pages_own_machine_gets_ratios_and_a_verdict() -> None:
    beside = page(measured())
    assert beside.unlike == ()
    assert beside.ratios["output_throughput"] == pytest.approx(34.0 / 35.29)
    assert beside.ratios["mean_ttft_ms"] == pytest.approx(3300 / 3305.25)
    assert (beside.verdict, beside.worse) == ("as good", ())


@pytest.mark.parametrize(
    ("figure", "value", "worse"),
    [
        ("output_throughput", 31.0, True),
        ("output_throughput", 99.0, False),
        ("mean_ttft_ms", 3700.0, True),
        ("mean_ttft_ms", 10.0, False),
        ("prefix_hit_rate", 0.5, True),
        ("p99_ttft_ms", 1e9, False),
    ],
)
def test_beyond_the_tolerance_on_the_worse_side_is_short(figure: str, value: float, worse: bool) -> None:
    beside = page(measured(), {**OURS, figure: value})
    assert beside.worse == ((figure,) if worse else ())
    assert beside.verdict == ("short" if worse else "as good")


def changed(**more: Any) -> dict[str, Any]:
    return {**measured(), **more}


@pytest.mark.parametrize(
    ("ours", "reason"),
    [
        (measured(model="MiniMax-M2.7"), "model MiniMax-M2.7 here, MiniMax-M2.5 on the page"),
        (changed(machine="atlas-a3"), "machine atlas-a3 here, atlas-a2 on the page"),
        (changed(accelerators=24), "number of accelerators 24 here, 16 on the page"),
        (changed(engine="sglang"), "engine sglang here, vllm-ascend on the page"),
        (changed(input=1024), "input tokens 1024 here, 194544 on the page"),
        (changed(output=16), "output tokens 16 here, 1024 on the page"),
        (changed(concurrency=16), "requests at the same time 16 here, 4 on the page"),
        (changed(concurrency=None), "requests at the same time none here, 4 on the page"),
        (changed(prompts=64), "number of requests 64 here, 16 on the page"),
        (changed(layout={"tp": 4, "dp": 4}), "layout tp 4 dp 4 here, tp 8 dp 2 on the page"),
    ],
    ids=lambda v: v.split(" here")[0] if isinstance(v, str) else "",
)
def test_unlike_is_refused_with_the_reason_and_without_ratio_or_verdict(ours: dict[str, Any], reason: str) -> None:
    beside = page(ours)
    assert beside.unlike == (reason,)
    assert (beside.data()["ratios"], beside.data()["verdict"], beside.worse) == (None, None, ())
    assert beside.figures["output_throughput"] == 35.29


def test_every_reason_is_said_at_once() -> None:
    assert len(page(changed(model="x", input=1, prompts=1)).unlike) == 3


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        ("NVIDIA H20-3e", ()),
        ("NVIDIA H200", ("accelerator NVIDIA H200 here, H20-3e on the page",)),
        ("", ("accelerator not known here, H20-3e on the page",)),
    ],
)
def test_a_gpus_name_is_compared_where_the_page_says_it(seen: str, reason: tuple[str, ...]) -> None:
    ours = measured("vllm/nvidia-tp4", "random-2k-1k", seen, model="MiniMax-M2")
    assert page(ours, OURS, "vllm/nvidia-tp4", "random-2k-1k").unlike == reason


def test_another_number_of_gpus_is_refused() -> None:
    ours = measured("vllm/nvidia-dp8-ep", "random-2k-1k", "NVIDIA H20-3e", model="MiniMax-M2")
    unlike = page(ours, OURS, "vllm/nvidia-dp8-ep", "random-2k-1k").unlike
    assert unlike == ("number of accelerators 8 here, 4 on the page", "layout dp 8 here, tp 4 on the page")


def test_the_pages_engine_version_is_remarked() -> None:
    ours = measured("sglang/mi300x-tp4", "random-1k-1k-c1", "AMD Instinct MI300X OAM")
    beside = page({**ours, "version": "0.5.9"}, OURS, "sglang/mi300x-tp4", "random-1k-1k-c1")
    assert (beside.unlike, beside.remarks) == ((), ("engine version 0.5.9 here, 0.5.7 on the page",))


def test_the_labs_figures_stand_beside_nothing() -> None:
    for recipe in ("lab/a2-dual", "lab/a2-dual-tp1", "lab/a2-single", "lab/a3", "lab/venv"):
        assert [(b["name"], b["reference"], b["lacks"]) for b in plan(recipe).bench] == [
            ("random-small", None, ""),
            ("prefix-small", None, ""),
        ]


def test_a_figure_of_nothing_gives_no_ratio() -> None:
    assert compare.ratios({"output_throughput": 1.0, "completed": 16}, {"output_throughput": 0.0, "completed": 16}) == {}


# --- earlier runs


def kept(parent: Path, name: str, conditions: dict[str, Any], figures: dict[str, float], **more: Any) -> None:
    folder = parent / name
    folder.mkdir(parents=True)
    point = {"scenario": "prefix-190k-1k", "replica": "r0", "ok": True, "conditions": conditions, "figures": figures, **more}
    (folder / history.FILE).write_text(json.dumps({"format": 1, "points": [point]}), encoding="utf-8")


def before(parent: Path, ours: dict[str, Any], figures: dict[str, float] = OURS, now: str = "") -> compare.Beside | None:
    past = history.last(history.read(parent, now), "prefix-190k-1k", "r0", ours)
    return compare.before(past[0], figures, ours, past[1], 0.1) if past else None


def test_the_last_run_that_is_alike_is_taken(tmp_path: Path) -> None:
    kept(tmp_path, "20261118T000000Z-bench", measured(), {**OURS, "output_throughput": 10.0})
    kept(tmp_path, "20261119T000000Z-bench", measured(), {**OURS, "output_throughput": 40.0})
    kept(tmp_path, "20261119T000000Z-bench-2", measured(), {**OURS, "output_throughput": 50.0})
    kept(tmp_path, "20261120T000000Z-bench", changed(prompts=99), OURS)
    beside = before(tmp_path, measured())
    assert beside
    assert beside.name == "20261119T000000Z-bench-2"
    assert (beside.ratios["output_throughput"], beside.worse) == (pytest.approx(34 / 50), ("output_throughput",))


def test_where_none_is_alike_the_reason_is_said(tmp_path: Path) -> None:
    kept(tmp_path, "20261120T000000Z-bench", changed(prompts=99), OURS)
    beside = before(tmp_path, measured())
    assert beside
    assert (beside.unlike, beside.verdict) == (("number of requests 16 here, 99 then",), "")


def test_other_options_of_the_tool_are_unlike(tmp_path: Path) -> None:
    options = {**measured()["options"], "prefix-repetition-num-prefixes": "4", "ignore-eos": None}
    kept(tmp_path, "20261120T000000Z-bench", changed(options=options), OURS)
    beside = before(tmp_path, measured())
    assert beside
    assert beside.unlike == ("--ignore-eos set here, none then", "--prefix-repetition-num-prefixes 1 here, 4 then")


def test_another_version_or_layout_is_compared_and_remarked(tmp_path: Path) -> None:
    """That an upgrade made it slower is what history is for."""
    kept(tmp_path, "20261120T000000Z-bench", changed(version="0.17.0", layout={"tp": 16}), OURS)
    beside = before(tmp_path, measured())
    assert beside
    assert beside.remarks == ("engine version 0.18.0 here, 0.17.0 then", "layout tp 8 dp 2 here, tp 16 then")
    assert beside.verdict == "as good"


def test_seed_name_and_place_of_the_endpoint_are_no_difference(tmp_path: Path) -> None:
    kept(tmp_path, "20261120T000000Z-bench", measured(flags={"served-model-name": "other"}, weights="/elsewhere") | {"seed": 99}, OURS)
    beside = before(tmp_path, measured())
    assert beside
    assert beside.unlike == ()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2, "points": []}', '{"format": 1, "points": [1, {"ok": true}]}'])
def test_a_file_that_is_no_history_is_passed_over(tmp_path: Path, text: str) -> None:
    kept(tmp_path, "20261118T000000Z-bench", measured(), OURS)
    (tmp_path / "20261119T000000Z-bench").mkdir()
    (tmp_path / "20261119T000000Z-bench" / history.FILE).write_text(text, encoding="utf-8")
    beside = before(tmp_path, measured())
    assert beside
    assert beside.name == "20261118T000000Z-bench"


def test_failed_benchmarks_other_verbs_and_this_very_run_are_no_history(tmp_path: Path) -> None:
    kept(tmp_path, "20261118T000000Z-bench", measured(), OURS, ok=False)
    kept(tmp_path, "20261118T000000Z-serve", measured(), OURS)
    kept(tmp_path, "20261121T000000Z-bench", measured(), OURS)
    assert before(tmp_path, measured(), now="20261121T000000Z-bench") is None


# --- what is kept and shown


def point(at: int, ok: bool = True, **figures: float) -> dict[str, Any]:
    made, p = one("sglang/mi300x-tp4", "random-1k-1k-c1")
    p = Point(**{**p.__dict__, "argv": tuple(command.changed(p.argv, "max-concurrency", at))})
    conditions = alike.conditions(made, made.replicas[0], p, "AMD Instinct MI300X OAM")
    beside = compare.page(figures, conditions, p.reference or {}, 0.1) if ok else None
    return record.point(p, conditions, figures, (10, 0), "" if ok else "2 of 10 requests failed", 12.34, beside, None, [])


def test_a_curve_is_in_the_order_of_concurrency_and_leaves_out_what_failed() -> None:
    made = [
        point(16, total_throughput=900.0, mean_tpot_ms=20.0),
        point(1, total_throughput=70.0),
        point(64, ok=False),
        point(4, mean_e2e_latency_ms=1.0),
    ]
    (curve,) = record.curves(made)
    assert [p["concurrency"] for p in curve["points"]] == [1, 4, 16]
    assert curve["points"][0]["total_token_throughput"] == 70.0
    assert curve["points"][1]["mean_e2el_ms"] == 1.0
    assert curve["points"][2]["tokens_per_s_of_one_request"] == 50.0
    assert (curve["input"], curve["output"]) == (1000, 1000)
    assert "at once" in printed(table.curve(curve))


def test_one_point_is_no_curve() -> None:
    assert record.curves([point(1), point(2, ok=False)]) == []


def test_the_file_is_plain_json_and_its_own_history(tmp_path: Path) -> None:
    made = plan("sglang/mi300x-tp4")
    data = record.run(made, [point(1, output_throughput=30.0)], ["gsm8k: why"], 0.1, "then", "now")
    (tmp_path / "20261120T000000Z-bench").mkdir()
    (tmp_path / "20261120T000000Z-bench" / history.FILE).write_text(json.dumps(data, allow_nan=False), encoding="utf-8")
    past = history.last(history.read(tmp_path), "random-1k-1k-c1", "r0", data["points"][0]["conditions"])
    assert past
    assert past[1]["figures"] == {"output_throughput": 30.0}


def test_a_table_shows_figures_the_pages_and_the_verdict() -> None:
    said = printed(table.point(point(1, output_throughput=20.0, mean_ttft_ms=4400.0), 0.1))
    assert "output_throughput" in said
    assert "30.47" in said
    assert "0.66!" in said
    head, first = next((a, b) for a, b in pairwise(said.splitlines()) if a.split() == ["here", "page", "ratio"])
    assert first.startswith("  output_throughput ")
    assert head.index("here") + 4 == first.index("20.00") + 5, "numbers end below each other"
    assert "the page, seed 001, 4.1.1: WORSE by more than 10%: output_throughput 0.66 x" in said


def test_a_table_of_unlike_results_has_figures_and_no_ratio() -> None:
    said = printed(table.point(point(16, output_throughput=20.0), 0.1))
    assert "30.47" in said
    assert "0.66" not in said
    assert "not compared: requests at the same time 16 here, 1 on the page" in said


def test_a_failed_benchmark_is_said_and_judged_by_nobody() -> None:
    said = printed(table.point(point(1, ok=False), 0.1))
    assert "FAILED  2 of 10 requests failed" in said
    assert "the page, seed" not in said
