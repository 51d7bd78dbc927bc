"""The judge process survives noise, is ended when it hangs, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from . import environment
from . import judge as judge_module
from .judge import Judge, JudgeError

ADAPTER = """
import os, subprocess, sys, time

class Engine:
    version, left = "1", None

    def __init__(self, models):
        os.write(1, b"noise from C\\n")

    def options(self):
        return ["--b", "--a"]

    def check(self, argv, level, headless):
        print("noise from Python")
        word = argv[0]
        if word == "hang":
            time.sleep(600)
        if word == "die":
            os._exit(3)
        if word == "exit":
            sys.exit("two\\nlines")
        if word == "leave":
            os.environ["LEFT"] = Engine.left = "behind"
        if word == "helper":
            return {"pid": subprocess.Popen(["sleep", "600"]).pid}
        if word == "import":
            import colorsys
        late = "colorsys" in sys.modules
        return {"left": self.left, "env": dict(os.environ), "late": late}
"""


@pytest.fixture
def judge(tmp_path, monkeypatch):
    (tmp_path / "double.py").write_text(ADAPTER)
    monkeypatch.setenv("BRINGUP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VLLM_PORT", "1")
    monkeypatch.setattr(judge_module, "JUDGES", tmp_path)
    monkeypatch.setattr(environment, "python_of", lambda *_: Path(sys.executable))
    (tmp_path / "cache").mkdir()
    with Judge("double", "1", check_seconds=1) as judge:
        yield judge


def ended(pid: int) -> bool:
    for _ in range(150):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":  # ended, and its new parent has not looked yet
            return True
        time.sleep(0.02)
    return False


def test_noise_on_stdout_does_not_break_the_protocol(judge):
    assert judge.check(["fine"]).ok
    assert judge.options() == {"--a", "--b"}


def test_a_refusal_is_one_line_and_the_judge_goes_on(judge):
    assert judge.check(["exit"]).error == "SystemExit: two lines"
    assert judge.check(["fine"]).ok


def test_one_verdict_does_not_colour_the_next(judge):
    assert judge.check(["leave"]).config["left"] == "behind"
    after = judge.check(["fine"]).config
    assert after["left"] is None
    assert "LEFT" not in after["env"]


def test_what_one_check_imported_the_next_one_has(judge):
    assert judge.check(["fine"]).config["late"] is False
    assert judge.check(["import"]).ok
    assert judge.check(["fine"]).config["late"] is True


def test_the_users_own_engine_settings_do_not_reach_the_judge(judge):
    assert "VLLM_PORT" not in judge.check(["fine"]).config["env"]


def test_a_judge_that_hangs_is_ended_and_named(judge):
    pid = judge._process.pid
    with pytest.raises(JudgeError, match="double-1 judge was silent for 1 s on hang"):
        judge.check(["hang"])
    assert ended(pid)


def test_a_check_that_dies_is_named_and_the_judge_goes_on(judge):
    with pytest.raises(JudgeError, match=r"double-1: the check ended its process \(3\) on die"):
        judge.check(["die"])
    assert judge.check(["fine"]).ok


def test_a_judge_that_died_is_named(judge):
    os.kill(judge._process.pid, signal.SIGKILL)
    with pytest.raises(JudgeError, match="double-1 judge ended on fine"):
        judge.check(["fine"])
    with pytest.raises(JudgeError, match="double-1 judge is not running"):
        judge.check(["fine"])


def test_helpers_of_the_engine_end_with_the_judge(judge):
    helper, server = judge.check(["helper"]).config["pid"], judge._process.pid
    judge.__exit__(None, None, None)
    assert ended(helper)
    assert ended(server)


def test_the_judge_ends_with_a_client_that_was_killed(judge, tmp_path):
    client = f"""
import pathlib, sys, time
from {judge_module.__package__} import environment, judge
judge.JUDGES = pathlib.Path({str(tmp_path)!r})
environment.python_of = lambda *_: pathlib.Path(sys.executable)
opened = judge.Judge("double", "1").__enter__()
print(opened._process.pid, flush=True)
time.sleep(600)
"""
    root = Path(judge_module.__file__).parents[judge_module.__name__.count(".")]
    command = [sys.executable, "-c", client]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as killed:
        server = int(killed.stdout.readline())
        killed.kill()
    assert ended(server)


def test_an_adapter_that_cannot_start_says_why(judge, tmp_path):
    (tmp_path / "broken.py").write_text("import no_such_engine")
    with pytest.raises(JudgeError, match="No module named 'no_such_engine'"), Judge("broken", "1"):
        pass


def test_an_interrupted_build_is_not_taken_for_a_finished_one(tmp_path, monkeypatch):
    monkeypatch.setenv("BRINGUP_CACHE", str(tmp_path))
    monkeypatch.setattr(environment, "_failures", {})
    monkeypatch.setattr(environment, "_create", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        environment.python_of(environment.TOOLS, lambda _: None)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_torch_comes_from_pytorchs_own_index_where_pip_knows_no_other_source(monkeypatch):
    ran = []

    def run(name, command):
        ran.append(command)
        if len(ran) == 1:
            raise environment.Unavailable("no matching distribution")

    monkeypatch.setattr(environment, "_run", run)
    environment._install(environment.TORCH, Path("building"))
    assert [environment.PYTORCH_INDEX in command for command in ran] == [False, True]


def test_a_full_disk_is_a_reason_not_to_build(tmp_path, monkeypatch):
    monkeypatch.setenv("BRINGUP_CACHE", str(tmp_path))
    monkeypatch.setattr(environment, "_failures", {})
    monkeypatch.setattr(environment, "NEEDED_GB", 10**9)
    with pytest.raises(environment.Unavailable, match="GB free, the engines want"):
        environment.python_of(environment.TOOLS, lambda _: None)


def test_no_python_311_is_a_reason_not_to_build(tmp_path, monkeypatch):
    monkeypatch.setenv("BRINGUP_CACHE", str(tmp_path))
    monkeypatch.setattr(environment, "_failures", {})
    monkeypatch.setattr(environment, "_python311", environment._python311.__wrapped__)
    monkeypatch.setattr(environment.sys, "version_info", (3, 10, 0))
    monkeypatch.setattr(environment.shutil, "which", lambda _: None)
    with pytest.raises(environment.Unavailable, match=r"no python3\.11 here"):
        environment.python_of(environment.TOOLS, lambda _: None)
