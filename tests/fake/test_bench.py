"""The verb bench as a whole, on pyinfra's fake connector: an API on loopback, and what a real client said as the tool's answer."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from roles.plan.plan import make
from roles.plan.source import read_inventory

ROOT = Path(__file__).parents[2]
PYINFRA = Path(sys.executable).with_name("pyinfra")
SAID = ROOT / "tests" / "fixtures" / "bench"
TABLE = "| 0     910B3               | OK            | 95.2        37                0     / 0             |"


class Api(BaseHTTPRequestHandler):
    """Health, one answer, counters: what the pulse asks before anything is measured."""

    def do_GET(self) -> None:
        self.answer("vllm:generation_tokens_total 1\nvllm:prefix_cache_queries_total 100\nvllm:prefix_cache_hits_total 85\n")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        message = {"role": "assistant", "content": "Hello"}
        usage = {"prompt_tokens": 1, "completion_tokens": 4, "total_tokens": 5}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        self.answer(json.dumps({"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage}))

    def answer(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()


def inventory(folder: Path, port: int, said: str = "vllm-0.32.0-random", replicas: int = 1, **unit: str) -> Path:
    """Fake nodes that serve, as their probes tell it; `unit` changes what they say of our unit."""
    file = folder / "one.py"
    data = {"recipe": "lab/a2-single", "model": "MiniMax-M2-lab", "arch": "x86_64", "auth": "off", "ports": {"api": port}}

    def write(answers: list[dict[str, list[str]]]) -> None:
        quick = {"rank": 0, "nic": "lo", "fake_delay": 0, "fake_delay_jitter": 0}
        hosts = [
            (f"@fake/n{i}", {**quick, "address": f"127.0.0.{i + 1}", "replica": f"r{i}", "fake_responses": answer})
            for i, answer in enumerate(answers)
        ]
        file.write_text(f"one = ({hosts!r}, {data!r})\n", encoding="utf-8")

    write([{}] * replicas)
    answers = []
    for replica in make(read_inventory(file)).replicas:
        seen = {"active": "active", "container": "running", "spec": replica.spec, **unit}
        probe = ["\x1enpu-smi.info 0", TABLE, "\x1eunit 0", *(f"{k}={v}" for k, v in seen.items()), "\x1ehealth 0", "200", "\x1eend 0"]
        answers.append({"bringup-probe": probe, "bringup-bench": (SAID / f"{said}.txt").read_text(encoding="utf-8").split("\n")})
    write(answers)
    return file


def run(file: Path, *words: str) -> tuple[int, str, dict[str, Any], dict[str, Any]]:
    """Exit status, all it said, report.json, bench.json."""
    runs = file.parent / "runs"
    command = [str(PYINFRA), str(file), str(ROOT / "deploy" / "bench.py"), "--data", f"runs={runs}"]
    command += [w for word in words for w in (("--data", word) if "=" in word else (word,))]
    done = subprocess.run(command, cwd=file.parent, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=120)
    folders = sorted(runs.glob("one/*-bench*"), key=lambda p: p.stat().st_mtime_ns)
    read = {
        name: json.loads((folders[-1] / name).read_text(encoding="utf-8"))
        for name in ("report.json", "bench.json")
        if folders and (folders[-1] / name).exists()
    }
    return done.returncode, done.stdout + done.stderr, read.get("report.json", {}), read.get("bench.json", {})


def test_figures_are_shown_kept_and_reported_and_the_second_run_stands_beside_the_first(tmp_path: Path, port: int) -> None:
    file = inventory(tmp_path, port)
    code, text, report, kept = run(file, "scenario=random-small")
    assert code == 0, text
    assert "529.26" in text
    (point,) = kept["points"]
    assert (point["scenario"], point["completed"], point["failed"], point["page"], point["before"]) == ("random-small", 8, 0, None, None)
    assert point["conditions"]["accelerator"] == "910B3"
    assert report["ok"] is True
    assert report["facts"]["report.bench"][0]["output_throughput"] == point["figures"]["output_throughput"]
    code, text, _, kept = run(file, "scenario=random-small")
    assert code == 0, text
    assert kept["points"][0]["before"]["verdict"] == "as good"
    assert kept["points"][0]["before"]["ratios"]["output_throughput"] == 1.0


def test_a_slower_run_is_a_warning_and_no_failure(tmp_path: Path, port: int) -> None:
    assert run(inventory(tmp_path, port), "scenario=random-small")[0] == 0
    file = inventory(tmp_path, port)
    file.write_text(file.read_text(encoding="utf-8").replace('"output_throughput": 529', '"output_throughput": 329'), encoding="utf-8")
    code, text, report, _ = run(file, "scenario=random-small", "tolerance=20%")
    assert code == 0, text
    assert "warning: random-small at 4 on replica r0 is worse than the last run's: WORSE by more than 20%: output_throughput 0.62 x" in text
    assert report["facts"]["report.bench.warnings"]


def test_a_sweep_is_a_curve(tmp_path: Path, port: int) -> None:
    code, text, _, kept = run(inventory(tmp_path, port), "scenario=random-small", "sweep=1,4")
    assert code == 0, text
    (curve,) = kept["curves"]
    assert [p["concurrency"] for p in curve["points"]] == [1, 4]
    assert "latency and throughput, 64 tokens in, 16 out" in text
    assert len({p["conditions"]["seed"] for p in kept["points"]}) == 2


def test_failed_requests_are_exit_1_with_the_tools_reason(tmp_path: Path, port: int) -> None:
    code, text, report, kept = run(inventory(tmp_path, port, "vllm-0.32.0-wrong-key"), "scenario=random-small")
    assert code == 1
    assert "8 of 8 requests failed: Unauthorized" in text
    assert report["failures"][0]["stage"] == "bench random-small at 4"
    assert kept["points"][0]["ok"] is False


def test_a_tool_without_a_result_is_exit_1_with_its_last_words(tmp_path: Path, port: int) -> None:
    file = inventory(tmp_path, port)
    file.write_text(file.read_text(encoding="utf-8").replace("\\x1eresult ", "ValueError: the tokenizer is not there "), encoding="utf-8")
    code, text, _, _ = run(file, "scenario=random-small")
    assert code == 1
    assert "the tool wrote no result file" in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("unit", "why"),
    [
        ({"container": "exited"}, "is down"),
        ({"active": "failed", "ended": "the engine ended with code 1"}, "the engine ended with code 1"),
        ({"spec": "another"}, "runs another plan than this inventory's"),
    ],
)
def test_what_does_not_serve_is_not_measured(tmp_path: Path, port: int, unit: dict[str, str], why: str) -> None:
    file = inventory(tmp_path, port, **unit)
    code, text, report, _ = run(file)
    assert code == 1
    assert "replica r0 is not serving: @fake/n0" in text
    assert why in text
    assert report["failures"][0]["fix"].endswith("serve.py")


def test_a_port_that_does_not_answer_is_not_measured(tmp_path: Path) -> None:
    code, text, _, _ = run(inventory(tmp_path, 9))
    assert code == 1
    assert "replica r0 is not serving: the connection failed" in text


@pytest.mark.parametrize(
    ("word", "said"),
    [("scenario=random-smal", 'did you mean "random-small"'), ("sweep=a", "expected numbers such as 1,4,16"), ("only=x", "no such option")],
)
def test_a_mistake_is_exit_2_and_one_sentence_and_nothing_is_made(tmp_path: Path, port: int, word: str, said: str) -> None:
    code, text, report, _ = run(inventory(tmp_path, port), word)
    assert code == 2
    assert said in text
    assert "Traceback" not in text
    assert report == {}


def test_replicas_are_measured_side_by_side_and_those_outside_the_limit_are_left_out(tmp_path: Path, port: int) -> None:
    file = inventory(tmp_path, port, replicas=2)
    code, text, _, kept = run(file, "--limit", "@fake/n0", "scenario=random-small")
    assert code == 0, text
    assert "replica r1: left out by --limit" in text
    assert [p["replica"] for p in kept["points"]] == ["r0"]
    code, text, _, kept = run(file, "scenario=random-small")
    assert code == 1  # nothing listens at the second one's address
    assert "replica r1 is not serving" in text
    assert [p["replica"] for p in kept["points"]] == ["r0"]


def test_dry_shows_the_command_lines_and_runs_none(tmp_path: Path, port: int) -> None:
    code, text, _, kept = run(inventory(tmp_path, port), "--dry", "sweep=1,2")
    assert code == 0, text
    assert text.count("vllm bench serve") == 4
    assert "--save-result --result-dir /tmp/bringup-bench-" in text
    assert kept == {}
