"""python -m roles.plan and a verb under pyinfra build the same plan."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYINFRA = Path(sys.executable).parent / "pyinfra"
FAKE = """\
from pyinfra import config

config.FAIL_PERCENT = 0

pair = (
    [
        ("@fake/n0", {"rank": 0, "address": "10.0.0.11", "nic": "eth0", "fake_delay": 0, "fake_delay_jitter": 0}),
        ("@fake/n1", {"rank": 1, "address": "10.0.0.12", "nic": "eth0", "fake_delay": 0, "fake_delay_jitter": 0}),
    ],
    {"recipe": "vllm-ascend/a2-dual", "model": "MiniMax-M2.5", "weights": "/models/M2.5", "env": {"A": "x y"}, "mounts": ["/a:/b:ro"]},
)
"""
SETTINGS = [
    [],
    ["model=MiniMax-M2.7"],
    ["flags.max-num-seqs=64", "firewall=true"],
    ['flags={"seed": 3, "async-scheduling": null}', "ports.api=9000"],
    ["devices=[0, 1, 2, 3, 4, 5, 6, 7]", "version=0.20.2rc1", "env.N=1.50"],
    ["env.T=True", "env.T=text", "variants=responses"],
]


def by_file(path: Path, settings: list[str]) -> str:
    words = [w for s in settings for w in ("--set", s)]
    done = subprocess.run(
        [sys.executable, "-m", "roles.plan", str(path), "--json", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: str = json.loads(done.stdout)["hash"]
    return found


def by_pyinfra(path: Path, settings: list[str], cwd: Path) -> set[str]:
    words = [w for s in settings for w in ("--data", s)]
    command = [str(PYINFRA), str(path), str(ROOT / "tests/fake/print_hash.py"), "-y", *words]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    found = re.findall(r"plan @fake/\S+ ([0-9a-f]{24})", done.stdout + done.stderr)
    assert found, done.stdout + done.stderr
    return set(found)


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: " ".join(s) or "plain")
def test_both_doors_give_one_hash(settings: list[str], tmp_path: Path) -> None:
    path = tmp_path / "pair.py"
    path.write_text(FAKE)
    assert by_pyinfra(path, settings, tmp_path) == {by_file(path, settings)}


@pytest.mark.parametrize("path", sorted((ROOT / "inventories").glob("*.py")), ids=lambda p: p.stem)
def test_every_sample_inventory_gives_one_hash(path: Path, tmp_path: Path) -> None:
    """With the fake connector in front of each host's name, so that nothing is connected to."""
    copy = tmp_path / path.name
    copy.write_text(re.sub(r'^(        \()"([\d.]+)", \{', r'\1"@fake/\2", {"fake_delay": 0, ', path.read_text(), flags=re.MULTILINE))
    assert by_pyinfra(copy, [], tmp_path) == {by_file(copy, [])}
