"""The image's own engine is asked about the plan's command: a real vLLM takes what the plan writes, and refuses what it no longer knows."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import nodes
from tests.lab.conftest import RunningLab
from tests.lab.engine.build import REFERENCE, build
from tests.lab.test_prepare_host import ROOT, inventory, play

pytestmark = [pytest.mark.lab, pytest.mark.long]
NODE = nodes.Node(45, "a2")


@pytest.fixture(scope="module")
def node(lab: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    build(lab.place)
    with lab.added(NODE):
        pulled = play(lab.place, tmp_path_factory.mktemp("pull"), [NODE], "image", image=REFERENCE)
        assert pulled.code == 0, pulled.text
        yield lab


def check(lab: RunningLab, folder: Path, **data: object) -> str:
    file = inventory(lab.place, folder / "inventory.py", [NODE], image=REFERENCE, **data)
    command = [str(Path(sys.executable).parent / "pyinfra"), str(file), str(ROOT / "deploy/check.py"), "--data", f"runs={folder / 'runs'}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return done.stdout


def test_the_real_engine_takes_the_plans_command(node: RunningLab, tmp_path: Path) -> None:
    table = [line.split() for line in check(node, tmp_path).splitlines()]
    assert ["image.command", "ok"] in table
    assert ["image.jemalloc", "ok"] in table
    assert node.ssh(NODE.name, "docker ps -aq").strip() == "", "nothing is left of the question"


def test_the_real_engine_refuses_a_flag_it_lost(node: RunningLab, tmp_path: Path) -> None:
    said = check(node, tmp_path, version="0.18.0", flags={"max-num-partial-prefills": 2})
    assert "image.command: refused: unrecognized arguments: --max-num-partial-prefills 2" in said
