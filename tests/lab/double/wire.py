"""The double's own protocol between its processes: one JSON object a line, over TCP between nodes, over files of /tmp inside one."""

from __future__ import annotations

import json
import os
import select
import socket
import tempfile
import threading
import time
import uuid
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from . import procs

Message = dict[str, Any]


class Wire:
    """One connection; safe to send from several threads."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = b""
        self.waiting: deque[Message] = deque()
        self.lock = threading.Lock()
        self.closed = False
        procs.OWN.append(sock)

    def fileno(self) -> int:
        return self.sock.fileno()

    def send(self, **message: Any) -> bool:
        """False when the other side is gone."""
        try:
            with self.lock:
                self.sock.sendall(json.dumps(message).encode() + b"\n")
        except (OSError, ValueError):
            return False
        return True

    def read(self) -> list[Message] | None:
        """What has arrived, after a wait for something; None when the other side is gone."""
        try:
            data = self.sock.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            return None
        *lines, self.buffer = (self.buffer + data).split(b"\n")
        try:
            return [m for m in map(json.loads, lines) if isinstance(m, dict)]
        except ValueError:
            return None  # not one of ours: a port scan, a browser

    def next(self, timeout: float) -> Message | None:
        """The next message; None after the time. EOFError when the other side is gone."""
        deadline = time.monotonic() + timeout
        while not self.waiting:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                return None
            found = self.read()
            if found is None:
                raise EOFError
            self.waiting.extend(found)
        return self.waiting.popleft()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            if self.sock in procs.OWN:
                procs.OWN.remove(self.sock)
            self.sock.close()


def pair() -> tuple[Wire, Wire]:
    ours, theirs = socket.socketpair()
    return Wire(ours), Wire(theirs)


def hidden(env: Mapping[str, str]) -> str:
    """A new address inside the node, as vLLM makes them: a file in the temporary folder."""
    return f"ipc://{env.get('VLLM_RPC_BASE_PATH') or tempfile.gettempdir()}/{uuid.uuid4()}"


def free(host: str, env: Mapping[str, str]) -> str:
    """An address on `host` at a port nobody told us: any free one, or from VLLM_PORT upwards."""
    port = int(env.get("VLLM_PORT", 0))
    return f"tcp://{host}:{port}"


def listen(address: str, upwards: bool = False) -> tuple[socket.socket, str]:
    """A listening socket and its real address; `upwards` goes to the next port while one is taken."""
    kind, _, place = address.partition("://")
    if kind == "ipc":
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(place)
    else:
        host, _, text = place.rpartition(":")
        port = int(text)
        while True:
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((host, port))
                break
            except OSError:
                sock.close()
                if not upwards or not port:
                    raise
                port += 1
        address = f"tcp://{host}:{sock.getsockname()[1]}"
    sock.listen(128)
    procs.OWN.append(sock)
    return sock, address


def shut(sock: socket.socket, address: str) -> None:
    """Closes a listening socket and removes its file."""
    if sock in procs.OWN:
        procs.OWN.remove(sock)
    sock.close()
    if address.startswith("ipc://"):
        with suppress(OSError):
            os.unlink(address[6:])


def connect(address: str, seconds: float) -> Wire | None:
    """Tries until somebody answers, as ZeroMQ does; None after the time."""
    kind, _, place = address.partition("://")
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        sock = socket.socket(socket.AF_UNIX if kind == "ipc" else socket.AF_INET, socket.SOCK_STREAM)
        sock.settimeout(left)
        try:
            host, _, port = place.rpartition(":")
            sock.connect(place if kind == "ipc" else (host, int(port)))
            sock.settimeout(None)
            return Wire(sock)
        except OSError:
            sock.close()
            time.sleep(min(0.05, max(left, 0)))
    return None
