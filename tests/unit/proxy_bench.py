"""The distribution's nginx with our configuration on loopback, and a stand-in for the engine behind it."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from roles.plan import proxy
from roles.plan.plan import Plan, make
from roles.plan.source import Source
from roles.proxy import config
from tests import nginx

NGINX = nginx.found()
PIECES, PAUSE = 5, 0.2


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


def behind_nginx(recipe: str = "lab/a2-single", **keys: Any) -> Plan:
    """A plan of one node on loopback; nothing of it is run but the proxy."""
    host = ("127.0.0.1", {"rank": 0, "address": "127.0.0.1", "nic": "lo"})
    ports = {"api": free_port(), "proxy": free_port(), **keys.pop("ports", {})}
    model = "MiniMax-M2.1" if recipe.startswith("sglang/") else "MiniMax-M2-lab"
    data = {"recipe": recipe, "model": model, "weights": "/m", "ssh_strict_host_key_checking": "yes", "expose": "proxy", "ports": ports}
    return make(Source("test.py", "test", (host,), {**data, **keys}))


@dataclass
class Engine:
    """Answers as an engine does, and remembers what it was asked."""

    port: int
    asked: list[tuple[str, str, dict[str, str], int]] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[Engine]:
        engine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.headers.get("Transfer-Encoding") == "chunked":
                    while size := int(self.rfile.readline(), 16):
                        body += self.rfile.read(size + 2)[:-2]
                    self.rfile.readline()
                engine.asked.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, len(body)))
                if self.path.startswith("/v1/stream"):
                    self.stream()
                else:
                    text = f"{self.path} {len(body)}".encode()
                    self.send_response(418 if "teapot" in self.path else 200)
                    self.send_header("Content-Length", str(len(text)))
                    self.end_headers()
                    self.wfile.write(text)

            def stream(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for n in range(PIECES):
                    self.wfile.write(b"%x\r\n%s\r\n" % (9, b"data: %d\n\n" % n))
                    time.sleep(PAUSE)
                self.wfile.write(b"0\r\n\r\n")

            do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_HEAD = answer

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()


@dataclass
class Front:
    """One nginx of our own."""

    plan: Plan
    folder: Path
    key: str = ""

    @property
    def port(self) -> int:
        return int(self.plan.nodes[0].ports["proxy"])

    @property
    def said(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def write(self) -> Path:
        """The texts as a node gets them, with this folder in place of the node's."""
        replica = self.plan.replicas[0]
        text = config.conf(self.plan, replica).replace(config.folder(self.plan, replica), str(self.folder / "run"))
        for kind in ("key", "crt", "pem"):
            text = text.replace(proxy.file("test", "r0", kind), str(self.folder / kind))
        (self.folder / "run").mkdir(parents=True, exist_ok=True)
        if self.key:
            (self.folder / "key").write_text(config.asked(self.key), encoding="utf-8")
        conf = self.folder / "conf"
        conf.write_text(text, encoding="utf-8")
        return conf

    def accepted(self) -> str:
        """Nothing when nginx takes the configuration, else what it says."""
        done = subprocess.run([str(NGINX), "-t", "-q", "-c", str(self.write())], capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else done.stderr

    @contextmanager
    def running(self) -> Iterator[Front]:
        conf = self.write()
        with (self.folder / "log").open("w") as log:
            process = subprocess.Popen([str(NGINX), "-c", str(conf), "-g", "daemon off;"], stderr=log, stdin=subprocess.DEVNULL)
        try:
            for _ in range(100):
                with socket.socket() as s:
                    if s.connect_ex(("127.0.0.1", self.port)) == 0:
                        break
                assert process.poll() is None, self.said
                time.sleep(0.05)
            yield self
        finally:
            process.terminate()
            process.wait(10)

    def raw(self, head: bytes, body: bytes = b"") -> bytes:
        """What comes back for these very bytes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as s:
            s.sendall(head + body)
            parts = []
            while part := s.recv(65536):
                parts.append(part)
        return b"".join(parts)

    def status(self, target: str, *headers: str) -> int:
        lines = [f"GET {target} HTTP/1.1", "Host: x", "Connection: close", *headers]
        answer = self.raw("\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape"))
        return int(answer.split(b" ", 2)[1])


def certificate(folder: Path, name: str = "own", days: int = 2) -> tuple[str, str]:
    """A self-signed certificate and its key; with negative days one whose time is over."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    end = datetime.now(timezone.utc) + timedelta(days=days)
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(end - timedelta(days=9)).not_valid_after(end)
    crt, pem = folder / f"{name}.crt", folder / f"{name}.pem"
    crt.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    pem.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    pem.chmod(0o600)
    return str(crt), str(pem)
