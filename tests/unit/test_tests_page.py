"""docs/tests.md is true: every test it names is there and runs where it says, and every module of the lab has its seconds."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests import watched
from tests.whole import allowed

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tests.md").read_text(encoding="utf-8")
CHOICE = {"quick": "not slow and not engines and not long", "test": "not long"}


def promises() -> Iterator[tuple[str, list[str], str]]:
    table = PAGE.split("| promise | held by | runs in |\n")[1].split("\n\n")[0]
    for line in table.splitlines()[1:]:
        promise, tests, where = (cell.strip() for cell in line.strip("|").split("|"))
        yield promise, re.findall(r"`([^`]+)`", tests), where


def collected(where: str, *folders: str) -> set[str]:
    """Files of which this command runs something."""
    words = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", CHOICE[where], *folders]
    told = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return set(re.findall(r"^(tests/\S+\.py)", told, re.M))


def test_every_promise_is_held_by_a_test_that_runs_where_the_page_says() -> None:
    quick, whole = collected("quick", "tests/unit", "tests/fake"), collected("test", "tests")
    for promise, tests, where in promises():
        assert tests, promise
        for path in tests:
            assert (ROOT / path).exists(), path
        runs = {p: "long" if p in watched.WATCHED else "quick" if p in quick else "test" if p in whole else "long" for p in tests}
        assert max(runs.values(), key=["quick", "test", "long"].index) == where, (promise, runs)


def test_every_module_of_the_lab_has_its_seconds() -> None:
    modules = {str(f.relative_to(ROOT)) for f in (*(ROOT / "tests/lab").glob("test_*.py"), *(ROOT / "tests/faults").glob("test_*.py"))}
    assert set(allowed()) == modules


def test_the_seconds_of_make_test_fit_into_its_twenty_five_minutes() -> None:
    from tests import whole

    seconds = allowed()
    streams = [sum(seconds.get(m, 0) for m in stream if m.endswith(".py")) for stream in (whole.FIRST, whole.SECOND, whole.REAL)]
    streams[1] += sum(s for m, s in seconds.items() if m.startswith("tests/faults"))
    assert max(streams[:2]) + streams[2] <= 25 * 60
