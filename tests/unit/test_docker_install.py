"""The script that changes Docker, run with stand-ins for the system's commands: what it calls, in which order, what it takes back."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from roles.docker import role
from roles.run import remote

STANDINS = {
    "systemctl": '[ "$1 $2" != "$REFUSES" ]',
    "journalctl": "echo 'failed to start daemon: it is so'",
    "docker": 'echo \'{"Mirrors":["http://m/"]} /var/lib/docker\'',
    "apt-get": '[ ! -e "$ROOT/locked" ] || { rm "$ROOT/locked"; echo "E: Could not get lock /var/lib/apt/lists/lock"; exit 100; }',
    "dpkg-query": 'echo "$CONTAINERD"',
    "dnf": 'case "$*" in "-q list"*) case " $HAS " in *" $4 "*) ;; *) exit 1 ;; esac ;; esac',
    "sleep": ":",
}


class Node:
    """A folder instead of a machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.daemon = root / "etc/docker/daemon.json"
        self.proxy = root / "etc/systemd/system/docker.service.d/bringup-proxy.conf"
        (root / "bin").mkdir()
        for name, body in STANDINS.items():
            file = root / "bin" / name
            file.write_text(f'#!/bin/sh\necho "{name} $*" >> "$ROOT/calls"\n{body}\n')
            file.chmod(0o755)

    def apply(self, **values: str) -> tuple[remote.Done, list[str]]:
        """The script with these values; what it said and what it called."""
        names = ("DAEMON", "DAEMON_CHANGES", "PROXY", "PROXY_CHANGES", "INSTALL", "PACKAGES", "ENABLE", "ACTION", "EXPECT")
        given = {**dict.fromkeys(names, ""), "DAEMON_FILE": self.daemon, "PROXY_FILE": self.proxy}
        env = {"PATH": f"{self.root / 'bin'}:/usr/bin:/bin", "ROOT": str(self.root), "REFUSES": "", "CONTAINERD": "", "HAS": ""}
        env |= {k: v for k, v in values.items() if k in env}
        text = remote.script(remote.APT, role.SCRIPT, values={**given, **{k: v for k, v in values.items() if k not in env}})
        done = subprocess.run(["sh", "-c", text], env=env, capture_output=True, text=True, check=False)
        calls = (self.root / "calls").read_text().splitlines()
        return remote.Done(done.returncode, tuple((done.stdout + done.stderr).splitlines())), calls


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_apt_installs_without_questions_and_waits_for_dpkg(node: Node) -> None:
    done, calls = node.apply(INSTALL="apt", PACKAGES="docker.io ca-certificates", ENABLE="yes", ACTION="start")
    assert done.ok, done.text
    apt = [c for c in calls if c.startswith("apt-get")]
    assert apt[0].endswith("update")
    assert "install --no-install-recommends docker.io ca-certificates" in apt[1]
    assert "-o DPkg::Lock::Timeout=120" in apt[1]
    assert calls.index("systemctl enable -q docker.service") < calls.index("systemctl start docker.service")


def test_apt_update_waits_while_another_one_is_at_work(node: Node) -> None:
    (node.root / "locked").touch()
    done, calls = node.apply(INSTALL="apt", PACKAGES="docker.io", ACTION="start")
    assert done.ok
    assert [c.split()[-1] for c in calls if c.startswith(("apt-get", "sleep"))] == ["update", "5", "update", "docker.io"]


def test_dockers_own_packages_are_taken_where_its_containerd_is_there(node: Node) -> None:
    _, calls = node.apply(INSTALL="apt", PACKAGES="docker.io", ACTION="start", CONTAINERD="install ok installed")
    assert any(c.endswith("install --no-install-recommends docker-ce docker-ce-cli ca-certificates") for c in calls)


def test_dnf_takes_the_first_package_a_repository_has_and_never_podman(node: Node) -> None:
    done, calls = node.apply(INSTALL="dnf", PACKAGES="docker-ce moby-engine docker", ACTION="start", HAS="moby-engine docker")
    assert done.ok
    assert [c for c in calls if "install" in c] == ["dnf -y install --exclude=podman-docker moby-engine"]


def test_a_system_whose_repositories_lack_docker_is_a_sentence(node: Node) -> None:
    done, _ = node.apply(INSTALL="dnf", PACKAGES="docker-ce", ACTION="start")
    assert role.why(done) == "none of docker-ce is in a repository of this system; add one that has Docker"


def test_the_files_are_there_before_dockers_first_start(node: Node) -> None:
    node.apply(DAEMON='{"a": 1}\n', DAEMON_CHANGES="yes", PROXY="[Service]\n", PROXY_CHANGES="yes", ACTION="start")
    assert node.daemon.read_text() == '{"a": 1}\n'
    assert node.proxy.read_text() == "[Service]\n"
    assert sorted(p.name for p in node.daemon.parent.iterdir()) == ["daemon.json"]


def test_a_daemon_that_does_not_start_gets_its_former_file_back(node: Node) -> None:
    node.daemon.parent.mkdir(parents=True)
    node.daemon.write_text('{"former": 1}')
    done, calls = node.apply(DAEMON="{}\n", DAEMON_CHANGES="yes", ACTION="restart", REFUSES="restart docker.service")
    assert role.why(done) == "Docker does not start with these settings, which are taken back: failed to start daemon: it is so"
    assert node.daemon.read_text() == '{"former": 1}'
    assert calls[-1] == "systemctl start docker.service"


def test_settings_the_daemon_does_not_take_over_are_taken_back(node: Node) -> None:
    done, calls = node.apply(DAEMON="{}\n", DAEMON_CHANGES="yes", ACTION="reload", EXPECT="http://m http://other")
    assert role.why(done).startswith("Docker did not take over http://other, and the files are as they were")
    assert not node.daemon.exists()
    assert calls.count("systemctl reload docker.service") == 2


def test_a_proxy_file_is_removed(node: Node) -> None:
    node.proxy.parent.mkdir(parents=True)
    node.proxy.write_text("x")
    done, _ = node.apply(PROXY_CHANGES="yes", ACTION="restart", EXPECT="http://m")
    assert done.ok
    assert not node.proxy.exists()
