"""The stand-in for vLLM's benchmark client: takes the plan's own command line, asks with the key, writes what the verb reads."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from roles.bench import command, result
from tests.lab import bench_double
from tests.lab.double.running import Running, free_port
from tests.unit.sources import plan

KEY = "sk-of-a-test"


@pytest.fixture(scope="module")
def engine() -> Iterator[Running]:
    port = free_port("127.0.0.1")
    words = ["vllm", "serve", "m", "--host", "127.0.0.1", "--port", str(port), "--served-model-name", "minimax-lab"]
    with Running(words, {"VLLM_API_KEY": KEY, "DOUBLE_PLATFORM": "cpu"}, port=port) as one:
        assert one.says("Application startup complete", 20), one.text()
        yield one


def asked(engine: Running, folder: Path, key: str) -> subprocess.CompletedProcess[str]:
    """A benchmark of the lab's recipe, word for word but for where the engine is."""
    made = plan("lab/a2-dual", model="MiniMax-M2-lab", weights="/m", arch="x86_64")
    (point,) = command.points([b for b in made.bench if b["name"] == "random-small"], "x", 1)
    words = [w.replace(point.folder, str(folder)) for w in point.words]
    for name, value in (("--host", engine.host), ("--port", str(engine.port))):
        words[words.index(name) + 1] = value
    client = folder / "vllm"
    client.write_text(bench_double.CLIENT, encoding="utf-8")
    env = {**os.environ, "OPENAI_API_KEY": key, "NO_PROXY": "127.0.0.1"}
    return subprocess.run([sys.executable, "-I", client, *words[1:]], env=env, capture_output=True, text=True, check=False, timeout=60)


def test_it_asks_and_its_result_is_read_as_the_real_ones(engine: Running, tmp_path: Path) -> None:
    done = asked(engine, tmp_path, KEY)
    assert done.returncode == 0, done.stderr
    assert "stand-in for tests" in done.stderr
    found = result.read("vllm-bench", (tmp_path / command.FILE).read_text(encoding="utf-8"), 8)
    assert (found.completed, found.failed, found.why) == (8, 0, "")
    assert engine.text().count('"POST /v1/completions') == 8
    assert KEY not in done.stdout + done.stderr


def test_without_the_key_no_request_is_answered(engine: Running, tmp_path: Path) -> None:
    done = asked(engine, tmp_path, "wrong")
    found = result.read("vllm-bench", (tmp_path / command.FILE).read_text(encoding="utf-8"), 8)
    assert (found.completed, found.failed) == (0, 8)
    assert "HTTP Error 401" in result.errors(done.stdout.splitlines())
