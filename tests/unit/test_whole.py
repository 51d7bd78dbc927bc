"""Which tests run beside which, and what is told of those that ran beside."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import watched, whole
from tests.whole import Stream

TOP = Path(__file__).parents[2]
ENGINE = re.compile(r"^from tests\.lab\.engine import", re.M)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(whole, "ROOT", tmp_path)
    (tmp_path / "test_here.py").write_text("def test_well(): pass\n\ndef test_ill(): assert not 'the reason'\n")
    return tmp_path


def test_every_module_of_the_lab_is_in_one_stream_and_the_labs_of_doubles_want_no_real_engine() -> None:
    top = TOP
    listed = [*whole.FIRST, *whole.SECOND, *whole.REAL]
    assert sorted(listed) == sorted(["tests/faults", *(str(f.relative_to(top)) for f in (top / "tests/lab").glob("test_*.py"))])
    texts = {path: (top / path).read_text(encoding="utf-8") for path in (*whole.FIRST, *whole.SECOND) if path.endswith(".py")}
    assert [path for path, text in texts.items() if ENGINE.search(text) and "build.models" not in text] == []


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
    assert whole.together(Stream("some", ["test_here.py"]), Stream("others", ["test_here.py"]), words=words) == {
        "some": expected,
        "others": expected,
    }
    monkeypatch.setattr(whole, "FIRST", ["test_here.py"])
    monkeypatch.setattr(whole, "SECOND", ["test_here.py"])
    monkeypatch.setattr(whole, "REAL", ["test_here.py"])
    monkeypatch.setattr(whole.second, "alone_on_the_net", lambda line: line)
    monkeypatch.setattr(whole.second, "ready", lambda first: None)
    monkeypatch.setattr(whole, "taken_over", lambda place: None)
    monkeypatch.setattr(whole, "tools", lambda: None)
    monkeypatch.setattr(whole, "refused", lambda: None)
    assert whole.main(words) == expected


def test_a_skip_that_is_on_no_list_fails_and_is_named(root: Path) -> None:
    """What nobody reads hides that 49 tests of the proxy never ran."""
    (root / "conftest.py").write_text(f"import sys\nsys.path.insert(0, {str(TOP)!r})\nfrom tests.conftest import *\n")
    (root / "test_here.py").write_text("import pytest\n\ndef test_a(): pytest.skip('no nginx')\n\ndef test_b(): pass\n")
    stream = Stream("some", ["test_here.py"])
    code = stream.start([]).wait(60)
    assert code == 1
    assert "FAILED for a skip that is on no list (tests/conftest.py): no nginx" in whole.ending(stream, code)
    (root / "test_here.py").write_text("import pytest\n\ndef test_a(): pytest.skip('devices cannot be made here')\n")
    assert stream.start([]).wait(60) == 0


def test_what_passed_is_at_rest_until_one_of_its_files_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "ROOT", tmp_path)
    monkeypatch.setattr(watched, "RECORD", tmp_path / "watched.json")
    monkeypatch.setattr(watched, "WATCHED", {"tests/test_a.py": ("engine/**/*",)})
    for name in ("tests/test_a.py", "engine/deep/b.py", "other.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    for changed, rests in (("", False), ("other.py", True), ("engine/deep/b.py", False), ("tests/test_a.py", False)):
        if changed:
            (tmp_path / changed).write_text("2")
        watched.resting.cache_clear()
        assert watched.at_rest(tmp_path / "tests/test_a.py") == rests, changed
        watched.passed(["tests/test_a.py", "tests/test_of_no_interest.py"])
    watched.resting.cache_clear()


def test_a_module_that_took_longer_than_it_may_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said and not failed: a machine may be slow today."""
    (root / "build" / "junit").mkdir(parents=True)
    cases = '<testcase classname="tests.lab.test_a" time="40"/><testcase classname="tests.lab.test_a" time="30.4"/>'
    (root / "build" / "junit" / "some.xml").write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    monkeypatch.setattr(whole, "allowed", lambda: {"tests/lab/test_a.py": 60, "tests/lab/test_b.py": 5})
    assert whole.slow("some") == ["tests/lab/test_a.py took 70 s, and docs/tests.md allows 60 s"]
    monkeypatch.setattr(whole, "allowed", lambda: {"tests/lab/test_a.py": 71})
    assert whole.slow("some") == []
