"""The words and figures of the report: how it went, benchmarks, the doctor, changes, times and numbers."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from roles.run.report import extras, figures, words
from roles.run.report.outcome import DONE, NOT_DONE, outcome
from roles.run.report.read import read
from tests.unit import report_runs as runs


@pytest.mark.parametrize(
    ("verb", "code", "more", "tone", "word"),
    [
        ("serve", 0, {}, "good", "Served and proven"),
        ("serve", 0, {"dry": True}, "plain", "Dry run"),
        ("serve", 130, {}, "warn", "Interrupted"),
        ("stop", 143, {}, "warn", "Ended by a signal"),
        ("check", 0, {"findings": [runs.finding("n0", "x", "warn", "y")]}, "warn", "Slow"),
        ("check", 0, {"findings": [runs.finding("n0", "x", "pass", "y")]}, "good", "Ready"),
        ("check", 1, {"findings": [runs.finding("n0", "x", "fail", "y")]}, "bad", "Blocked"),
        ("new", 0, {}, "good", "Done"),
        ("new", 3, {}, "bad", "Failed"),
    ],
)
def test_the_outcome_is_a_word(verb: str, code: int, more: dict[str, Any], tone: str, word: str) -> None:
    said = outcome({"verb": verb, "exit": code, "nodes": [{"name": "n0", "replica": "r0", "reached": True}], **more})
    assert (said.tone, said.word) == (tone, word)
    assert said.sentence.endswith(".")


def test_every_verb_has_its_words() -> None:
    from roles.run.options import VERBS

    assert set(DONE) == set(NOT_DONE) == set(VERBS)


def test_a_failed_serve_names_its_first_failure_and_who_serves_all_the_same(tmp_path: Path) -> None:
    said = outcome(read(runs.many_nodes(tmp_path)).report)
    assert said.sentence.startswith("10.0.0.38: kv-cache: RuntimeError: NPU out of memory.")
    assert said.sentence.endswith(" 31 replicas serve.")


def test_who_was_not_reached_is_the_reason_when_nothing_else_is() -> None:
    nodes = [{"name": f"n{i}", "replica": "r0", "reached": i == 0} for i in range(3)]
    assert outcome({"verb": "status", "exit": 1, "nodes": nodes}).sentence == "Not reached: n1 and n2."


def test_figures_stand_beside_the_page_and_the_run_before(tmp_path: Path) -> None:
    bench = read(runs.bench(tmp_path)).bench
    assert bench
    first = figures.tables(bench)[0]
    assert first.sides == ("vendor's page", "run before")
    label, here, (page, before) = first.rows[0]
    assert (label, here, page.figure, before.ratio) == ("Output tokens per second", "103.2", "30.47", "1.04 ×")
    worse = figures.tables(bench)[3]
    assert [(v.side, v.tone) for v in worse.verdicts] == [("vendor's page", "plain"), ("run before", "warn")]
    assert worse.verdicts[0].said.startswith("Not compared: requests at the same time 64 here, 1 on the page")
    assert [cells[1].worse for label, _, cells in worse.rows if label == "Time to first token, mean (ms)"] == [True]


def test_a_curve_has_a_plot_for_each_question_and_says_it_in_words(tmp_path: Path) -> None:
    bench = read(runs.bench(tmp_path)).bench
    assert bench
    (curve,) = figures.curves(bench)
    assert [p.title for p in curve.plots] == [spec[-1] for spec in figures.PLOTS]
    assert curve.sides == ("here", "page", "before")
    assert "here: 103.2 at 1" in curve.plots[0].said
    assert len(curve.rows) == 5
    assert all(len(row) == 2 + len(curve.head) * len(curve.sides) for row in curve.rows)


def test_a_figure_that_a_tool_does_not_tell_is_a_gap_and_no_zero() -> None:
    points = [{"concurrency": at, "prompts": 8, "output_throughput": at * 9.5, "mean_ttft_ms": None} for at in (1, 4)]
    (curve,) = figures.curves({"curves": [{"scenarios": ["x"], "replica": "r0", "points": points}]})
    assert [p.y for p in curve.plots] == ["output tokens/s"]
    assert curve.head == ("Output tokens per second",)


@pytest.mark.parametrize(
    "bench", [{}, {"points": None, "curves": None}, {"points": [{"title": "x", "replica": "r0", "ok": False, "why": "no file"}]}]
)
def test_a_benchmark_without_figures_is_no_fault(bench: dict[str, Any]) -> None:
    assert figures.curves(bench) == []
    assert [t.why for t in figures.tables(bench)] == ([] if not bench.get("points") else ["no file"])


def test_the_doctor_is_read_from_its_file_and_else_from_the_report(tmp_path: Path) -> None:
    record = read(runs.failed_serve(tmp_path))
    (told,) = extras.doctor(record.doctor, record.facts)
    assert (told.tone, told.rule, told.where) == ("bad", "npu-oom", "10.0.0.12")
    assert runs.OOM in told.seen
    (short,) = extras.doctor((), record.facts)
    assert (short.sentence, short.do, short.rule, short.seen) == (told.sentence, told.do, told.rule, "")


def test_equal_changes_of_many_nodes_are_one_line() -> None:
    events = [{"event": "change", "node": f"n{i}", "what": "pull the image"} for i in range(64)]
    assert extras.changes(events, 64) == ([("pull the image", "all 64 nodes", ())], 0)


def test_a_fact_without_a_section_is_shown_as_it_is() -> None:
    assert extras.others({"report.rolling": {"at": 1}, "report.proof": {}}) == [("rolling", json.dumps({"at": 1}, indent=2))]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "not known"),
        (0.0004, "0 ms"),
        (0.02, "20 ms"),
        (0.3, "0.3 s"),
        (9.96, "10 s"),
        (59.7, "1 min 00 s"),
        (794, "13 min 14 s"),
        (7500, "2 h 05 min"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds: float | None, said: str) -> None:
    assert words.duration(seconds) == said


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        (0, "2026-11-20 20:12:03 UTC"),
        (8, "2026-11-20 20:12:03 UTC (2026-11-21 04:12:03 +08:00)"),
        (-3.5, "2026-11-20 20:12:03 UTC (16:42:03 -03:30)"),
    ],
)
def test_times_are_utc_with_the_local_time_beside_it(hours: float, said: str) -> None:
    assert words.moment(datetime(2026, 11, 20, 20, 12, 3, tzinfo=timezone.utc), timezone(timedelta(hours=hours))) == said


def test_texts_lose_what_cannot_be_seen_and_every_secret() -> None:
    text = "\x1b[31mred\x1b[0m \x00 a\u202eb \udcff key sk-123456 \n kept"
    assert words.clean({text: [text, 3, None]}, ["sk-123456"]) == {
        "red \ufffd a\ufffdb \ufffd key *** \n kept": ["red \ufffd a\ufffdb \ufffd key *** \n kept", 3, None]
    }
    assert len(words.clean("x" * 99_999)) < 9_000


@pytest.mark.parametrize(
    ("value", "said"),
    [(3124.4, "3\u202f124"), (64.444, "64.44"), (167.58, "167.6"), (0.0969, "0.0969"), (0.0, "0.00"), (None, "–"), (True, "–")],
)
def test_numbers_keep_what_matters_of_them(value: object, said: str) -> None:
    assert words.number(value) == said
