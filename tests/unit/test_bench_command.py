"""What is run, and how it gets into the engine's container: command lines, and the script itself through a real shell."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from roles.bench import command, result
from roles.bench.command import Point
from roles.plan.plan import Plan
from tests.unit.sources import plan, recipes
from tests.unit.test_quoting import NASTY

TOKEN = "20261120T101112Z-bench"
SECRET = "sk-of-the-engine"
TOOL = """\
import json, os, sys
folder = sys.argv[sys.argv.index("--result-dir") + 1] if "--result-dir" in sys.argv else "."
names = ("OPENAI_API_KEY", "NO_PROXY", "CANN", "PYTHONUNBUFFERED")
told = {"argv": sys.argv[1:], "env": {n: os.environ.get(n) for n in names}, "mode": oct(os.stat(folder).st_mode & 0o777)}
print("working", flush=True)
open(os.path.join(folder, "result.json"), "w").write(json.dumps(told))
sys.exit(int(os.environ.get("CODE", "0")))
"""
DOCKER = """\
#!/bin/sh
# docker exec -i UNIT sh -c SCRIPT NAME WORDS...: the container is this machine, with the engine's environment.
[ "$1 $2" = "exec -i" ] || exit 64
shift 3
exec "$@"
"""


def points(recipe: str = "vllm-ascend/a2-dual", name: str = "", prompts: int | None = None, **more: object) -> list[Point]:
    entries = [b for b in plan(recipe).bench if not name or b["name"] == name]
    return command.points(entries, TOKEN, 7, more.get("sweep"), prompts)  # type: ignore[arg-type]


def test_options_are_read_from_the_command_line_that_runs() -> None:
    argv = ["vllm", "bench", "serve", "--ignore-eos", "--num-prompts", "16", "--header=--x", "--seed", "1"]
    assert command.options(argv) == {"ignore-eos": True, "num-prompts": "16", "header": "--x", "seed": "1"}


def test_every_benchmark_is_the_pages_with_a_seed_of_this_run_and_a_result_file() -> None:
    for recipe in recipes():
        for entry, point in zip(plan(recipe).bench, points(recipe), strict=True):
            theirs, ours = command.options(entry["argv"]), point.options
            assert {k: v for k, v in ours.items() if k != "seed"} == {k: v for k, v in theirs.items() if k != "seed"}
            assert point.words[: len(point.argv)] == list(point.argv)
            assert any(point.folder in w for w in point.words)


def test_no_two_runs_ask_the_same_so_no_cache_answers() -> None:
    seeds = [p.options["seed"] for p in points("sglang/mi300x-tp4")]
    assert seeds == ["7", "8", "9"]
    assert len({p.folder for p in points("sglang/mi300x-tp4")}) == 3


def test_a_sweep_keeps_its_places_full() -> None:
    got = [(p.options["max-concurrency"], p.options["num-prompts"], p.title) for p in points(sweep=(1, 4, 64))]
    assert got == [("1", "16", "prefix-190k-1k at 1"), ("4", "16", "prefix-190k-1k at 4"), ("64", "256", "prefix-190k-1k at 64")]


def test_benchmarks_that_differ_only_in_concurrency_are_one_sweep_and_keep_the_pages_own_points() -> None:
    got = points("sglang/mi300x-tp4", sweep=(1, 4, 16))
    assert [(p.scenario, p.options["max-concurrency"], p.options["num-prompts"]) for p in got] == [
        ("random-1k-1k-c1", "1", "10"),
        ("random-1k-1k-c1", "4", "16"),
        ("random-1k-1k-c16", "16", "80"),
    ]


def test_a_benchmark_without_a_concurrency_of_its_own_is_given_one() -> None:
    assert [p.options["max-concurrency"] for p in points("vllm/rocm-mi300x", sweep=(2, 8))] == ["2", "8"]


def test_the_number_of_requests_can_be_chosen() -> None:
    assert [p.options["num-prompts"] for p in points(prompts=3, sweep=(1, 2))] == ["3", "3"]


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Path]:
    """A folder of programs: docker, the tools, and an engine as the container's first process."""
    for name, text in (("docker", DOCKER), ("vllm", f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {tmp_path}/tool.py "$@"\n')):
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "tool.py").write_text(TOOL, encoding="utf-8")
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "VLLM_API_KEY": SECRET, "CANN": "/usr/local cann", "ODD": "a\nb\n=c"}
    engine = subprocess.Popen(["sleep", "60"], env=env)
    (tmp_path / "pid").write_text(str(engine.pid), encoding="utf-8")
    yield tmp_path
    engine.kill()
    engine.wait()


def text(point: Point, folder: Path, made: Plan, watched: bool = False) -> str:
    replica = made.replicas[0]
    script = command.script(made, replica, replica.nodes[0], point, watched)
    assert SECRET not in script
    return script.replace("ENGINE=1", f"ENGINE={(folder / 'pid').read_text(encoding='utf-8')}")


def run(point: Point, folder: Path, made: Plan | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    script = text(point, folder, made or plan())
    clean = {"PATH": f"{folder}:{os.environ['PATH']}", "HTTP_PROXY": "http://127.0.0.1:9", **env}
    return subprocess.run(
        ["sh", "-c", script], env=clean, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def told(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    found: dict[str, object] = json.loads(result.line(done.stdout.split("\n")))
    return found


def test_the_tool_gets_its_words_the_key_and_the_engines_environment(container: Path) -> None:
    point = points()[0]
    done = run(point, container)
    assert done.returncode == 0, done.stderr
    seen = told(done)
    assert seen["argv"] == point.words[1:]
    assert seen["env"] == {
        "OPENAI_API_KEY": SECRET, "CANN": "/usr/local cann", "PYTHONUNBUFFERED": "1",
        "NO_PROXY": "127.0.0.1,localhost,0.0.0.0,10.0.0.11,10.0.0.12",
    }  # fmt: skip
    assert seen["mode"] == "0o700"
    assert not Path(point.folder).exists()


def test_the_key_is_on_no_command_line(container: Path) -> None:
    """The tool itself looks at every process between it and the connection."""
    (container / "tool.py").write_text(
        "import os, subprocess, sys\n"
        "said = subprocess.run(['ps', '-eww', '-o', 'args'], capture_output=True, text=True).stdout\n"
        "print('SEEN' if os.environ['OPENAI_API_KEY'] in said else 'HIDDEN')\n",
        encoding="utf-8",
    )
    assert "HIDDEN" in run(points()[0], container).stdout


@pytest.mark.parametrize("value", [v for v in NASTY if v and not v.startswith("--")])
def test_any_value_arrives_whole(container: Path, value: str) -> None:
    point = points()[0]
    point = replace(point, argv=(*point.argv, "--extra", value))
    assert told(run(point, container))["argv"] == point.words[1:]


def test_without_a_key_none_is_given(container: Path) -> None:
    (container / "pid").write_text("0", encoding="utf-8")  # no such process: the environment stays as it is
    assert told(run(points()[0], container))["env"]["OPENAI_API_KEY"] is None  # type: ignore[index]


def test_the_tools_exit_code_is_the_scripts_and_its_file_is_shown_all_the_same(container: Path) -> None:
    done = run(points()[0], container, CODE="3")
    assert done.returncode == 3
    assert told(done)["argv"]


def test_no_result_is_said_when_the_tool_wrote_none(container: Path) -> None:
    (container / "tool.py").write_text("raise SystemExit('ValueError: no')", encoding="utf-8")
    done = run(points()[0], container)
    assert done.returncode == 1
    assert result.line(done.stdout.split("\n")) == ""
    assert "ValueError: no" in done.stdout


def test_a_script_of_the_page_is_found_from_the_images_own_folder_and_leaves_nothing_there(container: Path) -> None:
    made = plan("sglang/nvidia-tp8-ep8", bench={"gsm8k": {"data": "/data/test.jsonl"}})
    (point,) = command.points([b for b in made.bench if b["name"] == "gsm8k"], TOKEN, 7)
    script = container / "benchmark" / "gsm8k" / "bench_sglang.py"
    script.parent.mkdir(parents=True)
    script.write_text("import sys; open('left.txt', 'w'); open(sys.argv[-1], 'w').write('{\"accuracy\": 1}')", encoding="utf-8")
    assert told(run(point, container, made)) == {"accuracy": 1}
    assert "--data-path /data/test.jsonl" in shlex.join(point.words)
    assert sorted(p.name for p in container.iterdir()) == ["benchmark", "docker", "pid", "tool.py", "vllm"]


def test_when_nobody_waits_for_the_result_the_tool_ends(container: Path) -> None:
    """A closed connection is the end of the script's input: so are Ctrl-C and a controller that died."""
    (container / "tool.py").write_text("import time; print('working', flush=True); time.sleep(60)", encoding="utf-8")
    point = points()[0]
    env = {"PATH": f"{container}:{os.environ['PATH']}"}
    process = subprocess.Popen(
        ["sh", "-c", text(point, container, plan(), watched=True)], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    began = time.monotonic()
    process.stdin.close()
    assert process.wait(timeout=10) != 0
    assert time.monotonic() - began < 5
    assert not Path(point.folder).exists()


def test_without_a_container_the_environment_of_uv_runs_the_tool(container: Path, tmp_path: Path) -> None:
    made = plan("lab/venv")
    (entry,) = (b for b in made.bench if b["name"] == "random-small")
    (point,) = command.points([entry], TOKEN, 7)
    script = text(point, container, made)
    secrets = tmp_path / "r0.env"
    secrets.write_text(f"VLLM_API_KEY={SECRET}\n", encoding="utf-8")
    secrets.chmod(stat.S_IRUSR)
    assert "docker exec" in script  # the text of the other way, which is not taken
    script = script.replace("/etc/bringup/test/r0.env", str(secrets)).replace("/var/lib/bringup/test/venv", str(container / "venv"))
    done = subprocess.run(
        ["sh", "-c", script], env={"PATH": f"{container}:{os.environ['PATH']}"}, capture_output=True, text=True, check=False
    )
    assert told(done)["env"]["OPENAI_API_KEY"] == SECRET  # type: ignore[index]
    assert "export HF_HUB_OFFLINE=1" in script
