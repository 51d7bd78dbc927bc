"""What reaches a terminal, and what a pipe: colour, width, encodings, texts from elsewhere."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from roles.plan.finding import Finding
from roles.preflight import table
from roles.run import terminal
from roles.run.terminal import Rows, harmless

ROOT = Path(__file__).parents[2]
WIDE = Rows(
    [("10.0.0.11", "proven", "1234.50"), ("10.0.0.12", "[red]x[/] :smile:", "7.00")], ("node", "state", "tok/s"), right=(2,), indent=2
)
PLAIN = """\
  node       state                tok/s
  10.0.0.11  proven             1234.50
  10.0.0.12  [red]x[/] :smile:     7.00
"""
EVIL = "\x1b]0;title\x07\x1b[2J\x1b[31mred\x1b[0m \x1b]8;;http://x\x1b\\link \x9b1m\x1b \x08\u202eback \t[bold]{x} \\[/"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


def shown(*things: str | Rows, out: io.StringIO | None = None) -> str:
    out = out or io.StringIO()
    terminal.show(*things, out=out)
    return out.getvalue()


def unstyled(text: str) -> list[str]:
    return [line.rstrip() for line in terminal.ESCAPE.sub("", text).splitlines()]


def test_a_pipe_gets_the_table_without_a_single_escape_and_as_wide_as_it_is() -> None:
    assert shown(WIDE) == PLAIN
    (line,) = shown(Rows([("x" * 500, "y" * 500)])).splitlines()
    assert line == f"{'x' * 500}  {'y' * 500}"


def test_a_pipe_gets_a_line_as_it_is() -> None:
    assert shown("a\tb " * 200) == "a\tb " * 200 + "\n"


def test_a_terminal_with_room_gets_colours_and_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    rows = Rows([("a", ("FAIL", "red")), ("b", ("ok", "green"))], ("check", "n0"))
    text = shown(rows, out=Terminal())
    assert "\x1b[31mFAIL" in text
    assert unstyled(text) == ["check  n0", "a      FAIL", "b      ok"]


def test_a_table_that_is_too_wide_is_lines_that_name_their_cells_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    assert unstyled(shown(WIDE, out=Terminal())) == [
        "  node 10.0.0.11  state proven  tok/s 1234.50",
        "  node 10.0.0.12  state [red]x[/] :smile:  tok/s 7.00",
    ]


def test_a_sentence_is_one_line_however_narrow_the_terminal_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert unstyled(shown("word " * 50, out=Terminal())) == [("word " * 50).rstrip()]


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_without_colour_there_is_no_escape_on_a_terminal_either(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    out = Terminal()
    terminal.line(("FAIL", "bold red"), " x", out=out)
    assert "\x1b" not in out.getvalue() + shown(WIDE, out=out)
    assert terminal.redraws(out) is (name == "NO_COLOR")


def test_force_color_colours_a_pipe_and_wraps_nothing_and_no_color_is_stronger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    rows = Rows([(("FAIL", "red"), "x" * 200)])
    text = shown(rows)
    assert "\x1b[31mFAIL" in text
    assert unstyled(text) == [f"FAIL  {'x' * 200}"]
    assert not terminal.redraws(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in shown(rows)


@pytest.mark.parametrize("out", [io.StringIO, Terminal])
def test_a_text_from_elsewhere_gives_the_terminal_no_order_and_is_no_markup(
    monkeypatch: pytest.MonkeyPatch, out: type[io.StringIO]
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    text = shown(EVIL.replace("\t", " "), Rows([(EVIL.replace("\t", " "),)]), out=out())
    assert text.splitlines()[0] == text.splitlines()[1].rstrip() == "red link \ufffd1m\ufffd \ufffd\ufffdback  [bold]{x} \\[/"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("[bold] {x} \\ \u4f60\u597d \u2713", "[bold] {x} \\ \u4f60\u597d \u2713"),
        ("a\nb\tc", "a\nb\tc"),
        ("\x1b[38;5;9mx\x1b[0m", "x"),
        ("\x1b[?1049h\x1b[6n\x1bcx", "x"),
        ("\x1b]52;c;aGk=\x07x\x1bPq\x1b\\y", "xy"),
        ("\x1b]0;no end", "0;no end"),
        ("x\x1b", "x\ufffd"),
        ("10%\r20%\x07\x00", "10%\ufffd20%\ufffd\ufffd"),
    ],
)
def test_orders_are_taken_out_and_what_is_hidden_is_shown(text: str, left: str) -> None:
    assert harmless(text) == left


def test_a_letter_that_the_encoding_lacks_ends_nothing() -> None:
    code = "from roles.run import terminal as t; t.ready(); t.line('caf\u00e9 \u2713'); t.show(t.Rows([('\u4f60', 'x')]))"
    env = {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "caf\\xe9 \\u2713\n\\u4f60  x\n"


def test_rich_is_loaded_only_where_something_is_drawn() -> None:
    said = "t.line('x'); progress.Progress().say('n0', 'x'); print('rich' in sys.modules)"
    code = f"import sys; from roles.run import progress, terminal as t; {said}"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True)
    assert done.stdout == "x\nFalse\n"


# --- the findings of check


def found(nodes: int) -> list[Finding]:
    names = [f"n{i}" for i in range(nodes)]
    bad = Finding("n1", "network.nic", "fail", "eth0 is \x1b[31mdown [x]", "up", "ip link set eth0 up")
    return [
        *(Finding(n, "node.os", "pass", "fine") for n in names),
        *(Finding(n, "network.nic", "pass", "up") for n in names if n != "n1"),
        bad,
    ]


def test_few_nodes_are_columns() -> None:
    assert shown(table.table(found(2), ["n0", "n1"])).splitlines() == [
        "             n0  n1",
        "network.nic  ok  FAIL",
        "node.os      ok  ok",
    ]


def test_many_nodes_are_counted() -> None:
    assert shown(table.table(found(64), [f"n{i}" for i in range(64)])).splitlines() == [
        "network.nic  1 FAIL  63 ok",
        "node.os              64 ok",
    ]


def test_a_node_that_a_check_does_not_know_has_a_dash() -> None:
    assert shown(table.table(found(2)[:1], ["n0", "n1"])).splitlines()[1] == "node.os  ok  -"


def test_a_finding_is_one_line_for_grep_and_for_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    wanted = "FAIL  n1: network.nic: eth0 is down [x]; expected up; fix: ip link set eth0 up"
    for out in (io.StringIO(), Terminal()):
        for sentence in table.sentences(found(2)):
            terminal.line(*sentence, out=out)
        assert unstyled(out.getvalue()) == [wanted]


def test_the_verdict_is_the_last_line() -> None:
    out = io.StringIO()
    terminal.line(*table.last_line(found(2)), out=out)
    assert out.getvalue() == "blocked: 1 finding to mend before anything is started (3 passed, 0 skipped)\n"
