"""The recorder of the live view: a real terminal's screen as a picture that asks no server for anything."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.record import Recording, main, record, svg

SCRIPT = """
import sys, time
print("\\033[1;31mFAIL\\033[0m  [x] & <y>")
for i in (1, 2, 3):
    rows = [f"n{n}  \\033[36m━━━{'━' * i}\\033[0m  {i}/3" for n in range(min(i, 2))]
    sys.stdout.write("\\n".join(rows)); sys.stdout.flush(); time.sleep(0.1)
    sys.stdout.write("\\r\\033[2K" + "\\033[1A\\033[2K" * (len(rows) - 1))
print("\\033[2mthe end\\033[0m")
"""


@pytest.fixture
def one(tmp_path: Path) -> Recording:
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    return record([sys.executable, str(tmp_path / "script.py")], 60, 10)


def words(picture: str) -> str:
    root = ElementTree.fromstring(picture)
    return "".join(text for node in root.iter("{http://www.w3.org/2000/svg}text") for text in node.itertext()).replace("\xa0", " ")


def test_the_middle_of_the_fullest_live_view_is_chosen(one: Recording) -> None:
    assert one.code == 0
    assert [f.height for f in one.frames()] == [1, 2, 2]
    assert one.shown(one.moment()) == ["FAIL  [x] & <y>", "n0  ━━━━━━  3/3", "n1  ━━━━━━  3/3"]


def test_another_moment_can_be_asked_for(one: Recording) -> None:
    assert one.shown(one.moment(last=True))[-1] == "n1  ━━━━━━  3/3"
    assert one.shown(one.moment(at=60.0)) == ["FAIL  [x] & <y>", "the end"]
    assert one.shown(one.moment(at=0.0)) == [""]


def test_without_a_live_view_it_is_the_last_screen() -> None:
    one = record([sys.executable, "-c", "print('[x]')"], 40, 5)
    assert one.shown(one.moment()) == one.shown(one.moment(last=True)) == ["[x]"]


def test_the_picture_has_the_texts_and_their_colours_and_no_address(one: Recording) -> None:
    picture = svg(one, None, "pyinfra <x>")
    assert "FAIL  [x] & <y>" in words(picture)
    assert "the end" in words(picture)
    assert "pyinfra <x>" in words(picture)
    assert "font-weight: bold" in picture
    assert "@font-face" not in picture
    assert "url(" not in picture.replace("url(#", "")
    assert re.findall(r"(?:href|src)\s*=", picture) == []


def test_the_same_screen_is_the_same_picture(one: Recording) -> None:
    assert svg(one, None, "x") == svg(one, None, "x")


def test_as_a_command_it_writes_the_picture_and_the_cast(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, cast = tmp_path / "out.svg", tmp_path / "out.cast"
    command = [sys.executable, "-c", "print('h\u00e9llo'); raise SystemExit(3)"]
    assert main([str(out), "--columns", "30", "--lines", "4", "--title", "a title", "--cast", str(cast), "--", *command]) == 0
    assert "h\u00e9llo" in words(out.read_text(encoding="utf-8"))
    head, *events = map(json.loads, cast.read_text(encoding="utf-8").splitlines())
    assert head == {"version": 2, "width": 30, "height": 4}
    assert "".join(e[2] for e in events) == "h\u00e9llo\r\n"
    assert "ended with 3" in capsys.readouterr().err
