"""The live block as it stands on a real terminal, and the lines that take its place elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pytest

from roles.run import progress
from roles.run.progress import Progress, share
from tests.record import Recording, record

ROOT = Path(__file__).parents[2]
BEGIN = """
import sys, time
from gevent import monkey
monkey.patch_all()
from roles.run.progress import Progress
from roles.run import terminal
p = Progress(["10.0.0.11", "10.0.0.12"])
p.say("10.0.0.11", "start rank 0")
"""
STORY = f"""{BEGIN}
p.say("10.0.0.12", "weights")
p.show("10.0.0.12", "weights 45/126, about 4 min left")
time.sleep(0.4)
print("[bold] said on stdout", flush=True)
print("\\x1b[31ma red line\\x1b[0m on stderr", file=sys.stderr)
p.show("10.0.0.11", "\\x1b[2Jshow [red]me[/red]\\x07 " + "long " * 40)
time.sleep(0.4)
p.say("10.0.0.11", "graph")
time.sleep(1.4)
p.end()
print("the end", flush=True)
"""


def played(tmp_path: Path, code: str, columns: int = 80, lines: int = 24, **env: str) -> Recording:
    file = tmp_path / "story.py"
    file.write_text(code, encoding="utf-8")
    one = record([sys.executable, str(file)], columns, lines, {"PYTHONPATH": str(ROOT), **env})
    assert one.code == 0, one.data.decode()
    return one


def at_once(lines: list[str]) -> list[str]:
    """As on a machine that is never busy: what is said within the first seconds is said in the first one."""
    return [re.sub(r"^  0:0\d  ", "  0:00  ", line) for line in lines]


def live(one: Recording) -> list[list[str]]:
    """What stood on the screen at every moment with a whole block."""
    return [one.shown(frame.end) for frame in one.frames()]


def test_lines_stay_above_a_block_that_is_gone_at_the_end(tmp_path: Path) -> None:
    one = played(tmp_path, STORY)
    assert at_once(one.shown()) == [
        "  0:00  10.0.0.11  start rank 0",
        "  0:00  10.0.0.12  weights",
        "[bold] said on stdout",
        "a red line on stderr",
        "  0:00  10.0.0.11  graph",
        "the end",
    ]
    assert one.data.count(b"\x1b[?25l") == one.data.count(b"\x1b[?25h") == 1, "the cursor is there again"


def test_a_row_has_time_node_bar_and_what_is_left(tmp_path: Path) -> None:
    screens = live(played(tmp_path, STORY))
    assert "  0:00  10.0.0.12  ━━━━━━━╺━━━━━━━━━━━━  weights 45/126, about 4 min left" in screens[2]
    long = next(s for s in screens if "show" in s[-2])
    assert long[-2].startswith("  0:00  10.0.0.11                        show [red]me[/red]\ufffd long long")
    assert long[-2].endswith("…")
    assert len(long[-2]) == 80
    assert long[-1].startswith("  0:00  10.0.0.12"), "in the order of the plan, a row each"


def test_time_goes_on_though_nothing_is_said(tmp_path: Path) -> None:
    assert any(s[-2].endswith("  graph  0:01") for s in live(played(tmp_path, STORY)))


def test_a_narrow_terminal_has_no_bars_and_no_broken_rows(tmp_path: Path) -> None:
    screens = live(played(tmp_path, STORY, columns=40))
    assert screens[2][-2:] == ["  0:00  10.0.0.11  start rank 0  0:00", "  0:00  10.0.0.12  weights 45/126, abou…"]


def test_nodes_that_find_no_line_are_counted(tmp_path: Path) -> None:
    code = f"{BEGIN}\nfor i in range(40):\n    p.show(f'n{{i}}', 'weights 1/2')\ntime.sleep(1.2)\np.end()\nprint('the end')"
    one = played(tmp_path, code, lines=10)
    full = live(one)[-1]
    assert len(full) <= 10
    assert full[-1] == "        and 34 more nodes"
    assert at_once(one.shown()) == ["  0:00  10.0.0.11  start rank 0", "the end"]


def test_no_color_leaves_the_block_and_takes_the_colours(tmp_path: Path) -> None:
    one = played(tmp_path, STORY, NO_COLOR="1")
    assert b"\x1b[3" not in one.data
    assert b"\x1b[0m" not in one.data
    assert any("━━━" in line for s in live(one) for line in s)


def test_an_encoding_without_such_letters_gets_others(tmp_path: Path) -> None:
    one = played(tmp_path, STORY, PYTHONIOENCODING="ascii:backslashreplace")
    assert all(byte < 128 for byte in one.data)
    assert any("10.0.0.12  -------" in line for s in live(one) for line in s)
    assert one.shown()[-1] == "the end"


def test_a_dumb_terminal_gets_plain_lines(tmp_path: Path) -> None:
    one = played(tmp_path, STORY.replace("\\x1b[31ma red line\\x1b[0m", "a red line"), TERM="dumb")
    assert b"\x1b" not in one.data
    assert "  0:00  10.0.0.12  weights 45/126, about 4 min left" in at_once(one.shown())


def test_a_process_that_ends_in_the_middle_leaves_the_terminal_in_order(tmp_path: Path) -> None:
    one = played(tmp_path, f"{BEGIN}\ntime.sleep(0.1)\nsys.exit(0)")
    assert at_once(one.shown()) == ["  0:00  10.0.0.11  start rank 0"]
    assert b"\x1b[?25h" in one.data, "the cursor is there again"


def test_two_of_them_share_the_block(tmp_path: Path) -> None:
    pause = "time.sleep(0.4)"
    steps = ("q = Progress()", "q.show('all', '3 of 12 files')", pause, "p.end()", pause, "q.show('all', '4 of 12 files')", "q.end()")
    code = "\n".join((BEGIN, *steps))
    one = played(tmp_path, code)
    rows = [[line.split()[1] for line in s[1:]] for s in live(one)]
    assert [row for row, _ in groupby(rows)] == [["10.0.0.11"], ["10.0.0.11", "all"], ["all"]]
    assert at_once(one.shown()) == ["  0:00  10.0.0.11  start rank 0"]


def test_what_is_said_while_stdout_is_a_file_goes_into_the_file(tmp_path: Path) -> None:
    code = STORY.replace("import sys, time", f"import sys, time\nsys.stdout = open({str(tmp_path / 'out')!r}, 'w')")
    one = played(tmp_path, code)
    assert (tmp_path / "out").read_text().splitlines() == ["[bold] said on stdout", "the end"]
    assert "said on stdout" not in one.data.decode()


def test_a_pipe_gets_every_event_and_now_and_then_the_present_state(tmp_path: Path) -> None:
    file = tmp_path / "story.py"
    file.write_text(STORY, encoding="utf-8")
    done = subprocess.run([sys.executable, str(file)], env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=True)
    assert at_once(done.stderr.decode().replace("\x1b[31m", "").replace("\x1b[0m", "").splitlines()) == [
        "  0:00  10.0.0.11  start rank 0",
        "  0:00  10.0.0.12  weights",
        "  0:00  10.0.0.12  weights 45/126, about 4 min left",
        "a red line on stderr",
        f"  0:00  10.0.0.11  show [red]me[/red]\ufffd {'long ' * 40}",
        "  0:00  10.0.0.11  graph",
    ]


def test_the_present_state_is_told_every_10_s(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    one = Progress(["n0"])
    for i in range(25):
        one.show("n0", f"weights {i}/25")
        now[0] += 1
    assert capsys.readouterr().err.splitlines() == ["  0:00  n0  weights 0/25", "  0:10  n0  weights 10/25", "  0:20  n0  weights 20/25"]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("weights 45/126, about 4 min left", 45 / 126),
        ("random-small at 4: 8/8", 1.0),
        ("image: 1 of 3 layers, 2 downloaded, 9 s (66%)", 0.66),
        ("43.2 GB of 230 GB (18%), 1.2 GB/s, 3 of 20 nodes have all", 0.18),
        ("9/8", 1.0),
        ("0/0", None),
        ("10.0.0.11:2347 is reached", None),
        ("loading /srv/1/2.tar", None),
        ("waits for 3 requests", None),
    ],
)
def test_what_a_text_counts_is_a_bar(text: str, part: float | None) -> None:
    assert share(text) == part
