"""Real SSH servers on loopback with host keys of any kind, and an inventory of them."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import paramiko

from roles.enrol.__main__ import main

ROOT = Path(__file__).parents[2]
KINDS: dict[str, Callable[[], paramiko.PKey]] = {
    "ed25519": lambda: paramiko.Ed25519Key(filename=str(_made("ed25519"))),
    "ecdsa": lambda: paramiko.ECDSAKey.generate(bits=256),
    "rsa": lambda: paramiko.RSAKey.generate(2048),
}
FOLDER: list[Path] = []


def _made(kind: str) -> Path:
    path = FOLDER[0] / f"{kind}-{len(list(FOLDER[0].iterdir()))}"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", path], check=True)
    return path


class Doorman(paramiko.ServerInterface):
    """Lets everyone in, and on to where they ask to be forwarded: a jump host."""

    def check_auth_none(self, username: str) -> int:
        return paramiko.AUTH_SUCCESSFUL

    def get_allowed_auths(self, username: str) -> str:
        return "none"

    def check_channel_direct_tcpip_request(self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]) -> int:
        self.destination = destination
        return paramiko.OPEN_SUCCEEDED


class Server:
    """An sshd of a few lines, with these host keys."""

    def __init__(self, *keys: paramiko.PKey, forwards: bool = False) -> None:
        self.keys = list(keys)
        self.forwards = forwards
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]
        self.calls = 0
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self.listening.accept()
            except OSError:
                return
            self.calls += 1
            Thread(target=self._talk, args=(sock,), daemon=True).start()

    def _talk(self, sock: socket.socket) -> None:
        transport = paramiko.Transport(sock)
        for key in self.keys:
            transport.add_server_key(key)
        doorman = Doorman()
        try:
            transport.start_server(server=doorman)
            channel = transport.accept(20) if self.forwards else None
            if channel is not None:
                with socket.create_connection(doorman.destination) as onward:
                    back = Thread(target=_pump, args=(onward, channel), daemon=True)
                    back.start()
                    _pump(channel, onward)
                    back.join(5)
        except (paramiko.SSHException, EOFError, OSError):
            pass

    def close(self) -> None:
        with suppress(OSError):
            self.listening.shutdown(socket.SHUT_RDWR)  # else the thread that waits for a caller takes one more
        self.listening.close()


def _pump(source: Any, sink: Any) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass


class Bench:
    """Servers, an inventory of them, a known_hosts of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known = folder / "ssh" / "known_hosts"
        self.hosts: list[tuple[str, dict[str, Any]]] = []
        self.data: dict[str, Any] = {"recipe": "vllm-ascend/a3", "model": "MiniMax-M2.5", "ssh_known_hosts_file": str(self.known)}
        self.servers: list[Server] = []

    def node(self, *kinds: str, name: str = "127.0.0.1", **more: Any) -> Server:
        server = Server(*(KINDS[k]() for k in kinds or ("ed25519",)))
        self.servers.append(server)
        self.hosts.append((f"node{len(self.hosts)}", {"ssh_hostname": name, "ssh_port": server.port, **more}))
        return server

    def write(self) -> str:
        file = self.folder / "inventory.py"
        file.write_text(f"site = ({self.hosts!r}, {self.data!r})\n", encoding="utf-8")
        return str(file)

    def run(self, *words: str) -> int:
        return main([self.write(), *words])

    def lines(self) -> list[str]:
        return self.known.read_text(encoding="utf-8").splitlines()


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o777)
