"""Between nodes: a server that gives what is proven to whoever has this run's token, and the fetching side, which resumes."""

from __future__ import annotations

import errno
import hashlib
import hmac
import http.client
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from roles.weights.courier.shelf import Shelf

TIMEOUT = 30
PIECE = 1 << 18
"""As much as is lost of a file when its copier is killed."""
FULL = (errno.ENOSPC, errno.EDQUOT)


class Server(ThreadingHTTPServer):
    """Reads only; lives as long as the copy."""

    daemon_threads = True

    def __init__(self, shelf: Shelf, address: str, token: str) -> None:
        super().__init__((address, 0), Handler)
        self.shelf, self.token = shelf, token

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A getter that went away says so itself, if it still can."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = TIMEOUT
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: the token is part of the path."""

    def do_GET(self) -> None:
        _, _, rest = self.path.partition("/")
        token, _, quoted = rest.partition("/")
        name = unquote(quoted)
        row = self.server.shelf.rows.get(name)
        if row is None or not hmac.compare_digest(token.encode(), self.server.token.encode()):
            return self.send_error(404)
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        if start > row.size:
            return self.send_error(416)
        with (self.server.shelf.folder / name).open("rb") as file:
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(row.size - start))
            self.end_headers()
            self.wfile.flush()
            self.connection.settimeout(TIMEOUT)
            sent = self.connection.sendfile(file, start)
        self.close_connection = self.close_connection or sent < row.size - start  # shorter than it was: let the other side know


class Missed(Exception):
    """This file did not come. `kind`: link, hash, space or disk; `got`: bytes that came and are kept."""

    def __init__(self, kind: str, why: str, got: int = 0) -> None:
        super().__init__(why)
        self.kind, self.why, self.got = kind, why, got


class Broken(Exception):
    """The other side, or the way to it."""


def take(shelf: Shelf, name: str, size: int, sha: str, address: str, port: int, token: str) -> None:
    """One file from another node: from where an earlier try ended, visible only when its hash is right."""
    with _disk(name):
        part = shelf.part("copy", name)
        at = part.stat().st_size if part.exists() else 0
        if at > size:
            part.unlink()
            at = 0
        running = hashlib.sha256()
        if at:
            shelf.feed(part, running)
            shelf.talk.say("resumed", name=name, at=at)
    if at < size or not part.exists():
        _fetch(shelf, part, at, size, running, name, (address, port, token))
    if running.hexdigest() != sha:
        part.unlink()
        shelf.add(-size)
        raise Missed("hash", f"{name} arrived with SHA-256 {running.hexdigest()[:12]}, expected {sha[:12]}")
    with _disk(name):
        shelf.adopt(part, name, sha)


def _fetch(shelf: Shelf, part: Path, at: int, size: int, running: Any, name: str, source: tuple[str, int, str]) -> None:
    address, port, token = source
    link = http.client.HTTPConnection(address, port, timeout=TIMEOUT)
    got = 0
    try:
        answer = _asked(link, name, at, token)
        buffer = bytearray(PIECE)
        with _disk(name), part.open("ab", buffering=0) as file:
            while at + got < size:
                count = _read(answer, buffer)
                if not count:
                    raise Missed("link", f"the connection broke {size - at - got} bytes before the end of {name}", got)
                piece = memoryview(buffer)[:count]
                _write(file, piece)
                running.update(piece)
                got += count
                shelf.add(count)
    except Broken as e:
        raise Missed("link", f"{name} from {address}:{port}: {e}", got) from None
    finally:
        link.close()


def _asked(link: http.client.HTTPConnection, name: str, at: int, token: str) -> http.client.HTTPResponse:
    try:
        link.request("GET", f"/{token}/{quote(name)}", headers={"Range": f"bytes={at}-"} if at else {})
        answer = link.getresponse()
    except (OSError, http.client.HTTPException) as e:
        raise Broken(_words(e)) from None
    if answer.status != (206 if at else 200):
        raise Broken(f"answered with {answer.status}")
    return answer


def _read(answer: http.client.HTTPResponse, buffer: bytearray) -> int:
    try:
        return answer.readinto(buffer)
    except (OSError, http.client.HTTPException) as e:
        raise Broken(_words(e)) from None


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _write(file: Any, piece: memoryview) -> None:
    """A raw file may take less than it is given."""
    while piece:
        piece = piece[file.write(piece) :]


@contextmanager
def _disk(name: str) -> Iterator[None]:
    """What goes wrong here is this node's own; another source does not help."""
    try:
        yield
    except OSError as e:
        if e.errno in FULL:
            raise Missed("space", f"no space left for {name} ({e.strerror})") from None
        raise Missed("disk", f"{name} cannot be written ({e.strerror})") from None
