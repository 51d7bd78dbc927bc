"""The lines of docs/start.md that tests/lab/test_start_page.py plays: all of its blocks, in its order, without the lab itself."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.lab.page import Line, played
from tests.unit.doc_commands import ROOT

START = ROOT / "docs" / "start.md"


def test_the_pages_blocks_are_played_in_their_order() -> None:
    lines = played(START)
    assert [line.verb for line in lines if line.verb] == [
        *("serve", "status", "logs", "serve", "serve", "serve", "check", "status", "bench", "clean"),
    ]
    assert [line.text for line in lines if not line.verb] == [
        "python -m roles.plan inventories/lab.py --explain",
        "make lab-set NODE=n1 health.2=Alarm",
        "make lab-set NODE=n1 health.2=OK",
    ]
    assert {line.verb: line.status for line in lines if line.status} == {"check": 1, "status": 130}
    assert [line.verb for line in lines if line.goes_on] == ["status"]


def test_a_line_is_run_by_this_environment_with_the_labs_inventory() -> None:
    bin = Path(sys.executable).parent
    verb = Line("pyinfra inventories/lab.py deploy/serve.py -y")
    assert verb.argv("/x/lab.py", "soak=1s") == [f"{bin}/pyinfra", "/x/lab.py", "deploy/serve.py", "-y", "--data", "soak=1s"]
    assert Line("python -m roles.plan inventories/lab.py").argv("a.py", "soak=1s") == [sys.executable, "-m", "roles.plan", "a.py"]
    assert Line("make lab-set NODE=n1").argv("a.py", "soak=1s") == ["make", "lab-set", "NODE=n1"]


def test_what_stands_in_prose_or_is_the_lab_itself_is_not_played(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "See `make lab-set NODE=n1`.\n\n```sh\nmake demo YES=1\npyinfra inventories/lab.py deploy/check.py  # exit status 1\n```\n"
    )
    assert played(page) == [Line("pyinfra inventories/lab.py deploy/check.py", 1)]
