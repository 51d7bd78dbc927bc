"""The scripts of the proxy, run with stand-ins for the system's commands: what they call, what they write and for whom."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from roles.plan import container, proxy
from roles.proxy import role
from roles.run import remote
from roles.run.checks import Case
from roles.run.seen import Section, Seen
from tests.unit.proxy_bench import certificate
from tests.unit.sources import plan

STANDINS = {
    "systemctl": '[ "$1 $2" != "$REFUSES" ] || exit 1; case "$*" in "-q is-active"*) [ -n "$ACTIVE" ] ;; esac',
    "journalctl": "echo 'nginx: [emerg] bind() to 0.0.0.0:8080 failed (98: Address already in use)'",
    "apt-get": 'case "$*" in *" update") [ ! -e "$ROOT/locked" ] || { rm "$ROOT/locked"; echo "E: Could not get lock"; exit 100; } ;; '
    '*) [ -z "$BROKEN" ] || { echo "E: Unable to locate package nginx"; exit 100; }; cp "$ROOT/bin/sleep" "$ROOT/nginx" ;; esac',
    "dnf": 'cp "$ROOT/bin/sleep" "$ROOT/nginx"',
    "sleep": ":",
}
SECRETS = {"key": "# the key: sk-1\n", "crt": "a chain\n", "pem": "a private key\n"}


class Node:
    """A folder instead of a machine."""

    def __init__(self, root: Path, port: int) -> None:
        self.root, self.port = root, port
        self.etc = root / "etc/bringup/test"
        self.unit = root / "etc/systemd/system/bringup-test-r0-proxy.service"
        (root / "bin").mkdir()
        for name, body in STANDINS.items():
            file = root / "bin" / name
            file.write_text(f'#!/bin/sh\necho "{name} $*" >> "$ROOT/calls"\n{body}\n')
            file.chmod(0o755)

    def sized(self, texts: dict[str, str]) -> str:
        return " ".join(f"{self.etc}/r0.proxy.{kind}:{len(text)}" for kind, text in texts.items())

    def run(self, script: Path, secrets: dict[str, str], **values: str) -> tuple[remote.Done, list[str]]:
        """A script with these values and secrets; what it said and what it called."""
        env = {"PATH": f"{self.root / 'bin'}:/usr/bin:/bin", "ROOT": str(self.root), "REFUSES": "", "ACTIVE": "", "BROKEN": ""}
        env |= {k: v for k, v in values.items() if k in env}
        given = {
            "UNIT": "bringup-test-r0-proxy", "UNIT_FILE": self.unit, "UNIT_TEXT": "[Unit]\n", "CONF": self.etc / "r0.proxy.conf",
            "CONF_TEXT": "events {}\n", "FILES": self.sized(secrets), "STALE": "", "REMOVE": "", "INSTALL": "",
            "NGINX": self.root / "nginx", "PORT": self.port, **{k: v for k, v in values.items() if k not in env},
        }  # fmt: skip
        text = remote.script(remote.APT, script, values=given)
        (self.root / "calls").write_text("")
        done = subprocess.run(["sh", "-c", f"umask 000; {text}"], env=env, input="".join(secrets.values()).encode(), capture_output=True)
        calls = (self.root / "calls").read_text().splitlines()
        return remote.Done(done.returncode, tuple((done.stdout + done.stderr).decode().splitlines())), calls

    def apply(self, secrets: dict[str, str] | None = None, **values: str) -> tuple[remote.Done, list[str]]:
        return self.run(role.APPLY, secrets or {}, **values)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        one = Node(tmp_path, listening.getsockname()[1])
        (tmp_path / "nginx").touch(mode=0o755)
        yield one


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o777)


def test_secret_files_are_their_owners_only_whatever_the_umask_says(node: Node) -> None:
    done, _ = node.apply(SECRETS)
    assert done.ok, done.text
    for kind, text in SECRETS.items():
        assert (node.etc / f"r0.proxy.{kind}").read_text() == text
        assert mode(node.etc / f"r0.proxy.{kind}") == "0o600"
    assert mode(node.etc / "r0.proxy.conf") == mode(node.unit) == "0o644"
    assert not list(node.root.rglob("*.bringup-new"))
    for folder in (node.etc, node.unit.parent):
        assert mode(folder) == "0o755"


def test_no_secret_is_in_what_is_called_or_said(node: Node) -> None:
    done, calls = node.apply(SECRETS)
    for text in SECRETS.values():
        assert text.strip() not in "\n".join([*calls, *done.lines])


def test_apt_installs_it_while_its_own_site_cannot_start(node: Node) -> None:
    (node.root / "nginx").unlink()
    (node.root / "locked").touch()
    done, calls = node.apply(INSTALL="apt-get")
    assert done.ok, done.text
    short = [
        c.replace("-q -y -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold ", "")
        for c in calls
    ]
    assert short[:7] == [
        "systemctl mask -q --runtime nginx.service",
        "apt-get update",
        "sleep 5",
        "apt-get update",
        "apt-get install --no-install-recommends nginx",
        "systemctl unmask -q --runtime nginx.service",
        "systemctl disable -q nginx.service",
    ]


def test_an_nginx_that_was_there_is_left_as_it_is(node: Node) -> None:
    _, calls = node.apply()
    assert not [c for c in calls if "nginx.service" in c]


def test_a_package_that_is_not_to_be_had_is_a_sentence_and_nothing_stays_masked(node: Node) -> None:
    (node.root / "nginx").unlink()
    done, calls = node.apply(INSTALL="apt-get", BROKEN="yes")
    assert role.why(done) == "apt-get could not install nginx: E: Unable to locate package nginx"
    assert calls[-1] == "systemctl unmask -q --runtime nginx.service"
    assert not node.unit.exists()


def test_dnf_installs_it_too(node: Node) -> None:
    (node.root / "nginx").unlink()
    done, calls = node.apply(INSTALL="dnf")
    assert done.ok, done.text
    assert calls[0] == "dnf -y install nginx"


@pytest.mark.parametrize(("active", "unit", "action"), [("", "[Unit]\n", "start"), ("1", "[Unit]\n", "reload"), ("1", "old\n", "restart")])
def test_it_is_reloaded_where_that_is_enough(node: Node, active: str, unit: str, action: str) -> None:
    node.unit.parent.mkdir(parents=True)
    node.unit.write_text(unit)
    done, calls = node.apply(ACTIVE=active)
    assert done.ok, done.text
    assert calls[-1] == f"systemctl {action} bringup-test-r0-proxy.service"
    assert "systemctl enable -q bringup-test-r0-proxy.service" in calls


def test_why_nginx_does_not_start_is_said(node: Node) -> None:
    done, _ = node.apply(REFUSES="start bringup-test-r0-proxy.service")
    assert role.why(done) == "nginx does not start: bind() to 0.0.0.0:8080 failed (98: Address already in use)"


def test_files_of_a_former_plan_go(node: Node) -> None:
    node.apply(SECRETS)
    done, _ = node.apply(STALE=f"{node.etc}/r0.proxy.crt {node.etc}/r0.proxy.pem")
    assert done.ok
    assert sorted(p.name for p in node.etc.iterdir()) == ["r0.proxy.conf", "r0.proxy.key"]


def test_removed_nothing_of_it_is_left(node: Node) -> None:
    node.apply(SECRETS)
    every = " ".join(str(node.etc / f"r0.proxy.{kind}") for kind in ("conf", *SECRETS))
    done, calls = node.apply(REMOVE=every)
    assert done.ok, done.text
    assert calls[0] == "systemctl disable -q --now bringup-test-r0-proxy.service"
    assert not node.etc.exists()
    assert not node.unit.exists()


def test_secret_files_are_compared_on_the_node_and_only_the_answer_comes_back(node: Node) -> None:
    node.apply(SECRETS)
    done, _ = node.run(role.COMPARE, SECRETS)
    assert list(done.lines) == [f"same {node.etc}/r0.proxy.{kind}" for kind in SECRETS]
    changed = {"key": SECRETS["key"].upper(), "crt": SECRETS["crt"] + "\n", "pem": SECRETS["pem"]}
    os.chmod(node.etc / "r0.proxy.crt", 0o600)
    done, _ = node.run(role.COMPARE, changed)
    assert list(done.lines) == [f"same {node.etc}/r0.proxy.pem"]


def test_a_secret_file_that_others_can_read_is_not_as_it_should_be(node: Node) -> None:
    node.apply(SECRETS)
    os.chmod(node.etc / "r0.proxy.key", 0o644)
    (node.etc / "r0.proxy.crt").unlink()
    done, _ = node.run(role.COMPARE, SECRETS)
    assert [line for line in done.lines if line.startswith("same")] == [f"same {node.etc}/r0.proxy.pem"]


def test_the_role_writes_what_it_later_finds_as_it_should_be(node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way of the secrets: from this machine's files, by stdin, to files of root, and back as a word."""
    crt, pem = certificate(tmp_path, "given")
    secret = tmp_path / "api-key"
    secret.write_text("sk-planted'$\n")
    made = plan("sglang/nvidia-tp4", expose="proxy", auth=f"file:{secret}", tls={"cert": crt, "key": pem})
    monkeypatch.setattr(container, "CONFIG", str(tmp_path / "etc" / "bringup"))
    monkeypatch.setattr(role, "unit_file", lambda case: str(node.unit))
    told: list[str] = []

    def sh(text: str, secret: str) -> remote.Done:
        env = {"PATH": f"{node.root / 'bin'}:/usr/bin:/bin", "ROOT": str(node.root), "REFUSES": "", "ACTIVE": "", "BROKEN": ""}
        done = subprocess.run(["sh", "-c", text], env=env, input=secret.encode(), capture_output=True, check=False)
        told.append(text + done.stdout.decode() + done.stderr.decode())
        return remote.Done(done.returncode, tuple(done.stdout.decode().splitlines()))

    monkeypatch.setattr(remote, "run", lambda state, host, name, text, secret="", **_: sh(text, secret))
    run: Any = SimpleNamespace(
        plan=made, state=None, cancel=None, once=lambda _, work: work(), call=lambda host, name, text, secret="", **_: sh(text, secret)
    )

    def seen() -> Case:
        conf = Path(proxy.file("test", "r0", "conf"))
        host = (f"nginx={node.root / 'nginx'}", "systemd=yes")
        text = Section("", 0, tuple(conf.read_text().splitlines())) if conf.exists() else Section("", 1)
        known = Seen(made.nodes[0].name, {"proxy.host": Section("", 0, host), "proxy.conf": text})
        return Case(made, made.replicas[0], made.nodes[0], known)

    port = made.nodes[0].ports
    port["proxy"] = node.port
    before = role._same(run, None, seen())  # type: ignore[arg-type]
    assert dict(before) == {"key": False, "crt": False, "pem": False}
    assert role._apply(run, None, seen(), [], before) == ""  # type: ignore[arg-type]
    assert {p.name: mode(p) for p in node.etc.iterdir()} == {
        "r0.proxy.conf": "0o644", "r0.proxy.key": "0o600", "r0.proxy.crt": "0o600", "r0.proxy.pem": "0o600",
    }  # fmt: skip
    assert dict(role._same(run, None, seen())) == {"key": True, "crt": True, "pem": True}  # type: ignore[arg-type]
    secret.write_text("sk-another\n")
    assert dict(role._same(run, None, seen())) == {"key": False, "crt": True, "pem": True}  # type: ignore[arg-type]
    private = Path(pem).read_text().splitlines()[1]
    assert not [text for text in told if "sk-planted" in text or "sk-another" in text or private in text]
