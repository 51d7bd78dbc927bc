"""A bare node has no Docker at all, and can install a real one without a way out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab import apt, nodes
from tests.lab.conftest import RunningLab
from tests.lab.double_image import double_image

pytestmark = pytest.mark.lab
BARE = nodes.Node(20, "a2", bare=True)
OWN = '{"insecure-registries": ["registry.lab:5000"], "log-driver": "json-file"}'


@pytest.fixture(scope="module")
def bare(lab: RunningLab) -> Iterator[str]:
    apt.apt_folder(lab.place)
    with lab.added(BARE):
        yield BARE.name


def test_nothing_of_docker_is_there(lab: RunningLab, bare: str) -> None:
    script = """
        for p in docker.io containerd runc tini; do dpkg-query -W -f '${Package}\n' $p 2>/dev/null; done
        for c in docker dockerd containerd runc; do command -v $c; done
        getent group docker; ls -d /etc/docker /lib/systemd/system/docker.service 2>/dev/null; systemctl cat docker 2>/dev/null
        systemctl is-system-running --wait"""
    assert lab.ssh(bare, script).split() == ["running"]


def test_the_other_packages_are_those_of_every_node(lab: RunningLab, bare: str) -> None:
    lists = [set(lab.ssh(n, "dpkg-query -W -f '${Package}\\n'").split()) for n in (bare, "n0")]
    assert (lists[0] - lists[1], lists[1] - lists[0]) == (set(), {"docker.io", "containerd", "runc", "tini"})


def test_the_folder_is_the_only_source_of_packages(lab: RunningLab, bare: str) -> None:
    assert lab.ssh(bare, "cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || :").split("\n")[:-1] == [
        "deb [trusted=yes] file:/opt/lab/shared/apt ./"
    ]
    assert lab.ssh(bare, "touch /opt/lab/shared/apt/x 2>&1 || :").strip().endswith("Read-only file system")


def test_docker_is_installed_from_it_runs_and_pulls(lab: RunningLab, bare: str) -> None:
    lab.ssh(bare, "apt-get update -qq && apt-get install -y -qq docker.io", user="root")
    assert lab.ssh(bare, "systemctl is-active docker; systemctl is-enabled docker").split() == ["active", "enabled"]
    run = f"docker run --rm --privileged --network host {double_image(lab.place)} vllm --version 2>/dev/null"
    assert lab.ssh(bare, f"{run}; docker info -f '{{{{.Driver}}}}'").split() == ["0.32.0", "overlay2"]


def test_a_daemon_json_of_the_operator_does_not_meet_the_labs_own_flags(lab: RunningLab, bare: str) -> None:
    script = (
        f"mkdir -p /etc/docker; echo '{OWN}' > /etc/docker/daemon.json; systemctl restart docker; docker info -f '{{{{.LoggingDriver}}}}'"
    )
    assert lab.ssh(bare, script).strip() == "json-file"
    assert lab.ssh(bare, f"docker pull -q {double_image(lab.place)}; docker run --rm --privileged {double_image(lab.place)} true; echo $?")


def test_the_lab_knows_which_of_its_nodes_are_bare(lab: RunningLab, bare: str) -> None:
    assert nodes.named(lab.place, bare) == BARE
    assert not nodes.named(lab.place, "n0").bare


def test_the_folder_is_made_once(lab: RunningLab, bare: str) -> None:
    index = apt.apt_folder(lab.place) / "Packages"
    before = index.stat().st_mtime_ns
    assert (apt.apt_folder(lab.place) / "Packages").stat().st_mtime_ns == before
