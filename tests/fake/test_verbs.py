"""Whole verbs on pyinfra's fake connector, with what two real nodes of the lab answered: many nodes, few greenlets, mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PYINFRA = Path(sys.executable).with_name("pyinfra")
PROBES = [(ROOT / "tests" / "fixtures" / "probes" / f"lab-n{i}.txt").read_text(encoding="utf-8") for i in (0, 1)]
KEYS = {"recipe": "lab/a2-dual", "model": "MiniMax-M2-lab", "weights": "/opt/lab/shared/models/chain", "arch": "x86_64"}


def inventory(folder: Path, replicas: int = 1, changed: tuple[str, str] = ("", "")) -> Path:
    """Replicas of two fake nodes that answer as the lab's did; `changed` replaces a text in rank 1's answer."""
    hosts = []
    for r in range(replicas):
        for rank in (0, 1):
            text = PROBES[rank].replace("10.77.0.1", f"10.77.{r}.1").replace(f"10.30.{2 + rank}.", f"10.30.{10 + 2 * r + rank}.")
            text = text.replace(*changed) if rank == 1 and changed[0] else text
            assert rank == 0 or not changed[0] or changed[0] not in text or changed[0] in changed[1]
            answers = {"bringup-probe": [*text.split("\n"), "\x1eend 0"]}
            data = {"rank": rank, "address": f"10.77.{r}.1{rank + 1}", "nic": "enp67s0f0np0", "replica": f"r{r}"}
            hosts.append((f"@fake/n{2 * r + rank}", {**data, "fake_delay": 0, "fake_delay_jitter": 0, "fake_responses": answers}))
    file = folder / "fakes.py"
    file.write_text(f"fakes = ({hosts!r}, {KEYS!r})\n", encoding="utf-8")
    return file


def run(verb: str, file: Path, *words: str) -> tuple[int, str, dict[str, Any]]:
    runs = file.parent / "runs"
    command = [str(PYINFRA), str(file), str(ROOT / "deploy" / f"{verb}.py"), "--data", f"runs={runs}", "--data", "fabric=off", *words]
    done = subprocess.run(command, cwd=file.parent, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=300)
    reports = sorted(runs.glob("fakes/*/report.json"), key=lambda p: p.stat().st_mtime)
    return done.returncode, done.stdout + done.stderr, json.loads(reports[-1].read_text(encoding="utf-8")) if reports else {}


def test_two_healthy_nodes_are_ready(tmp_path: Path) -> None:
    code, text, report = run("check", inventory(tmp_path))
    assert code == 0, text
    assert [f for f in report["findings"] if f["level"] == "fail"] == []
    assert len(report["findings"]) > 80


@pytest.mark.parametrize("verb", ["check", "serve"])
def test_one_greenlet_is_enough(tmp_path: Path, verb: str) -> None:
    """Nothing may wait for another host's turn: pyinfra's --parallel 1 takes them one by one."""
    code, text, _ = run(verb, inventory(tmp_path, replicas=2), "--parallel", "1", "--dry")
    assert code == 0, text


def test_dry_serve_names_every_step_in_order_and_changes_nothing(tmp_path: Path) -> None:
    code, text, report = run("serve", inventory(tmp_path), "--dry")
    assert code == 0, text
    order = ["start rank=0", "listen", "reach", "start rank=1", "follow", "health", "model", "prove"]
    steps = text[text.index("would be started") :]
    places = [steps.index(f": {word}") for word in order]
    assert places == sorted(places)
    assert report["dry"] is True


def test_a_finding_on_one_node_stops_serve_before_any_operation(tmp_path: Path) -> None:
    file = inventory(tmp_path, changed=("operstate=up", "operstate=down"))
    code, text, report = run("serve", file, "-y")
    assert code == 1
    assert "@fake/n1: network.nic: enp67s0f0np0 is down" in text
    assert "Starting operation" not in text
    assert report["failures"][0]["stage"] == "check network.nic"
    assert report["ok"] is False


def test_a_probe_that_breaks_off_is_a_node_that_was_not_reached(tmp_path: Path) -> None:
    file = inventory(tmp_path)
    file.write_text(file.read_text(encoding="utf-8").replace("'\\x1eend 0'", "'cut'"), encoding="utf-8")
    code, text, _ = run("check", file)
    assert code == 1
    assert "its probe stopped" in text


def test_sixty_four_nodes_are_judged_in_one_run(tmp_path: Path) -> None:
    code, text, report = run("check", inventory(tmp_path, replicas=32))
    assert code == 0, text[-2000:]
    assert len(report["nodes"]) == 64
    assert "64" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "skp=node.swap"], 'did you mean "skip"'),
        (["--data", "rank=7"], "rank"),
        (["--data", "skip=node.swp"], 'did you mean "node.swap"'),
        (["--data", "model=MiniMax-M9"], "MiniMax-M9"),
    ],
)
def test_a_mistake_on_the_command_line_is_exit_2_and_one_sentence(tmp_path: Path, words: list[str], said: str) -> None:
    code, text, report = run("check", inventory(tmp_path), *words)
    assert code == 2
    assert said in text
    assert "Traceback" not in text
    assert report == {}


@pytest.mark.parametrize("verb", ["stop", "clean"])
def test_a_node_whose_probe_broke_off_is_not_called_clean(tmp_path: Path, verb: str) -> None:
    file = inventory(tmp_path)
    file.write_text(file.read_text(encoding="utf-8").replace("'\\x1eend 0'", "'cut'"), encoding="utf-8")
    runs = tmp_path / "runs"
    command = [str(PYINFRA), str(file), str(ROOT / "deploy" / f"{verb}.py"), "-y", "--data", f"runs={runs}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 1
    assert "its probe stopped" in done.stderr


def test_a_key_file_that_is_not_there_is_said_before_anything_is_touched(tmp_path: Path) -> None:
    code, text, report = run("check", inventory(tmp_path), "--data", "auth=file:/nowhere/key")
    assert code == 2
    assert "/nowhere/key, which cannot be read" in text
    assert report == {}
