"""The page of the long runs is made of what JUnit files say, the last run of each case."""

from __future__ import annotations

from pathlib import Path

from tests.long import cases, page

SUITE = '<testsuites><testsuite name="{commit}" timestamp="{when}">{cases}</testsuite></testsuites>'
LONG = '<properties><property name="long" value="yes"/></properties>'


def suite(path: Path, commit: str, when: str, **outcomes: str) -> Path:
    text = "".join(
        f'<testcase classname="tests.lab.test_serve" name="test_order_is_right[{case}]" time="60">{LONG}{outcome}</testcase>'
        for case, outcome in outcomes.items()
    )
    text += '<testcase classname="tests.lab.test_serve" name="test_short" time="1"/>'
    file = path / f"{commit}.xml"
    file.write_text(SUITE.format(commit=commit, when=when, cases=text), encoding="utf-8")
    return file


def test_the_last_run_of_each_case_counts_and_short_and_skipped_ones_do_not(tmp_path: Path) -> None:
    old = suite(tmp_path, "aaa", "2026-11-20T10:00:00", hundred="<failure/>", ten="<failure/>")
    new = suite(tmp_path, "bbb", "2026-11-21T10:00:00", hundred="", skipped="<skipped/>")
    row, never = page([*cases(new), *cases(old)], {"serve: order is right": 2, "zeal: never": 3}).splitlines()[-2:]
    assert never == "| zeal: never | 3 | not run | | | | |"
    assert row == "| serve: order is right | 2 | 1 | **1** | 2.0 | 2026-11-20, 2026-11-21 | aaa, bbb |"


def test_what_was_not_run_again_stays_as_it_was_and_what_is_gone_goes(tmp_path: Path) -> None:
    old = suite(tmp_path, "aaa", "2026-11-20T10:00:00", ten="")
    before = page(cases(old), {"zeal: never": 3})
    new = suite(tmp_path, "bbb", "2026-11-21T10:00:00", hundred="").read_text().replace("order_is_right", "other")
    (tmp_path / "bbb.xml").write_text(new)
    rows = page(cases(tmp_path / "bbb.xml"), {"serve: order is right": 1, "zeal: never": 3}, before).splitlines()[-3:]
    assert [row.split("|")[-2].strip() for row in rows] == ["aaa", "bbb", ""]
    assert rows[2] == "| zeal: never | 3 | not run | | | | |"
    assert "order is right" not in page([], {"zeal: never": 3}, before)
