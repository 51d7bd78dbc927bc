"""The scripts on hosts that are noisier and older than the lab's: a .bashrc that prints, a systemctl without -P, an awk of 2020."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from roles.run import remote
from roles.run.seen import MARK, sections
from roles.serve import unit
from tests.lab.double.running import until
from tests.unit.sources import plan

ROLES = unit.HERE.parent
PLAN = plan("vllm-ascend/a2-dual")
REPLICA = PLAN.replicas[0]
NODE = REPLICA.nodes[0]
BIG = 3_600_000_000
OLD_SYSTEMCTL = """\
#!/bin/sh
for word; do case $word in -P) echo "systemctl: invalid option -- 'P'" >&2; exit 1 ;; esac; done
case "$*" in
  is-active*) echo active ;;
  is-enabled*) echo enabled ;;
  *ActiveEnterTimestamp*) echo 'Mon 2026-11-30 10:00:00 UTC' ;;
  *SubState*) echo running ;;
  *MainPID*) cat "$PIDFILE" ;;
esac
"""


class SshChannel:
    """A double of paramiko's channel: what sshd does with a command, in a shell of this machine that thinks it came by SSH."""

    def __init__(self, home: Path) -> None:
        self.home, self.seconds = home, 1.0
        self.process: subprocess.Popen[bytes]

    def set_combine_stderr(self, _: bool) -> None: ...

    def exec_command(self, command: str) -> None:
        env = {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "SSH_CLIENT": "127.0.0.1 1 22",
            "SSH_CONNECTION": "127.0.0.1 1 127.0.0.1 22",
        }
        self.process = subprocess.Popen(
            ["bash", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, bufsize=0
        )
        assert self.process.stdin
        assert self.process.stdout
        self.into, self.out = self.process.stdin, self.process.stdout

    def sendall(self, data: bytes) -> None:
        self.into.write(data)

    def settimeout(self, seconds: float) -> None:
        self.seconds = seconds

    def recv(self, size: int) -> bytes:
        if not select.select([self.out], [], [], self.seconds)[0]:
            raise socket.timeout  # noqa: UP041 - as paramiko does
        return os.read(self.out.fileno(), size)

    def shutdown_write(self) -> None:
        self.into.close()

    def recv_exit_status(self) -> int:
        return self.process.wait(10)

    def get_transport(self) -> Any:
        return SimpleNamespace(is_active=lambda: True)


@pytest.fixture
def noisy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A host whose login shell says something before each command, without an end of line at the last."""
    (tmp_path / ".bashrc").write_text("echo Welcome to node-7\necho 'bash: warning: setlocale' >&2\nprintf 'no newline'\n")
    client = SimpleNamespace(get_transport=lambda: SimpleNamespace(open_session=lambda timeout: SshChannel(tmp_path)))
    monkeypatch.setattr(remote, "_command", lambda state, host, argv: remote._quoted(argv).get_raw_value())
    return SimpleNamespace(name="n0", connector=SimpleNamespace(client=client))


def test_what_a_login_shell_prints_is_no_part_of_an_answer(noisy: Any) -> None:
    done = remote.run(None, noisy, "bringup-key", 'IFS= read -r key; echo "$key"; echo last\n', secret="sk-REAL\n", limit=20)
    assert done == remote.Done(0, ("sk-REAL", "last"))


def test_an_inner_bash_is_as_quiet(noisy: Any) -> None:
    with Engine() as port:
        text = remote.script(ROLES / "run" / "probe.sh", ROLES / "serve" / "probe.sh", values=probe_values(port))
        found = sections(remote.run(None, noisy, "bringup-probe", text, limit=30).text)
    assert found["health"].text == "200"


def test_where_the_script_never_began_what_was_said_is_the_reason(noisy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_command", lambda *_: "echo 'sudo: a password is required' >&2; exit 1")
    done = remote.run(None, noisy, "bringup-probe", "echo never\n", limit=20)
    assert done.code == 1
    assert done.said.endswith("sudo: a password is required")


class Engine:
    """A double of an engine's health and metrics, with more tokens than 2^31."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"ok" if self.path == "/health" else b'vllm:generation_tokens_total{engine="0",model="m"} 3.6e+09\n'
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    def __enter__(self) -> int:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self.server.server_address[1]

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def probe_values(port: int) -> dict[str, object]:
    return {**unit.values(PLAN, REPLICA, NODE), "ADDRESS": "127.0.0.1", "HEAD": "127.0.0.1", "API": port, "RUNTIME": "venv", "SECRETS": ""}


@pytest.fixture
def old(tmp_path: Path) -> dict[str, str]:
    """The environment of a host with systemd 239."""
    (tmp_path / "systemctl").write_text(OLD_SYSTEMCTL)
    (tmp_path / "systemctl").chmod(0o755)
    (tmp_path / "journalctl").write_text("#!/bin/sh\n")
    (tmp_path / "journalctl").chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PIDFILE": str(tmp_path / "pid")}


def sh(text: str, env: dict[str, str], seconds: float = 20) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", text], env=env, capture_output=True, text=True, timeout=seconds, check=False)


def test_an_old_systemctl_tells_what_the_unit_does(old: dict[str, str]) -> None:
    text = remote.script(ROLES / "run" / "probe.sh", ROLES / "serve" / "probe.sh", values=probe_values(1))
    pairs = sections(sh(text, old).stdout)["unit"].pairs
    assert {k: pairs[k] for k in ("active", "enabled", "sub", "since")} == {
        "active": "active", "enabled": "enabled", "sub": "running", "since": "Mon 2026-11-30 10:00:00 UTC",
    }  # fmt: skip


def test_a_gate_waits_for_a_unit_that_an_old_systemctl_calls_active(old: dict[str, str]) -> None:
    values = {**probe_values(1), "HOW": "listen", "AT": "127.0.0.1", "PORT": 1, "LIMIT": 1}
    assert sh(remote.script(unit.HERE / "gate.sh", values=values), old).returncode == 11, "late, and not dead"


def test_a_stop_sees_that_a_unit_still_runs(old: dict[str, str]) -> None:
    done = sh(remote.script(unit.HERE / "stop.sh", values=probe_values(1)), old)
    assert (done.returncode, done.stdout) == (1, f"unit {probe_values(1)['UNIT']}.service is still active\n")


@pytest.fixture
def large() -> Iterator[int]:
    """A process with 2.2 GiB resident, as any real engine's from its first shard on."""
    code = "import time; a = bytearray(2200 << 20); a[::4096] = b'x' * len(a[::4096]); print('up', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


def test_a_log_is_followed_beside_an_engine_of_more_than_two_gib(old: dict[str, str], large: int, tmp_path: Path) -> None:
    """mawk 1.3.4-20200120 (Debian 11 and 12, Ubuntu 20.04 and 22.04) prints such sums as 2.3e+09, and dash ends on that."""
    assert shutil.which("mawk"), "mawk is what this is about: apt-get install mawk"
    (tmp_path / "awk").symlink_to(shutil.which("mawk") or "")
    (tmp_path / "pid").write_text(str(large))
    folder = tmp_path / PLAN.cluster / REPLICA.name
    folder.mkdir(parents=True)
    (folder / "engine.log").write_text("loads\n")
    text = remote.script(unit.HERE / "follow.sh", values={**probe_values(1), "STATE": tmp_path, "UNIT": "bringup-none"})
    said = tmp_path / "said"
    with said.open("w") as out:
        process = subprocess.Popen(
            ["sh", "-c", text.replace("sleep 1\n", "sleep 0.1\n")], env=old, stdout=out, stderr=out, start_new_session=True
        )
    try:
        assert until(lambda: "alive" in said.read_text() or process.poll() is not None, 15)
        assert process.poll() is None, said.read_text()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    line = next(line for line in said.read_text().split("\n") if line.startswith(f"{MARK}alive"))
    assert int(line.split()[2]) > 2200 << 20


def test_counters_above_two_to_the_31_are_counted(tmp_path: Path) -> None:
    with Engine() as port:
        words = f"SECRETS= HEAD=127.0.0.1 API={port} RANK_HEADER= METRICS=/metrics folder={tmp_path}\n. {unit.HERE}/alive.sh\ncounted"
        done = subprocess.run(["bash", "-uc", words], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == f"0={BIG} "
    words = f". {unit.HERE}/alive.sh\nmoved 0 '0={BIG} ' '0={BIG + 1} ' && echo moved"
    assert subprocess.run(["bash", "-uc", words], capture_output=True, text=True, check=True).stdout == "moved\n"
