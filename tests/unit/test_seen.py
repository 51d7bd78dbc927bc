"""The probe's answer cut into sections, and what a check makes of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roles.plan.errors import PlanError
from roles.plan.finding import Finding, verdict
from roles.plan.plan import make
from roles.plan.source import read_inventory
from roles.run import checks
from roles.run.look import probe_script, values
from roles.run.seen import MARK, Seen, sections
from tests.unit.test_imports import ROOT

PLAN = make(read_inventory(ROOT / "inventories" / "a2.py"))


def test_sections_have_their_code_and_lines() -> None:
    found = sections(f"Welcome to node 1!\n{MARK}host 0\nuid=0\nos=debian\n\n{MARK}npu 127\n{MARK}end 0\n\n")
    assert list(found) == ["host", "npu", "end"]
    assert found["host"].pairs == {"uid": "0", "os": "debian"}
    assert found["npu"].why_not == "not found"
    assert found["end"].lines == ()


@given(st.text())
def test_any_text_is_cut_without_a_fault(text: str) -> None:
    for section in sections(text).values():
        assert MARK not in section.text
        assert isinstance(section.pairs, dict)


def test_a_section_that_is_missing_is_empty_and_not_ok() -> None:
    seen = Seen("n0")
    assert not seen["nothing"].ok
    assert seen["nothing"].first == ""


def test_the_probe_is_one_script_with_every_value_quoted_and_its_end_last() -> None:
    text = probe_script(PLAN, PLAN.nodes[0], FABRIC="rail'; reboot")
    assert "FABRIC='rail'\"'\"'; reboot'\n" in text
    assert text.endswith("say end 0 ''\n")
    assert values(PLAN, PLAN.nodes[0])["KNOCK"] == "10.0.0.12"


def test_every_check_has_a_question_and_a_stable_id() -> None:
    for id, one in checks.every().items():
        area, _, name = id.partition(".")
        assert area.isidentifier()
        assert name.replace("-", "").isalnum()
        assert one.asks


def test_a_node_that_was_not_reached_has_one_finding_and_no_other() -> None:
    found = checks.judge(PLAN, {"10.0.0.11": Seen("10.0.0.11", problem="not reached by SSH")})
    assert [(f.check, f.level) for f in found] == [("node.reached", "fail")]


def test_a_check_that_cannot_read_what_it_sees_is_a_finding_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(case: checks.Case) -> checks.Say:
        raise ValueError("line 3: garbage")

    monkeypatch.setitem(checks._CHECKS, "node.root", checks.Check("node.root", "root", broken))
    found = checks.judge(PLAN, {"10.0.0.11": Seen("10.0.0.11", sections(f"{MARK}end 0\n"))})
    (one,) = [f for f in found if f.check == "node.root"]
    assert one.level == "fail"
    assert "line 3: garbage" in one.observed


def test_a_skipped_check_is_recorded_and_an_unknown_one_refused() -> None:
    found = checks.judge(PLAN, {"10.0.0.11": Seen("10.0.0.11", sections(f"{MARK}end 0\n"))}, {"node.root"})
    assert [(f.level, f.observed) for f in found if f.check == "node.root"] == [("skip", "skipped as asked")]
    with pytest.raises(PlanError, match=r'"node.rot" is no check \(did you mean "node.root"\?\)'):
        checks.skipped("node.rot")


@pytest.mark.parametrize(
    ("levels", "said"), [(["pass", "skip"], "ready"), (["pass", "warn"], "slow"), (["warn", "fail"], "blocked"), ([], "ready")]
)
def test_the_verdict_is_the_worst_finding(levels: list[str], said: str) -> None:
    assert verdict([Finding("n", "a.b", level, "x") for level in levels]) == said  # type: ignore[arg-type]


def test_the_page_of_checks_is_what_the_checks_say() -> None:
    from roles.run import catalog

    assert catalog.PAGE.read_text(encoding="utf-8") == catalog.page(), "write it anew with make golden"
