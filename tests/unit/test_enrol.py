"""python -m roles.enrol against real SSH servers on loopback: what it shows, asks, writes and refuses."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import paramiko
import pytest

from roles.enrol.places import places
from roles.plan.errors import PlanError
from roles.plan.source import Source
from tests.unit.enrol_bench import FOLDER, KINDS, ROOT, Bench, Server, mode

Said = pytest.CaptureFixture[str]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "keys").mkdir()
    FOLDER[:] = [tmp_path / "keys"]
    one = Bench(tmp_path)
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        yield one
    for server in one.servers:
        server.close()


def test_all_nodes_are_shown_and_written_for_the_owner_only(bench: Bench, capsys: Said) -> None:
    servers = [bench.node() for _ in range(3)]
    assert bench.run("-y") == 0
    out, err = capsys.readouterr()
    for server in servers:
        assert f"[127.0.0.1]:{server.port}" in out
        assert server.keys[0].fingerprint in out  # type: ignore[attr-defined]
    assert out.count("  NEW\n") == 3
    assert err == ""
    assert [line.split()[0] for line in bench.lines()] == [f"[127.0.0.1]:{s.port}" for s in servers]
    assert (mode(bench.known), mode(bench.known.parent)) == ("0o600", "0o700")


def test_a_second_run_changes_nothing_and_asks_nothing(bench: Bench, capsys: Said) -> None:
    bench.node()
    assert bench.run("-y") == 0
    before = bench.known.stat()
    capsys.readouterr()
    assert bench.run() == 0
    assert capsys.readouterr().out.endswith("  known\n")
    assert (bench.known.stat().st_mtime_ns, bench.known.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_pyinfra_trusts_what_was_written(bench: Bench) -> None:
    server = bench.node("rsa", "ecdsa", "ed25519")
    assert bench.run("-y") == 0
    with paramiko.SSHClient() as client:
        client.load_host_keys(str(bench.known))
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        with pytest.raises(paramiko.AuthenticationException):  # the key passed; nobody is let in without one of his own
            client.connect("127.0.0.1", server.port, username="x", password="y", allow_agent=False, look_for_keys=False)


def test_without_a_terminal_it_says_add_y_and_writes_nothing(bench: Bench, capsys: Said) -> None:
    bench.node()
    assert bench.run() == 2
    out, err = capsys.readouterr()
    assert "SHA256:" in out
    assert "add -y" in err
    assert not bench.known.exists()


def test_a_changed_key_is_refused_with_both_fingerprints_until_it_is_named(bench: Bench, capsys: Said) -> None:
    server, other = bench.node(), bench.node()
    assert bench.run("-y") == 0
    old = server.keys[0]
    server.keys = [KINDS["ed25519"]()]
    other.keys = [KINDS["ed25519"]()]
    before = bench.lines()
    capsys.readouterr()
    assert bench.run("-y") == 1
    err = capsys.readouterr().err
    assert f"{old.fingerprint}; either it was installed anew" in err  # type: ignore[attr-defined]
    assert server.keys[0].fingerprint in err  # type: ignore[attr-defined]
    assert "--replace node0" in err
    assert bench.lines() == before
    assert bench.run("-y", "--replace", "node0") == 1, "the other one is still refused"
    assert bench.run("-y", "--replace", "node1") == 0
    assert len(bench.lines()) == 2


def test_the_kind_of_key_that_is_known_is_asked_for_first(bench: Bench, capsys: Said) -> None:
    server = bench.node("rsa", "ed25519")
    rsa = server.keys[0]
    bench.known.parent.mkdir()
    bench.known.write_text(f"[127.0.0.1]:{server.port} {rsa.get_name()} {rsa.get_base64()}\n")
    assert bench.run() == 0
    assert "ssh-rsa" in capsys.readouterr().out
    server.keys = [KINDS["ed25519"]()]
    assert bench.run("-y") == 1, "it no longer has the key that is known"


def test_lines_of_others_stay_as_they_are_byte_for_byte(bench: Bench) -> None:
    bench.node()
    theirs = b"# \xff not UTF-8\ngithub.com ssh-ed25519 AAAA\n@cert-authority *.x ssh-rsa AAAA\n\n"
    bench.known.parent.mkdir()
    bench.known.write_bytes(theirs)
    assert bench.run("-y") == 0
    assert bench.known.read_bytes().startswith(theirs)


def test_a_link_goes_on_to_point_where_it_did(bench: Bench) -> None:
    bench.node()
    real = bench.folder / "real"
    real.write_text("")
    bench.known.parent.mkdir()
    bench.known.symlink_to(real)
    assert bench.run("-y") == 0
    assert bench.known.is_symlink()
    assert real.read_text().count("\n") == 1


def test_a_node_that_does_not_answer_is_one_sentence_and_the_others_are_written(bench: Bench, capsys: Said) -> None:
    good = bench.node()
    gone = bench.node()
    gone.close()
    bench.hosts.append(("odd", {"ssh_hostname": "no-such-host.invalid"}))
    with socket.create_server(("127.0.0.1", 0)) as mute:
        Thread(target=lambda: mute.accept()[0].sendall(b"HTTP/1.1 400 Bad\r\n" * 50), daemon=True).start()
        bench.hosts.append(("web", {"ssh_hostname": "127.0.0.1", "ssh_port": mute.getsockname()[1]}))
        assert bench.run("-y") == 1
    err = capsys.readouterr().err.splitlines()
    assert f"node1: nothing listens at 127.0.0.1 port {gone.port}" in err
    assert any(line.startswith("odd: the name no-such-host.invalid is not known") or line.startswith("odd: no-such-host") for line in err)
    assert any(line.startswith("web: 127.0.0.1 port ") and "does not speak SSH" in line for line in err)
    assert len(err) == 3
    assert [line.split()[0] for line in bench.lines()] == [f"[127.0.0.1]:{good.port}"]


def test_machines_copied_from_one_disk_are_noticed(bench: Bench, capsys: Said) -> None:
    one, two = bench.node(), bench.node()
    two.keys = one.keys
    assert bench.run("-y") == 0
    assert "node0, node1 have the same key" in capsys.readouterr().err


def test_a_revoked_key_is_never_written(bench: Bench, capsys: Said) -> None:
    server = bench.node()
    bench.known.parent.mkdir()
    bench.known.write_text(f"@revoked * {server.keys[0].get_name()} {server.keys[0].get_base64()}\n")
    assert bench.run("-y", "--replace", "node0") == 1
    assert "marked @revoked" in capsys.readouterr().err
    assert len(bench.lines()) == 1


@pytest.mark.parametrize(("answer", "code", "count"), [("y", 0, 1), ("n", 1, 0), ("", 1, 0)])
def test_at_a_terminal_it_asks(bench: Bench, answer: str, code: int, count: int) -> None:
    bench.node()
    upper, lower = pty.openpty()
    words = [sys.executable, "-m", "roles.enrol", bench.write()]
    process = subprocess.Popen(words, cwd=ROOT, stdin=lower, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    os.write(upper, f"{answer}\n".encode())
    out, _ = process.communicate(timeout=60)
    os.close(lower)
    os.close(upper)
    assert process.returncode == code
    assert "trust this key and write to" in out
    assert "on its own console" in out
    assert bench.known.exists() == bool(count)


def test_another_file_can_be_named(bench: Bench) -> None:
    bench.node()
    other = bench.folder / "other"
    assert bench.run("-y", "--known-hosts", str(other)) == 0
    assert not bench.known.exists()
    assert other.read_text().count("\n") == 1


def test_a_file_that_cannot_be_written_is_a_sentence(bench: Bench, capsys: Said) -> None:
    bench.node()
    (bench.folder / "file").write_text("")
    assert bench.run("-y", "--known-hosts", str(bench.folder / "file" / "known_hosts")) in (1, 2)
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert "cannot be" in err
    bench.known.mkdir(parents=True)
    assert bench.run("-y") == 2
    assert "expected a known_hosts file" in capsys.readouterr().err


def test_an_unknown_name_to_replace_is_exit_2_with_a_near_miss(bench: Bench, capsys: Said) -> None:
    bench.node()
    assert bench.run("-y", "--replace", "node7") == 2
    assert 'did you mean "node0"' in capsys.readouterr().err


def test_the_ssh_configuration_says_where_a_node_is_as_for_pyinfra(bench: Bench) -> None:
    server = bench.node()
    config = bench.folder / "config"
    config.write_text(f"Host node0\n  HostName 127.0.0.1\n  Port {server.port}\n  UserKnownHostsFile {bench.known} /nowhere/more\n")
    bench.hosts = [("node0", {"ssh_config_file": str(config)})]
    del bench.data["ssh_known_hosts_file"]
    assert bench.run("-y") == 0
    assert bench.lines()[0].startswith(f"[127.0.0.1]:{server.port} ")


def test_without_any_setting_it_is_the_users_own_file(bench: Bench) -> None:
    bench.node()
    del bench.data["ssh_known_hosts_file"]
    assert bench.run("-y") == 0
    assert (bench.folder / "home" / ".ssh" / "known_hosts").exists()


def test_a_node_behind_a_jump_host_is_asked_through_it(bench: Bench, capsys: Said) -> None:
    """OpenSSH makes the jump, with the jump host's own entry in known_hosts."""
    server = bench.node()
    hop = Server(KINDS["ed25519"](), forwards=True)
    bench.servers.append(hop)
    theirs, config = bench.folder / "hops", bench.folder / "config"
    theirs.write_text(f"[127.0.0.1]:{hop.port} {hop.keys[0].get_name()} {hop.keys[0].get_base64()}\n")
    config.write_text(
        f"Host node0\n  HostName 127.0.0.1\n  Port {server.port}\n  ProxyJump me@jump\n"
        f"Host jump\n  HostName 127.0.0.1\n  Port {hop.port}\n  UserKnownHostsFile {theirs}\n  GlobalKnownHostsFile /dev/null\n"
    )
    config.chmod(0o600)
    bench.hosts = [("node0", {"ssh_config_file": str(config)})]
    assert bench.run("-y") == 0
    assert f"node0 ([127.0.0.1]:{server.port}) through me@jump" in capsys.readouterr().out
    assert hop.calls == 1
    theirs.write_text("")
    assert bench.run() == 1
    assert "was not reached through me@jump: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("host", "says"),
    [
        (("n0", {"ssh_port": "x"}), "\"ssh_port\" is 'x', expected a port number"),
        (("n0", {"ssh_port": 70000}), '"ssh_port" is 70000'),
        (("n0", {"ssh_port": True}), '"ssh_port" is True'),
        (("n0", {"ssh_hostname": 7}), '"ssh_hostname" is 7, expected text'),
        (("a,b", {}), "SSH would ask 'a,b', expected a host name"),
        (("n0", {"ssh_hostname": "*"}), "SSH would ask '*'"),
        (("n0", {"ssh_config_file": "/nowhere/config"}), "/nowhere/config, which is not there"),
    ],
)
def test_what_the_inventory_cannot_mean_is_a_sentence(bench: Bench, host: tuple[str, dict[str, Any]], says: str) -> None:
    with pytest.raises(PlanError) as e:
        list(places(Source("x.py", "x", (host,), {})))
    assert says in e.value.problems[0]
    assert e.value.problems[0].startswith(f'x.py: x: "{host[0]}": ')


def test_a_jump_hosts_name_cannot_be_an_option(bench: Bench) -> None:
    config = bench.folder / "config"
    for hop in ("-oProxyCommand=id", "a;id", "$(id)"):
        config.write_text(f"Host *\n  ProxyJump {hop}\n")
        named = bench.folder / f"config-{len(hop)}"
        config.rename(named)
        with pytest.raises(PlanError, match="ProxyJump names"):
            list(places(Source("x.py", "x", (("n0", {"ssh_config_file": str(named)}),), {})))


def test_nodes_that_ssh_does_not_reach_have_no_key(bench: Bench, capsys: Said) -> None:
    bench.hosts = [("@local", {}), ("@docker/x", {})]
    assert bench.run() == 0
    assert "@local: not reached by SSH" in capsys.readouterr().out
