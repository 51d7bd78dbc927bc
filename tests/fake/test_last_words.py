"""How a failing serve ends on pyinfra's fake connector: with one verdict of the doctor, before any start and without asking a node."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fake.test_verbs import inventory, run

PULL = "Error response from daemon: manifest for x.example:5000/y:1 not found: manifest unknown: manifest unknown"


def verdicts(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("doctor: replica ")]


def without_image(folder: Path) -> Path:
    """Nodes that lack the image, and whose pull ends as Docker's does for a tag that is not there."""
    file = inventory(folder)
    text = file.read_text(encoding="utf-8")
    assert "\\x1eimage.ref 0" in text
    failing = {"stdout": ["from x.example:5000/y:1", PULL], "success": False}
    text = text.replace("\\x1eimage.ref 0", "\\x1eimage.ref 1").replace("'bringup-probe'", f"'bringup-image': {failing!r}, 'bringup-probe'")
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("word", ["-y", "--dry"])
def test_a_blocked_serve_ends_with_what_blocks_it(tmp_path: Path, word: str) -> None:
    code, text, report = run("serve", inventory(tmp_path, changed=("operstate=up", "operstate=down")), word)
    assert code == 1
    (line,) = verdicts(text)
    assert line.endswith("nothing of it was started: 1 check fails: @fake/n1: network.nic: enp67s0f0np0 is down")
    assert report["facts"]["report.doctor"]["r0"]["what"] == "blocked"


def test_half_a_replica_ends_with_which_half_is_missing(tmp_path: Path) -> None:
    code, text, report = run("serve", inventory(tmp_path), "-y", "--limit", "@fake/n0")
    assert code == 1
    (line,) = verdicts(text)
    assert "nothing of it was started: @fake/n1: whole: replica r0 is not whole: @fake/n1 (left out by --limit)" in line
    assert report["facts"]["report.doctor"]["r0"]["do"] == ["reach all its nodes, or leave out --limit"]


def test_a_pull_that_fails_ends_with_its_cause_and_what_to_do(tmp_path: Path) -> None:
    code, text, report = run("serve", without_image(tmp_path), "-y", "--data", "image=x.example:5000/y:1")
    assert code == 1, text
    assert report["failures"][0]["stage"] == "image"
    (line,) = verdicts(text)
    assert line == "doctor: replica r0: @fake/n0 (rank 0): the image is not on the node and cannot be pulled (image-not-pulled)"
    assert text.index("seen       this run: image: ") > text.index(line)
    assert "Traceback" not in text


def test_of_many_replicas_three_are_told(tmp_path: Path) -> None:
    file = inventory(tmp_path, replicas=5)
    file.write_text(file.read_text(encoding="utf-8").replace("'\\x1eend 0'", "'cut'"), encoding="utf-8")
    code, text, _ = run("serve", file, "-y")
    assert code == 1
    assert len(verdicts(text)) == 3
    assert "doctor: 2 more failed (r3, r4); " in text


@pytest.mark.parametrize(("verb", "words"), [("check", []), ("prepare", ["-y"])])
def test_other_verbs_end_without_a_verdict(tmp_path: Path, verb: str, words: list[str]) -> None:
    code, text, _ = run(verb, inventory(tmp_path, changed=("operstate=up", "operstate=down")), *words)
    assert code == 1
    assert verdicts(text) == []


def test_prepare_whose_pull_fails_ends_without_a_verdict(tmp_path: Path) -> None:
    code, text, _ = run("prepare", without_image(tmp_path), "-y", "--data", "image=x.example:5000/y:1")
    assert code == 1
    assert verdicts(text) == []
