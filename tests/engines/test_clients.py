"""The engines' own benchmark clients take the command lines that bench runs."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from roles.bench import command
from tests.engines import environment
from tests.unit.sources import plan, recipes

pytestmark = pytest.mark.engines
CLIENTS = Path(__file__).with_name("clients.py")
TOOLS = {"vllm": "vllm-bench", "sglang": "sglang-bench"}


def refusals(engine: str, version: str, commands: list[list[str]]) -> list[str]:
    wish = os.environ.get("BRINGUP_ENGINES", "")
    if wish == "off":
        pytest.skip("BRINGUP_ENGINES=off")
    try:
        python = environment.python_of(f"{engine}-{version}")
    except environment.Unavailable as why:
        if wish == "required":
            pytest.fail(f"BRINGUP_ENGINES=required, but {why}", pytrace=False)
        pytest.skip(str(why))
    done = subprocess.run(
        [str(python), str(CLIENTS), engine], input=json.dumps(commands), capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(("engine", "version"), [("vllm", "0.18.0"), ("vllm", "0.32.0"), ("sglang", "0.5.7"), ("sglang", "0.5.23")])
def test_a_client_takes_every_command_line_and_refuses_a_typo(engine: str, version: str) -> None:
    entries = [b for recipe in recipes() for b in plan(recipe).bench if b["tool"] == TOOLS[engine]]
    points = [*command.points(entries, "t", 7), *command.points(entries, "t", 7, sweep=(1, 16), prompts=64)]
    commands = [p.words for p in points]
    assert len(commands) > len(entries) > 3
    *said, typo = refusals(engine, version, [*commands, [*commands[0], "--max-concurency", "4"]])
    assert said == [""] * len(commands)
    assert "max-concurency" in typo
