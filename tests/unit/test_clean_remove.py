"""What clean removes on a node, and what it leaves to others: remove.sh on a tree of files."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from roles.clean import processes as clean
from roles.run import remote


class Node:
    """A node of files on which remove.sh runs, with doubles of systemctl and of a Docker that has one container."""

    def __init__(self, root: Path, mounted: str = "", image: str = "exit 0") -> None:
        self.root, self.models = root, root / "models"
        for name in ("MiniMax-M2", "MiniMax-M2.1", "MiniMax-M2.5", "MiniMax-M2.5-w8a8-QuaRot", "MiniMax-M2.manifests"):
            (self.models / name).mkdir(parents=True)
            (self.models / name / "model.safetensors").write_text("x")
            (self.models / f"{name}.manifest").write_text("# bringup weights 1\n")
        (self.models / "MiniMax-M2.manifest.part").write_text("")
        (self.models / "MiniMax-M2.bak").write_text("the user's own")
        (root / "etc" / "mine").mkdir(parents=True)
        (root / "etc" / "mine" / "r0.env").write_text("VLLM_API_KEY=sk-secret\n")
        self.double("systemctl", "")
        self.double("docker", f'case "$1 $2" in "ps -q") echo 1 ;; inspect*) echo "/theirs {mounted}" ;; "image rm") {image} ;; esac')

    def double(self, name: str, body: str) -> None:
        file = self.root / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)

    def record(self, cluster: str, weights: str) -> None:
        folder = self.root / cluster / "r0"
        folder.mkdir(parents=True)
        (folder / "plan.json").write_text(f'{{"mounts": ["{self.models / weights}:/models"]}}')

    def remove(self, weights: str = "MiniMax-M2", image: str = "") -> tuple[int, str]:
        values = {
            "STATE": self.root, "CONFIG": self.root / "etc", "CLUSTER": "mine", "STOP": 1, "LEFTOVERS": "", "REMOVE_IMAGE": image,
            "REMOVE_WEIGHTS": self.models / weights if weights else "",
        }  # fmt: skip
        env = {**os.environ, "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}"}
        text = remote.script(Path(clean.__file__).with_name("remove.sh"), values=values)
        done = subprocess.run(["sh", "-c", text], env=env, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    def left(self) -> set[str]:
        return {p.name for p in self.models.iterdir()}


NAMED = {"MiniMax-M2", "MiniMax-M2.manifest", "MiniMax-M2.manifest.part"}


def test_only_the_named_weights_are_removed(tmp_path: Path) -> None:
    """M2 is a prefix of M2.1, M2.5 and their quantised forms: they are other models, and may be another cluster's."""
    node = Node(tmp_path, mounted=str(tmp_path / "models" / "MiniMax-M2.5"))
    node.record("theirs", "MiniMax-M2.1")
    before = node.left()
    assert node.remove() == (0, "")
    assert before - node.left() == NAMED


@pytest.mark.parametrize("mounted", ["MiniMax-M2", "", "MiniMax-M2/shards"])
def test_weights_that_a_container_mounts_are_left(tmp_path: Path, mounted: str) -> None:
    node = Node(tmp_path, mounted=str(tmp_path / "models" / mounted))
    assert node.remove() == (1, f"weights {node.models / 'MiniMax-M2'} were left: container theirs uses them\n")
    assert node.left() >= NAMED


def test_a_container_that_sees_the_whole_machine_uses_no_weights(tmp_path: Path) -> None:
    """Exporters and agents mount / or /var."""
    for mounted in ("/", str(tmp_path.parent)):
        node = Node(tmp_path / str(len(mounted)), mounted=mounted)
        assert node.remove() == (0, "")


def test_weights_that_another_clusters_record_names_are_left(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.record("theirs", "MiniMax-M2")
    code, said = node.remove()
    assert (code, "theirs/r0/plan.json uses them" in said) == (1, True)
    assert node.left() >= NAMED


def test_an_image_that_others_use_leaves_no_key_behind(tmp_path: Path) -> None:
    node = Node(tmp_path, image="echo conflict >&2; exit 1")
    assert node.remove(weights="", image="team/engine:1") == (1, "image team/engine:1 was not removed\n")
    assert not (tmp_path / "etc").exists()
