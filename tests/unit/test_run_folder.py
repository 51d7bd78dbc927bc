"""A run folder that cannot be written: before anything is done it ends the run, later it ends nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from roles.run import guard, lock
from roles.run.folder import Folder
from roles.run.run import Run
from tests.fake.test_verbs import PYINFRA, ROOT, inventory
from tests.unit.sources import plan

FULL = OSError(28, "No space left on device")


def verb(name: str, tmp_path: Path, runs: str) -> tuple[int, str]:
    command = [str(PYINFRA), str(inventory(tmp_path)), str(ROOT / f"deploy/{name}.py"), "--data", f"runs={runs}", "--data", "fabric=off"]
    command += ["--dry"] if name == "serve" else []
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=300)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["check", "serve"])
def test_a_run_folder_that_cannot_be_made_is_one_sentence_and_exit_2(tmp_path: Path, name: str) -> None:
    code, text = verb(name, tmp_path, "/proc/nope")
    assert code == 2, text
    assert [line for line in text.splitlines() if "/proc/nope" in line] == [
        "the run folder in /proc/nope/fakes cannot be written: No such file or directory; nothing was changed; "
        "name another folder: --data runs=DIR"
    ]
    assert "Traceback" not in text


def test_a_file_in_the_place_of_the_run_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, text = verb("check", tmp_path, str(tmp_path / "file"))
    assert (code, "Traceback" in text) == (2, False), text
    assert f"the run folder in {tmp_path / 'file'}/fakes cannot be written: Not a directory" in text


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run that has begun, and whose node was lost."""
    made = plan("vllm-ascend/a2-single")
    folder = Folder(made.cluster, "serve", str(tmp_path / "runs"))
    folder.plan(made.data())
    state: Any = SimpleNamespace(failed_hosts={"x"})
    return Run("serve", made, {}, state, {}, {}, folder)


def test_a_full_disk_at_the_beginning_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "replace", _full)
    folder = Folder("site", "check", str(tmp_path))
    with pytest.raises(OSError, match="No space") as problem:
        folder.plan({})
    assert folder.unwritable(problem.value) == f"the run folder in {tmp_path}/site cannot be written: No space left on device"
    assert list((tmp_path / "site").iterdir()) == []


def _full(*_: object) -> None:
    raise FULL


def test_a_run_folder_that_vanishes_in_the_middle_is_said_once_and_ends_nothing(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(run.folder.parent)
    with run.stage("start", "n0"):
        run.folder.keep("n0", "log", "text")
        run.fail("n0", "start", "it did not start")
    run.close(1)
    said = capsys.readouterr().err.splitlines()
    why = "No such file or directory; the run goes on, and its record has gaps"
    sentence = f"the run folder in {run.folder.parent} cannot be written: {why}"
    assert said[0] == sentence
    assert said.count(sentence) == 1
    assert run.failures[0]["why"] == "it did not start"


def test_what_can_be_written_again_is_written(run: Run) -> None:
    moved = run.folder.parent.rename(run.folder.parent.with_name("away"))
    run.folder.event("lost")
    moved.rename(run.folder.parent)
    run.folder.event("kept")
    events = (run.folder.path / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(e)["event"] for e in events] == ["kept"]


def test_a_report_that_cannot_be_written_does_not_hide_the_exit_status(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    codes: list[int] = []

    def close(code: int) -> None:
        codes.append(code)
        raise FULL

    monkeypatch.setattr(run, "close", close)
    monkeypatch.setattr(lock, "release", lambda _: None)
    guard._close(run)
    assert codes == [1]
    assert capsys.readouterr().err == f"the report in {run.folder.parent} could not be written: [Errno 28] No space left on device\n"


def test_an_interrupted_run_leaves_with_its_status_though_its_report_cannot_be_written(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[int] = []
    monkeypatch.setattr(run, "close", _full)
    monkeypatch.setattr(lock, "release", lambda _: None)
    monkeypatch.setattr(os, "_exit", left.append)
    guard._leave(run, 130)
    assert left == [130]
