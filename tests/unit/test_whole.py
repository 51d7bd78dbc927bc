"""Which tests run beside which, and what is told of those that ran beside."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import whole
from tests.whole import Stream

ENGINE = re.compile(r"^from tests\.lab\.engine import", re.M)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(whole, "ROOT", tmp_path)
    (tmp_path / "test_here.py").write_text("def test_well(): pass\n\ndef test_ill(): assert not 'the reason'\n")
    return tmp_path


def test_the_second_labs_tests_exist_and_want_no_real_engine() -> None:
    files = [Path(__file__).parents[2] / path for path in whole.SECOND]
    assert [f for f in files if not f.exists()] == []
    assert [f for f in files if f.is_file() and ENGINE.search(f.read_text(encoding="utf-8"))] == []


def test_of_what_passed_the_last_line_is_told_and_what_it_left_out(root: Path) -> None:
    stream = Stream("some", ["test_here.py"])
    code = stream.start(["-k", "well"]).wait(60)
    assert code == 0
    assert re.fullmatch(r"=* ?1 passed, 1 deselected in [\d.]+s ?=* \(some\)", whole.ending(stream, code))
    stream.log.write_text("..\nSKIPPED [1] here.py:3: no browser\n2 passed, 1 skipped in 1s\n")
    assert whole.ending(stream, 0) == "SKIPPED [1] here.py:3: no browser\n2 passed, 1 skipped in 1s (some)"


def test_of_what_failed_everything_is_told(root: Path) -> None:
    stream = Stream("some", ["test_here.py"])
    code = stream.start([]).wait(60)
    assert code == 1
    assert "assert not 'the reason'" in whole.ending(stream, code)


@pytest.mark.parametrize(("words", "expected"), [([], 1), (["-k", "well"], 0)], ids=["one fails", "all pass"])
def test_a_stream_that_fails_is_a_failure_of_all(root: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], expected: int) -> None:
    """The first lab's own tests are chosen away; nothing chosen is no failure."""
    for folder in whole.LAB:
        (root / folder).mkdir(parents=True)
    codes = whole.beside([Stream("some", ["test_here.py"])], words)
    assert codes == {"in-the-lab": whole.NOTHING_CHOSEN, "some": expected}
    monkeypatch.setattr(whole, "SECOND", ["test_here.py"])
    monkeypatch.setattr(whole, "LAB", ["tests"])
    monkeypatch.setattr(whole.second, "ready", lambda first: None)
    monkeypatch.setenv("BRINGUP_BROWSER", "off")
    assert whole.main(words) == expected
