"""Docker on a node that has none: installed without a way out, told the inventory's settings, not restarted under others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import apt, nodes
from tests.lab.conftest import RunningLab
from tests.lab.test_prepare_host import Play, play

pytestmark = pytest.mark.lab
BARE = nodes.Node(44, "a2", bare=True)
SLEEPER = "tar -C / -chf - bin/sleep lib64/ld-linux-x86-64.so.2 lib/x86_64-linux-gnu/libc.so.6 | docker import - sleeper:v1 >/dev/null"
MIRROR = {"mirrors": ["http://mirror.lab:5001"]}
MOVED = {**MIRROR, "data_root": "/srv/docker"}


@pytest.fixture(scope="module")
def bare(lab: RunningLab) -> Iterator[RunningLab]:
    apt.apt_folder(lab.place)
    with lab.added(BARE):
        yield lab


@pytest.fixture
def run(bare: RunningLab, tmp_path: Path) -> Play:
    return lambda rooms, *words, **data: play(bare.place, tmp_path, [BARE], rooms, *words, **data)


def info(lab: RunningLab, template: str) -> str:
    return lab.ssh(BARE.name, f"docker info -f '{template}' 2>/dev/null").strip()


def test_docker_is_installed_once_with_its_settings(bare: RunningLab, run: Play) -> None:
    dry = run("docker", "--dry")
    assert "would install docker.io, ca-certificates with apt" in dry.text
    assert bare.ssh(BARE.name, "command -v docker || echo none").strip() == "none"
    first = run("docker", docker=MIRROR)
    assert (first.code, first.success) == (0, 1), first.text
    assert info(bare, "{{.RegistryConfig.Mirrors}}") == "[http://mirror.lab:5001/]"
    assert bare.ssh(BARE.name, "systemctl is-enabled docker").strip() == "enabled"
    assert run("docker", docker=MIRROR).success == 0


def test_settings_are_merged_and_taken_over_without_a_restart(bare: RunningLab, run: Play) -> None:
    bare.ssh(
        BARE.name,
        """echo '{"log-level": "warn", "registry-mirrors": ["http://theirs"]}' > /etc/docker/daemon.json; systemctl restart docker""",
    )
    bare.ssh(BARE.name, f"{SLEEPER}; docker run -d --name theirs sleeper:v1 /bin/sleep 600")
    merged = run("docker", docker=MIRROR)
    assert (merged.code, merged.success) == (0, 1), merged.text
    file = json.loads(bare.ssh(BARE.name, "cat /etc/docker/daemon.json"))
    assert file == {"log-level": "warn", "registry-mirrors": ["http://theirs", "http://mirror.lab:5001"]}
    assert info(bare, "{{.RegistryConfig.Mirrors}} {{.ContainersRunning}}") == "[http://theirs/ http://mirror.lab:5001/] 1"


def test_a_foreign_container_keeps_docker_from_a_restart(bare: RunningLab, run: Play) -> None:
    before = bare.ssh(BARE.name, "cat /etc/docker/daemon.json")
    stays = run("docker", docker=MOVED)
    assert stays.code == 1
    assert "theirs (sleeper:v1) is not ours and would end: allow it with --data restart_docker=true" in stays.text
    assert "Traceback" not in stays.text
    assert bare.ssh(BARE.name, "cat /etc/docker/daemon.json") == before
    assert info(bare, "{{.ContainersRunning}}") == "1"
    allowed = run("docker", "--data", "restart_docker=true", docker=MOVED, proxy="http://10.77.0.1:3128")
    assert (allowed.code, allowed.success) == (0, 1), allowed.text
    assert info(bare, "{{.DockerRootDir}} {{.HTTPSProxy}}") == "/srv/docker http://10.77.0.1:3128"
    assert info(bare, "{{.NoProxy}}") == f"localhost,127.0.0.1,::1,{bare.place.address(BARE.number)}"


def test_settings_with_which_docker_does_not_start_are_taken_back(bare: RunningLab, run: Play) -> None:
    bare.ssh(BARE.name, "touch /srv/file")
    bad = run("docker", docker={"data_root": "/srv/file"}, proxy="http://10.77.0.1:3128")
    assert bad.code == 1
    assert "Docker does not start with these settings, which are taken back" in bad.text
    assert info(bare, "{{.DockerRootDir}}") == "/srv/docker"


def test_a_file_that_is_no_json_is_left_untouched(bare: RunningLab, run: Play) -> None:
    bare.ssh(BARE.name, "echo '{' > /etc/docker/daemon.json")
    odd = run("docker", docker={"mirrors": ["http://another"]})
    assert odd.code == 1
    assert "/etc/docker/daemon.json is not JSON" in odd.text
    assert bare.ssh(BARE.name, "cat /etc/docker/daemon.json").strip() == "{"
