"""The text that runs inside an image, run with the engines' own parsers: it takes what they take and refuses what they refuse."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from roles.image.parse import CODE
from tests.engines import environment
from tests.unit.sources import plan

TWICE = (
    "import json, sys\n"
    "names = {'__name__': 'parse'}\n"
    "exec(open(sys.argv[1]).read(), names)\n"
    "out = [names['verdict'](sys.argv[2], commands) for commands in json.loads(sys.argv[3])]\n"
    "print('\\n' + json.dumps(out))\n"
)
JUDGE = Path(environment.__file__).parent / "judges" / "sglang.py"
NO_KERNELS = f"import runpy\nrunpy.run_path({str(JUDGE)!r})['_import_server_args']()\n"
"""SGLang imports its kernels with its options; here stand-ins of the test take their place."""


def verdicts(engine: str, version: str, commands: list[list[list[str]]], before: str = "") -> list[dict[str, Any]]:
    """What the engine of that release says to each set of commands."""
    if os.environ.get("BRINGUP_ENGINES") == "off":
        pytest.skip("BRINGUP_ENGINES=off")
    try:
        python = environment.python_of(f"{engine}-{version}")
    except environment.Unavailable as reason:
        pytest.skip(str(reason))
    words = [str(python), "-c", before + TWICE, str(CODE), engine, json.dumps(commands)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"], "HF_HUB_OFFLINE": "1"})
    assert done.returncode == 0, done.stderr[-2000:]
    found: list[dict[str, Any]] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def command(recipe: str, node: int = -1, **data: Any) -> list[list[str]]:
    made = plan(recipe, **data).nodes[node]
    return [c for c in (made.serve_argv, made.after_ready_argv) if c]


@pytest.mark.engines
@pytest.mark.parametrize("version", ["0.18.0", "0.32.0"])
def test_vllm_takes_the_plans_command_and_refuses_a_flag_it_lacks(version: str) -> None:
    good = [command("vllm-ascend/a2-dual", node, version=version) for node in (0, 1)]
    wrong = [[*good[0][0], "--no-such-flag"]], [[*good[0][0][:3], "--tensor-parallel-size", "eight"]], [["sh", "serve.sh"]]
    found = verdicts("vllm", version, [*good, *wrong])
    assert found[:2] == [{"verdict": "ok", "release": f"vllm {version}"}] * 2
    assert [v["verdict"] for v in found[2:]] == ["refused", "refused", "unknown"]
    assert "unrecognized arguments: --no-such-flag" in found[2]["why"]
    assert "eight" in found[3]["why"]


@pytest.mark.engines
@pytest.mark.parametrize("version", ["0.5.7", "0.5.23"])
def test_sglang_takes_the_plans_command_and_refuses_a_flag_it_lacks(version: str) -> None:
    good = command("sglang/nvidia-tp8-ep8", image=f"lmsysorg/sglang:v{version}")
    found = verdicts("sglang", version, [good, [[*good[0], "--no-such-flag"]]], before=NO_KERNELS)
    assert found[0] == {"verdict": "ok", "release": f"sglang {version}"}
    assert "unrecognized arguments: --no-such-flag" in found[1]["why"]


@pytest.mark.engines
def test_an_engine_that_does_not_import_is_no_verdict() -> None:
    found = verdicts("sglang", "0.5.23", [command("sglang/nvidia-tp8-ep8")])
    assert found[0]["verdict"] == "unknown"
    assert "triton" in found[0]["why"]


@pytest.mark.engines
def test_xinference_takes_both_of_the_plans_commands_and_refuses_an_option_it_lacks() -> None:
    good = command("xinference/awq")
    assert len(good) == 2
    found = verdicts("xinference", "4.1.0", [good, [[*good[0], "--no-such-option"]]])
    assert found[0] == {"verdict": "ok", "release": "xinference 4.1.0"}
    assert "No such option: --no-such-option" in found[1]["why"]


def test_an_engine_nobody_knows_is_no_verdict(tmp_path: Path) -> None:
    request = json.dumps({"engine": "other", "commands": [["x"]], "jemalloc": str(tmp_path / "no.so")})
    done = subprocess.run([sys.executable, "-c", CODE.read_text(), request], capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout.strip().removeprefix("BRINGUP-PARSE "))
    expected = {"jemalloc": "there is no such file in the image", "verdict": "unknown", "why": "no parser is known for other"}
    assert answer == expected


def test_what_is_no_library_is_not_preloaded(tmp_path: Path) -> None:
    (tmp_path / "no.so").write_text("text")
    request = json.dumps({"engine": "other", "commands": [], "jemalloc": str(tmp_path / "no.so")})
    done = subprocess.run([sys.executable, "-c", CODE.read_text(), request], capture_output=True, text=True, check=True)
    assert "cannot be preloaded" in done.stdout
