"""The HTTP API of a replica: straight from this machine, or through the SSH connection of its first node."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
import httpx2
from gevent.server import StreamServer

from roles.plan.plan import ReplicaPlan
from roles.run import tls
from roles.run.run import Run


@dataclass(frozen=True)
class Api:
    """Where to ask, and how one gets there."""

    url: str
    client: httpx2.Client
    way: str


@contextmanager
def opened(run: Run, replica: ReplicaPlan, outside: bool = False) -> Iterator[Api]:
    """Proxies of the environment are for other places: cluster addresses are asked directly. `outside`: the proxy, not the engine."""
    head = replica.nodes[0]
    port = int(head.ports["proxy" if outside else "api"])
    certificate = tls.pinned(run.plan) if outside else None
    url, verify = f"{'https' if certificate else 'http'}://{head.address}:{port}", certificate or True
    if _direct(head.address, port):
        with httpx2.Client(trust_env=False, verify=verify) as client:
            yield Api(url, client, "direct")
        return
    transport = _transport(run, head.name)
    if transport is None:
        with httpx2.Client(trust_env=False, verify=verify) as client:
            yield Api(url, client, "direct, though nothing answered")
        return
    folder = Path(tempfile.mkdtemp(prefix="bringup-"))  # 0700: nobody else gets at the socket
    server = _forward(transport, folder / "api.sock", head.address, port)
    try:
        with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(folder / "api.sock"), trust_env=False, verify=verify)) as client:
            yield Api(url, client, f"through SSH to {head.name}")
    finally:
        server.stop(timeout=1)
        shutil.rmtree(folder, ignore_errors=True)


def _direct(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=2).close()
    except OSError:
        return False
    return True


def _transport(run: Run, node: str) -> Any:
    host = run.hosts.get(node)
    client = getattr(getattr(host, "connector", None), "client", None)
    return client.get_transport() if client is not None else None


def _forward(transport: Any, path: Path, address: str, port: int) -> StreamServer:
    """Every connection to the socket is a channel to address:port, opened on the node."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(64)
    listener.setblocking(False)

    def handle(local: Any, _: Any) -> None:
        try:
            channel = transport.open_channel("direct-tcpip", (address, port), ("127.0.0.1", 0), timeout=10)
        except Exception:  # refused over there: the client sees its connection closed
            local.close()
            return
        jobs = [gevent.spawn(_pump, local, channel), gevent.spawn(_pump, channel, local)]
        gevent.joinall(jobs, count=1)
        gevent.joinall(jobs, timeout=1)
        for end in (local, channel):
            with suppress(OSError):
                end.close()

    server = StreamServer(listener, handle)
    server.start()
    return server


def _pump(source: Any, sink: Any) -> None:
    with suppress(OSError, EOFError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
