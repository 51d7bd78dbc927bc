"""The parts of the report that decide: bars from stages, rows from findings, what changed since the run before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from roles.plan.finding import LEVELS
from roles.run.report import plans, timeline
from roles.run.report.findings import MOST, findings
from roles.run.report.read import previous, read
from tests.unit import report_runs as runs
from tests.unit.sources import plan

PLAN = {"verify": {"stages": [{"name": name} for name, _ in runs.START]}}


def line(*stages: dict[str, Any], took: float = 100.0, **more: Any) -> timeline.Timeline:
    nodes = [{"name": n} for n in ("n0", "n1")]
    found = timeline.timeline({"stages": stages, "nodes": nodes, "began": runs.at(0), "ended": runs.at(took), **more}, PLAN)
    assert found is not None
    return found


def test_rows_stand_in_the_plans_order_after_what_concerns_all_nodes() -> None:
    made = line(runs.stage("image", 5, 9, "n1"), runs.stage("image", 6, 9, "n0"), runs.stage("look", 0, 5))
    assert [name for name, _ in made.rows] == [timeline.WHOLE, "n0", "n1"]
    assert made.slots == 3
    assert {b.span.stage: b.slot for b in made.bars if b.span.node == "n1"} == {"image": 2}


def test_stages_of_one_name_are_told_apart_by_what_they_belong_to() -> None:
    made = line(runs.stage("weights", 0, 10, "n0"), runs.stage("weights", 20, 30, "n0", "r0"))
    assert [(s.name, s.phase) for s in timeline.by_stage(made)] == [("weights", "preparing"), ("weights", "engine")]


def test_what_overlaps_takes_a_slot_of_its_own_and_steps_of_one_kind_stay_together() -> None:
    made = line(
        runs.stage("image", 0, 50, "n0"), runs.stage("container", 10, 30, "n0", "r0"), runs.stage("engine", 60, 70, "n0", "r0"),
        runs.stage("firewall", 60, 65, "n0"),
    )  # fmt: skip
    assert {b.span.stage: b.slot for b in made.bars} == {"image": 0, "container": 1, "engine": 1, "firewall": 0}


def test_waiting_for_a_port_shares_the_slot_of_what_goes_on_meanwhile() -> None:
    made = line(runs.stage("listen", 10, 50, "n0", "r0"), runs.stage("container", 11, 40, "n0", "r0"))
    assert made.slots == 1
    assert {b.span.phase for b in made.bars} == {"wait", "engine"}


def test_a_stage_of_a_moment_is_seen_where_there_is_room_and_told_where_there_is_none() -> None:
    made = line(
        runs.stage("start", 10, 10.001, "n0", "r0"),
        runs.stage("container", 20, 20, "n0", "r0"),
        runs.stage("engine", 20.001, 90, "n0", "r0"),
    )
    drawn = {b.span.stage: b for b in made.bars}
    assert drawn["start"].end - drawn["start"].begin > 0.2
    assert "container" not in drawn
    assert [s.name for s in timeline.by_stage(made)] == ["start", "container", "engine"]


def test_a_stage_that_never_ended_lasts_to_the_end_of_the_run() -> None:
    made = line(runs.stage("image", 10, None, "n0", ok=None), took=60)
    (span,) = made.spans
    assert (span.end, span.shade) == (60, "cut")
    assert timeline.by_stage(made)[0].cut == ("n0",)


def test_the_envelope_of_a_start_is_left_to_its_nodes_unless_none_began() -> None:
    both = line(runs.stage("up", 0, 90, "", "r0"), runs.stage("start", 1, 3, "n0", "r0"))
    assert [name for name, _ in both.rows] == ["n0"]
    alone = line(runs.stage("up", 0, 90, "", "r0", ok=False))
    assert alone.rows == (("replica r0", 1),)
    assert alone.shades == ["failed"]


@pytest.mark.parametrize("stages", [[], [{"stage": "look", "start": None}], [{"stage": "look", "start": "yesterday"}]])
def test_without_a_stage_there_is_no_time_axis(stages: list[Any]) -> None:
    assert timeline.timeline({"stages": stages}, None) is None


def test_a_stage_says_who_was_slowest_and_where_it_failed() -> None:
    made = line(runs.stage("graph", 0, 20, "n0", "r0"), runs.stage("graph", 5, 65, "n1", "r0", ok=False))
    (one,) = timeline.by_stage(made)
    assert (one.begin, one.seconds, one.slowest.node, one.quickest.seconds, one.failed) == (0, 65, "n1", 20, ("n1",))
    assert "graph failed on n1" in timeline.summary(made, "serve of a2")


def test_the_table_by_node_has_a_cell_for_every_stage_even_twice_the_same() -> None:
    made = line(runs.stage("look", 0, 1), runs.stage("image", 2, 4, "n0"), runs.stage("image", 5, 6, "n0"))
    rows = dict(timeline.by_node(made, timeline.by_stage(made)))
    assert [s.seconds for s in rows["n0"][1]] == [2, 1]
    assert rows["n0"][0] == []


def test_sixty_four_nodes_have_a_row_each(tmp_path: Path) -> None:
    record = read(runs.many_nodes(tmp_path))
    made = timeline.timeline(record.report, record.plan)
    assert made is not None
    assert made.slots == 65
    assert len(timeline.by_stage(made)) < 25


def test_equal_findings_of_many_nodes_are_one_row() -> None:
    nodes = [f"n{i}" for i in range(64)]
    same = [runs.finding(n, "node.swap", "warn", "swap is in use", "none", "swapoff -a") for n in nodes]
    other = [runs.finding("n7", "ascend.link", "fail", "card 3: link status: DOWN", "UP")]
    found = findings([*same, *other], nodes)
    assert [(r.level, r.nodes) for r in found.wrong] == [("fail", "n7"), ("warn", "all 64 nodes")]
    part = findings(same[:40], nodes).wrong[0]
    assert (part.nodes, len(part.more)) == ("n0, n1, n2, n3", 36)


def test_passes_are_one_row_a_check_with_a_few_of_their_values() -> None:
    nodes = [f"n{i}" for i in range(64)]
    found = findings([runs.finding(n, "ascend.address", "pass", f"10.30.{i}.10") for i, n in enumerate(nodes)], nodes)
    (row,) = found.passed
    assert row.observed == "10.30.0.10; 10.30.1.10; 10.30.2.10; and 61 more values"
    assert found.counts == {**dict.fromkeys(LEVELS, 0), "pass": 64}


def test_a_flood_of_findings_is_cut_and_the_cut_is_said() -> None:
    found = findings([runs.finding("n0", f"check.{i}", "warn", "x") for i in range(MOST + 7)], ["n0"])
    assert (len(found.wrong), found.left_out) == (MOST, 7)


def test_a_finding_that_lacks_parts_is_shown_with_what_it_has() -> None:
    (row,) = findings([{"check": "x", "level": "odd"}], ["n0"]).wrong
    assert (row.level, row.observed, row.nodes) == ("odd", "", "")


def test_what_changed_since_the_run_before_is_said_once_for_equal_nodes() -> None:
    old, new = plan(replicas=4, flags={"max-num-seqs": 64}).data(), plan(replicas=4).data()
    changed = plans.change(("20261119T160000Z-serve", old), new)
    assert changed is not None
    assert (changed.same, [(g.nodes, g.lines) for g in changed.groups]) == (
        False,
        [("all 8 nodes", (plans.Line("changed", "~ --max-num-seqs: 64 -> 128"),))],
    )


def test_what_comes_and_goes_is_called_added_and_removed() -> None:
    old, new = plan(nodes=None, env={"A_B": "1"}), plan(replicas=2, model="MiniMax-M2.7", flags={"async-scheduling": None})
    changed = plans.change(("before", old.data()), new.data())
    assert changed is not None
    said = {(line.kind, line.text) for g in changed.groups for line in g.lines}
    assert ("changed", "model: MiniMax-M2.5 -> MiniMax-M2.7") in said
    assert ("added", "+ node 10.0.0.13 joins replica r1 as rank 0") in said
    assert ("removed", "- env A_B=1") in said
    assert ("removed", "- --async-scheduling") in said


def test_the_same_plan_has_no_difference_and_a_first_run_has_nothing_before_it() -> None:
    data = plan().data()
    changed = plans.change(("before", data), data)
    assert changed == plans.Change("before", True, ())
    assert plans.change(None, data) is None


def test_other_nodes_are_told_by_what_they_have_instead() -> None:
    made = plan().data()
    name, commands = plans.commands(made)
    assert name == "10.0.0.11"
    assert [c.title for c in commands] == ["Engine", "Container", "Environment"]
    assert "\n  --tensor-parallel-size 8 \\\n" in commands[0].text
    ((other, lines),) = plans.others(made)
    assert other == "10.0.0.12"
    assert "+ --headless" in lines
    assert not [text for text in lines if "tensor-parallel-size" in text]


def test_the_run_before_is_the_last_one_whose_plan_can_be_read(tmp_path: Path) -> None:
    made = plan().data()
    for name in ("20261118T000000Z-serve", "20261119T000000Z-check", "20261121T000000Z-stop", "notes"):
        runs.put(tmp_path, name, {"plan.json": made})
    runs.put(tmp_path, "20261119T230000Z-bench", {"plan.json": {"cluster": "a2"}})
    runs.put(tmp_path, "20261119T235959Z-doctor", {"report.json": {}})
    now = runs.put(tmp_path, "20261120T000000Z-serve-2", {"plan.json": made})
    found = previous(now)
    assert found
    assert found[0] == "20261119T000000Z-check"
    assert previous(tmp_path / "20261118T000000Z-serve") is None
