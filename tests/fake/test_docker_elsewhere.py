"""Docker on systems the lab does not have: the whole deploy on pyinfra's fake connector, with what such a node would answer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from roles.run.seen import MARK

ROOT = Path(__file__).parents[2]
PYINFRA = Path(sys.executable).parent / "pyinfra"
KEYS = {"recipe": "vllm-ascend/a2-single", "model": "MiniMax-M2.5-w8a8-QuaRot", "weights": "/models/M2.5"}


def probe(**host: str) -> list[str]:
    """What a node without Docker says; as a list, for the connector would cut a text at our marks."""
    facts = {"binary": "", "id": "debian", "like": "", "systemd": "yes", "enabled": "", "active": "inactive", **host}
    lines = [f"{k}={v}" for k, v in facts.items()]
    return [f"{MARK}docker.host 0", *lines, f"{MARK}docker.daemon 1", f"{MARK}docker.proxy 1", f"{MARK}end 0"]


def deploy(tmp_path: Path, answers: dict[str, object], *words: str, **keys: object) -> tuple[int, str]:
    """Prepare's Docker alone, on one fake node with these answers."""
    host = {"rank": 0, "address": "10.0.0.11", "nic": "eth0", "fake_delay": 0, "fake_delay_jitter": 0, "fake_responses": answers}
    file = tmp_path / "fake.py"
    file.write_text(f"solo = ([('@fake/n0', {host!r})], { ({**KEYS, **keys})!r})\n")
    command = [str(PYINFRA), str(file), str(ROOT / "tests/lab/deploys/rooms.py"), *words, "--data", f"runs={tmp_path / 'runs'}"]
    env = {**os.environ, "ROOMS": "docker"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ({"id": "openEuler"}, "install docker-ce or moby-engine or moby or docker-engine or docker with dnf"),
        ({"id": "rocky", "like": "rhel centos fedora"}, "install docker-ce with dnf"),
        ({"id": "kylin"}, "install docker-ce or moby-engine or docker-engine or docker with dnf"),
        ({"id": "ubuntu", "like": "debian"}, "install docker.io, ca-certificates with apt"),
    ],
)
def test_each_system_installs_its_own_packages(tmp_path: Path, host: dict[str, str], says: str) -> None:
    answers: dict[str, object] = {"bringup-probe": probe(**host)}
    code, text = deploy(tmp_path, answers, "--dry")
    assert code == 0, text
    assert f"would {says}" in text
    code, text = deploy(tmp_path, answers, "-y")
    assert code == 0, text
    assert says in text


def test_a_repository_without_docker_is_one_red_line(tmp_path: Path) -> None:
    sentence = "none of docker-ce is in a repository of this system; add one that has Docker"
    answers: dict[str, object] = {
        "bringup-docker": {"stdout": [f"why {sentence}"], "success": False},
        "bringup-probe": probe(id="rocky"),
    }
    code, text = deploy(tmp_path, answers, "-y")
    assert code == 1
    assert f"docker: {sentence}" in text
    assert "Traceback" not in text


def test_an_unknown_system_is_one_red_line(tmp_path: Path) -> None:
    code, text = deploy(tmp_path, {"bringup-probe": probe(id="plan9")}, "-y")
    assert code == 1
    assert 'docker: no package of Docker is known for "plan9"' in text
    assert "Traceback" not in text
