"""The doubles of SGLang and Xinference, by the plan's own commands."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from roles.plan.library import library
from tests.lab.double import answers
from tests.lab.double.running import Ended, Running, command, ends, free_port, until
from tests.unit.sources import plan
from tests.unit.test_double import WEATHER, changed, stages

OPTIONS = Path(__file__).parents[2] / "files" / "engines" / "options"
OPEN = {"XINFERENCE_AUTH_ADVANCED": "0"}


def sglang(env: dict[str, str] | None = None, *more: str) -> Running:
    port = free_port()
    argv = changed(plan("sglang/nvidia-tp8-ep8").replicas[0].nodes[0].serve_argv, host="127.0.0.1", port=port, tp_size=2, ep_size=2)
    given = {"DOUBLE": "pace=0.2", "DOUBLE_OPTIONS": str(OPTIONS / "sglang.yaml"), "DOUBLE_VERSION": "0.5.7", **(env or {})}
    return Running([*argv, *more], given, port=port)


def xinference(env: dict[str, str] | None = None, *more: str) -> tuple[Running, list[str]]:
    """The server, and the command that launches the model."""
    node = plan("xinference/awq").replicas[0].nodes[0]
    port = free_port()
    argv = changed(node.serve_argv, host="127.0.0.1", port=port)
    given = {"DOUBLE": "pace=0.2", "DOUBLE_OPTIONS": str(OPTIONS / "xinference.yaml"), "DOUBLE_VERSION": "4.1.0", **(env or {})}
    return Running([*argv, *more], given, port=port), changed(node.after_ready_argv, endpoint=f"http://127.0.0.1:{port}")


def launch(argv: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(argv), capture_output=True, text=True, timeout=20, check=False)


def test_sglang_passes_its_stages_and_serves() -> None:
    with sglang({"DOUBLE": "pace=0.01"}) as one:
        assert until(lambda: "fired up" in one.text() or one.main.poll() is not None, 10), one.text()
        assert stages(one.text(), "sglang") == [s.name for s in library().engine("sglang", "test").stages]
        titles = {"sglang::scheduler_TP0_EP0", "sglang::scheduler_TP1_EP1", "sglang::detokenizer"}
        assert titles <= set(one.processes().values())
        assert one.status("/health_generate") == 200
        assert [m["id"] for m in one.ask("GET", "/v1/models").json["data"]] == ["MiniMaxAI/MiniMax-M2.1"]
        message = one.chat(model="MiniMaxAI/MiniMax-M2.1").json["choices"][0]["message"]
        assert message["content"].startswith(f"<think>{answers.THINK}")
        assert "reasoning_content" in message
        call = one.chat(model="MiniMaxAI/MiniMax-M2.1", tools=[WEATHER]).json["choices"][0]
        assert call["finish_reason"] == "tool_calls"
        assert json.loads(call["message"]["tool_calls"][0]["function"]["arguments"])["city"] == "Shanghai"
        assert one.status("/metrics") == 404, "only with --enable-metrics"
        one.knobs("hang")
        assert until(lambda: one.status("/health_generate", timeout=6) == 503, 8), "its health check makes a token"
        one.knobs("")
        one.term()
        assert one.code() == 0
        assert until(lambda: not one.processes(), 2)


ENDS: dict[str, tuple[Callable[[], Running], int, str]] = {
    "a scheduler that fails": (
        lambda: sglang({"DOUBLE": "pace=0.1,die=weights"}),
        -signal.SIGKILL,
        "Received sigquit from a child process",
    ),
    "no memory": (lambda: sglang({"DOUBLE": "pace=0.1,oom,die=serving:5"}), 5, "Scheduler hit an exception[\\s\\S]*CUDA out of memory"),
    "at the end": (lambda: sglang({"DOUBLE": "pace=0.1,die=ready:4"}), 4, "fired up"),
    "xinference at the end": (lambda: xinference({**OPEN, "DOUBLE": "die=http:4"})[0], 4, "Application startup complete"),
    "sglang's option": (
        lambda: sglang(None, "--max-num-seqs", "4"),
        2,
        "launch_server.py: error: unrecognized arguments: --max-num-seqs 4",
    ),
    "xinference's option": (lambda: xinference(OPEN, "--nope", "1")[0], 2, "(?m)^Error: No such option: --nope$"),
    "xinference's word": (lambda: xinference(OPEN, "stray")[0], 2, "(?m)^Error: No such option: stray$"),
}


@pytest.fixture(scope="module")
def ended() -> dict[str, Ended]:
    return ends({name: start for name, (start, _, _) in ENDS.items()})


@pytest.mark.parametrize("name", ENDS)
def test_it_ends_as_the_real_one_would(ended: dict[str, Ended], name: str) -> None:
    code, text, left = ended[name]
    assert (code, left) == (ENDS[name][1], {}), text
    assert re.search(ENDS[name][2], text)


def test_xinference_serves_only_what_was_launched() -> None:
    one, launching = xinference(OPEN)
    with one:
        assert until(lambda: one.status("/status") == 200, 10), one.text()
        assert stages(one.text(), "xinference") == ["container", "http"]
        assert one.ask("GET", "/v1/models").json["data"] == []
        assert one.chat(model="MiniMax-M2").status == 404
        done = launch(launching)
        assert (done.returncode, "Model uid: MiniMax-M2" in done.stderr) == (0, True)
        assert [m["id"] for m in one.ask("GET", "/v1/models").json["data"]] == ["MiniMax-M2"]
        answer = one.chat(model="MiniMax-M2").json["choices"][0]["message"]["content"]
        assert answer.startswith("<think>")
        assert answer.endswith(answers.TEXT)
        one.term()
        assert one.code() == 0
        assert until(lambda: not one.processes(), 2)


def test_xinference_guards_its_api_unless_told_otherwise() -> None:
    one, launching = xinference()
    with one:
        assert until(lambda: one.status("/status") == 200, 10), one.text()
        assert one.status("/v1/models") == 401
        done = launch(launching)
        assert done.returncode == 1
        assert "Could not validate credentials" in done.stderr


def test_a_launch_that_fails_says_why() -> None:
    one, launching = xinference({**OPEN, "DOUBLE": "pace=0.1,oom"})
    with one:
        assert until(lambda: one.status("/status") == 200, 10), one.text()
        done = launch(launching)
        assert done.returncode == 1
        assert re.search("Error: Failed to launch model MiniMax-M2: CUDA out of memory", done.stderr)
        assert one.ask("GET", "/v1/models").json["data"] == []


def test_a_launch_without_a_server_fails() -> None:
    done = launch(["xinference", "launch", "--endpoint", f"http://127.0.0.1:{free_port()}", "--model-name", "MiniMax-M2"])
    assert (done.returncode, "ConnectionError" in done.stderr) == (1, True)
