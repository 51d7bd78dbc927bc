"""The image where Docker's data folder is about to move: it stays behind, so it is fetched again, and the dry run says so."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from roles.image.work import decide, left_in, work
from roles.plan.finding import Finding
from roles.run import checks, remote
from roles.run.checks import Case
from roles.run.seen import Section, Seen, sections
from tests.unit.sources import plan
from tests.unit.test_image import DIGEST_A, MIRROR, NAME, line

ROOT = Path(__file__).parents[2]
MOVED: dict[str, Any] = {"docker": {"data_root": "/data/docker"}}


def case(*roots: str, at: int = 0, **keys: Any) -> Case:
    """A replica whose nodes all have the image; Docker keeps it under these folders (none: not where it can move)."""
    made = plan("vllm-ascend/a2-dual", nodes=len(roots), **keys)
    seen = {n.name: _seen(n.name, root) for n, root in zip(made.nodes, roots, strict=True)}
    node = made.nodes[at]
    return Case(made, made.replicas[0], node, seen[node.name], seen)


def _seen(name: str, root: str) -> Seen:
    host = ("arch=aarch64", f"root={root}", "size=900000000000", "free=500000000000", "on=/")
    return Seen(name, {"image.host": Section("", 0, host), "image.ref": Section("", 0, (line(),)), f"image.reach.{NAME}": Section("", 0)})


def findings(here: Case) -> dict[str, Finding]:
    found = checks.judge(here.plan, here.all)
    return {f.check: f for f in found if f.check.startswith("image.") and f.node == here.node.name}


OLD = "/var/lib/docker"


def test_an_image_that_docker_leaves_behind_is_pulled_again_and_the_dry_run_says_so() -> None:
    here = case(OLD, OLD, **MOVED)
    assert work(here).sources == (NAME, MIRROR)
    assert [c.what for c in decide(here)] == [f"pull {NAME}: Docker leaves it in {OLD}, else from {MIRROR}"]


def test_an_image_that_docker_leaves_behind_is_loaded_from_its_archive_again() -> None:
    here = case(OLD, OLD, image_archive="/srv/x.tar", **MOVED)
    assert [c.what for c in decide(here)] == [f"load {NAME} from /srv/x.tar: Docker leaves it in {OLD}"]


@pytest.mark.parametrize(("root", "keys"), [("/data/docker", MOVED), ("/data/docker/", MOVED), (OLD, {}), ("", MOVED)])
def test_an_image_that_stays_with_docker_is_left_as_it_is(root: str, keys: dict[str, Any]) -> None:
    here = case(root, root, **keys)
    assert (left_in(here), decide(here)) == ("", [])
    assert findings(here)["image.present"].level == "pass"


def test_a_node_whose_folder_moves_takes_what_its_peer_keeps_by_digest() -> None:
    here = case(OLD, "/data/docker", **MOVED)
    assert work(here).sources == (DIGEST_A, NAME, MIRROR)
    assert decide(case(OLD, "/data/docker", at=1, **MOVED)) == []


def test_an_image_that_is_left_behind_is_a_finding_before_and_its_room_and_registry_are_judged() -> None:
    found = findings(case(OLD, OLD, **MOVED))
    present = found["image.present"]
    assert (present.level, present.expected) == ("warn", "pulled")
    assert present.observed == f"{NAME} is in {OLD}, and Docker is to leave that folder"
    assert present.fix == "pyinfra INVENTORY deploy/prepare.py"
    assert {k: found[k].level for k in ("image.same", "image.registry", "image.space")} == {
        "image.same": "skip", "image.registry": "pass", "image.space": "pass",
    }  # fmt: skip
    assert found["image.space"].observed == "500 GB are free on /"


STUB = """#!/bin/sh
case "$1 $4" in
  info*) echo "$INFO" ;;
  image*) echo 'sha256:1 amd64 1 []' ;;
esac
"""


def probe(tmp_path: Path, info: str, data_root: str = "") -> dict[str, Section]:
    """The real probe part, with a stand-in for docker that has the image and says this of itself."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/docker").write_text(STUB)
    (tmp_path / "bin/docker").chmod(0o755)
    values = {"RUNTIME": "docker", "IMAGE": "localhost:9/a:v1", "ARCHIVE": "", "PROXY": "", "MIRRORS": "", "DATA_ROOT": data_root}
    text = remote.script(ROOT / "roles/run/probe.sh", ROOT / "roles/image/probe.sh", values=values)
    env = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "INFO": info}
    return sections(subprocess.run(["sh", "-c", text], env=env, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize(
    ("info", "data_root", "root", "asks"),
    [
        ("/var/lib/docker extfs true", "", "/var/lib/docker", False),
        ("/var/lib/docker extfs true", "/data/docker", "/var/lib/docker", True),
        ("/data/docker extfs true", "/data/docker/", "/data/docker", False),
        ("/var/lib/docker io.containerd.snapshotter.v1", "/data/docker", "", False),
        ("", "/data/docker", "", False),
    ],
)
def test_the_probe_tells_where_the_image_is_and_asks_registries_where_it_stays_behind(
    tmp_path: Path, info: str, data_root: str, root: str, asks: bool
) -> None:
    found = probe(tmp_path, info, data_root)
    assert found["image.host"].pairs["root"] == root
    assert found["image.ref"].ok
    assert ("image.reach.localhost:9/a:v1" in found) == asks
