"""The weights' part of prepare through pyinfra itself, on nodes that only repeat what they are told to say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from roles.run.seen import MARK, Seen
from tests.unit.test_weights_probe import checkpoint, look, record

ROOT = Path(__file__).parents[2]
NODES = ("@fake/n0", "@fake/n1")


def said(seen: Seen) -> str:
    """A probe's output again."""
    return "".join(f"{MARK}{s.name} {s.code}\n{s.text}\n" for s in seen.sections.values())


def run(tmp_path: Path, probes: dict[str, str], *more: str) -> subprocess.CompletedProcess[str]:
    hosts = [
        (name, {"replica": f"r{i}", "address": f"10.0.0.1{i}", "nic": "eth0", "fake_delay": 0, "fake_delay_jitter": 0,
                "fake_responses": {"weights_look": probes[name].split("\n")}})
        for i, name in enumerate(NODES)
    ]  # fmt: skip
    data = {"recipe": "lab/a2-single", "model": "MiniMax-M2-lab", "weights": str(tmp_path / "m")}
    inventory = tmp_path / "inventory.py"
    inventory.write_text(f"pair = ({hosts!r}, {data!r})\n")
    words = [str(Path(sys.executable).parent / "pyinfra"), str(inventory), str(ROOT / "tests/lab/deploys/weights.py"), *more]
    return subprocess.run(
        [*words, "--data", f"runs={tmp_path / 'runs'}"], cwd=tmp_path, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


@pytest.fixture
def whole(tmp_path: Path) -> str:
    folder = checkpoint(tmp_path / "m")
    record(folder, tmp_path / "state")
    return said(look(folder, tmp_path / "state"))


@pytest.fixture
def missing(tmp_path: Path) -> str:
    return said(look(tmp_path / "nothing", tmp_path / "state"))


def test_whole_checkpoints_with_their_hashes_are_no_change(tmp_path: Path, whole: str) -> None:
    done = run(tmp_path, dict.fromkeys(NODES, whole), "-y")
    assert done.returncode == 0, done.stderr
    assert re.search(r"Grand total\s+2\s+-\s+-\s+2", done.stdout + done.stderr)


def test_a_dry_run_says_what_would_be_copied_and_asks_for_nothing(tmp_path: Path, whole: str, missing: str) -> None:
    done = run(tmp_path, {NODES[0]: whole, NODES[1]: missing}, "--dry")
    assert done.returncode == 0, done.stderr
    assert re.search(r"would copy 6 of 6 files of \S+, 5\.3 kB, from @fake/n0", done.stderr)


def test_a_node_whose_courier_says_nothing_fails_with_a_sentence_and_nobody_hangs(tmp_path: Path, whole: str, missing: str) -> None:
    done = run(tmp_path, {NODES[0]: whole, NODES[1]: missing}, "-y")
    assert done.returncode == 1
    assert "its courier ended" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
