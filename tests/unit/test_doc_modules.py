"""`python -m roles.*` as README and docs show it, run for real: each line with its exit status, and what the page prints under it."""

from __future__ import annotations

import base64
import re
import runpy
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from roles.doctor import bundle
from roles.enrol import ask
from roles.enrol.known import Key
from tests.unit import doc_commands as docs
from tests.unit import report_runs
from tests.unit.doctor_bench import MADE, Case

BEGINNINGS = ("python -m roles.enrol ", "python -m roles.doctor ", "python -m roles.run.report ")
SHOWN = [c for c in docs.all_shown() if f"{c.text} ".startswith(BEGINNINGS)]
FIRST, SECOND = "10.0.0.11", "10.0.0.12"


@dataclass(frozen=True)
class Console:
    """A node's real key, and its fingerprint as the node's own ssh-keygen -lf says it."""

    key: Key
    fingerprint: str


def console(folder: Path, name: str) -> Console:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    kind, data, *_ = (folder / f"{name}.pub").read_text(encoding="utf-8").split()
    said = subprocess.run(["ssh-keygen", "-lf", folder / f"{name}.pub"], capture_output=True, text=True, check=True).stdout
    return Console(Key(kind, base64.b64decode(data)), said.split()[1])


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the lines speak of: inventories, a bundle, a run folder; and a person at the terminal who says yes."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inventories").mkdir()
    for sample in ("a2.py", "mine.py"):
        (tmp_path / "inventories" / sample).write_bytes((docs.ROOT / "inventories/a2.py").read_bytes())
    bundle.write(tmp_path / bundle.NAME, Case().put(0, "engine", "all is well\n").files(), MADE)
    monkeypatch.setattr(sys, "stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("builtins.input", lambda prompt: print(prompt) or "y")
    return tmp_path


def ran(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit status of `python -m MODULE WORDS`, and all that was said."""
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.delitem(sys.modules, f"{words[0]}.__main__", raising=False)
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    said = capsys.readouterr()
    return int(end.value.code or 0), said.out + said.err


def typed(command: docs.Shown, **stands: str) -> list[str]:
    """The module and its words; names in capitals as what they stand for, and a path with dots as our own bundle."""
    return [stands.get(w, bundle.NAME if w.endswith(f"/{bundle.NAME}") else w) for w in command.words[2:]]


def pattern(line: str, home: Path) -> str:
    """What the page prints, with anything where it leaves out as ... does, and any fingerprint."""
    parts = (re.escape(part) for part in re.sub(r"SHA256:\w+", "SHA256:", line.replace("/home/me", str(home))).split("..."))
    return re.sub(r"(?:\\ )+", r"\\s+", r"\S*".join(parts))


@pytest.mark.parametrize("command", [c for c in SHOWN if "roles.enrol" in c.text], ids=str)
def test_enrol_shows_asks_and_writes_as_the_page_has_it(
    command: docs.Shown, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = {FIRST: console(place, "first"), SECOND: console(place, "second")}
    monkeypatch.setattr(ask, "every", lambda places, known: {p.node: nodes[p.node].key for p in places})
    file = place / ".ssh" / "known_hosts"
    file.parent.mkdir()
    before = console(place, "before") if "--replace" in command.text else nodes[SECOND]
    file.write_text(f"{SECOND} {before.key.text}\n", encoding="utf-8")
    code, said = ran(typed(command, INVENTORY="inventories/a2.py"), monkeypatch, capsys)
    assert code == 0, said
    assert [line for line in command.output if not re.search(pattern(line, place), said)] == [], said
    for name, node in nodes.items():
        assert node.fingerprint in said, "the page says: compare it with the console"
        assert f"{name} {node.key.text}" in file.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("command", [c for c in SHOWN if "roles.enrol" not in c.text], ids=str)
def test_a_bundle_and_a_run_folder_are_read_as_the_page_has_it(
    command: docs.Shown, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = report_runs.good_serve(place / "runs")
    code, said = ran(typed(command, BUNDLE=bundle.NAME, RUN_FOLDER=str(run)), monkeypatch, capsys)
    assert code == 0, said
    assert said.strip()
    assert [line for line in command.output if not re.search(pattern(line, place), said)] == [], said


def test_no_such_line_is_left_out() -> None:
    others = ("python -m roles.plan", "python -m roles.doctor.table")  # test_doc_commands.py, test_doctor_rules.py
    all_ours = [c for c in docs.all_shown() if c.text.startswith("python -m roles.") and not c.text.startswith(others)]
    assert [str(c) for c in all_ours if c not in SHOWN] == []
    assert {c.words[2] for c in SHOWN} == {"roles.enrol", "roles.doctor", "roles.run.report"}
