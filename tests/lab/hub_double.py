"""A double of the Hugging Face hub and of ModelScope, for their real clients: files of a folder, Range, and faults on request.

python -m tests.lab.hub_double FOLDER --repo MiniMaxAI/MiniMax-M2 --bind 10.77.0.1:8090
HF_ENDPOINT=http://10.77.0.1:8090 hf download MiniMaxAI/MiniMax-M2 --local-dir DIR
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CHUNK = 1 << 16


@dataclass
class Faults:
    """What goes wrong; a name is a file's, `*` is every file's."""

    busy: int = 0
    """The next so many downloads answer 429 with Retry-After."""
    flipped: str = ""
    """This file has one byte wrong: its hash is announced right and served wrong."""
    cut: dict[str, int] = field(default_factory=dict)
    """This file's connection breaks after so many bytes, once."""
    missing: str = ""
    """This file answers 404 though it is listed."""
    rate: float = 0
    """Bytes a second, 0 is unlimited."""
    token: str = ""
    """Without this token everything answers 401."""


class HubDouble(ThreadingHTTPServer):
    """Serves one repository from a folder."""

    daemon_threads = True

    def __init__(self, folder: Path, repo: str, bind: tuple[str, int] = ("127.0.0.1", 0), faults: Faults | None = None) -> None:
        super().__init__(bind, _Handler)
        self.folder, self.repo, self.faults = folder, repo, faults or Faults()
        self.requests: Counter[str] = Counter()
        self.ranges: list[str] = []

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def files(self) -> dict[str, Path]:
        return {p.relative_to(self.folder).as_posix(): p for p in sorted(self.folder.rglob("*")) if p.is_file()}

    def __enter__(self) -> HubDouble:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubDouble

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: what was asked is counted instead."""

    def _answer(self, body: bool) -> None:
        path, query = unquote(urlsplit(self.path).path), parse_qs(urlsplit(self.path).query)
        self.server.requests[f"{self.command} {path}"] += 1
        faults, repo = self.server.faults, re.escape(self.server.repo)
        if faults.token and self.headers.get("Authorization") != f"Bearer {faults.token}":
            return self._json({"error": "Invalid credentials"}, 401, body)
        if re.fullmatch(rf"/api/models/{repo}(/revision/[^/]+)?", path):
            siblings = [{"rfilename": name} for name in self.server.files()]
            return self._json(
                {"id": self.server.repo, "modelId": self.server.repo, "sha": COMMIT, "siblings": siblings, "private": False}, 200, body
            )
        if re.match(rf"/api/models/{repo}/tree/", path):
            return self._json([self._entry(name, file) for name, file in self.server.files().items()], 200, body)
        if re.fullmatch(rf"/api/v1/models/{repo}/repo/files", path):
            listed = [self._modelscope(name, file) for name, file in self.server.files().items()]
            return self._json({"Code": 200, "Success": True, "Data": {"Files": listed}}, 200, body)
        if re.fullmatch(rf"/api/v1/models/{repo}/repo", path):
            path = f"/{self.server.repo}/resolve/{query['Revision'][0]}/{query['FilePath'][0]}"
        match = re.fullmatch(rf"/{repo}/resolve/[^/]+/(.+)", path)
        file = self.server.files().get(match.group(1)) if match else None
        if not match or file is None or faults.missing in (match.group(1), "*"):
            return self._json({"error": "Entry not found"}, 404, body, {"X-Error-Code": "EntryNotFound" if match else "RepoNotFound"})
        if body and faults.busy > 0:
            faults.busy -= 1
            return self._json({"error": "Too many requests"}, 429, body, {"Retry-After": "1"})
        return self._file(match.group(1), file, body)

    def _entry(self, name: str, file: Path) -> dict[str, object]:
        digest, size = sha256(file), file.stat().st_size
        return {"type": "file", "path": name, "size": size, "oid": digest[:40], "lfs": {"oid": digest, "size": size, "pointerSize": 134}}

    def _modelscope(self, name: str, file: Path) -> dict[str, object]:
        return {"Path": name, "Name": file.name, "Type": "blob", "Size": file.stat().st_size, "Sha256": sha256(file), "Revision": COMMIT}

    def _file(self, name: str, file: Path, body: bool) -> None:
        faults, data = self.server.faults, file.read_bytes()
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        headers |= {"X-Linked-Size": str(len(data)), "X-Linked-Etag": headers["ETag"]}
        if faults.flipped in (name, "*") and data:
            data = data[:-1] + bytes([data[-1] ^ 1])
        start, status = 0, 200
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if body and asked and int(asked.group(1)) < len(data):
            start, status = int(asked.group(1)), 206
            self.server.ranges.append(f"{name} {start}")
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(data) - start)}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self._send(data[start:], faults.cut.pop(name, None))

    def _send(self, data: bytes, cut: int | None) -> None:
        for at in range(0, len(data), CHUNK):
            piece = data[at : at + CHUNK]
            if cut is not None and at + len(piece) > cut:
                self.wfile.write(piece[: cut - at])
                self.close_connection = True
                return
            self.wfile.write(piece)
            if self.server.faults.rate:
                time.sleep(len(piece) / self.server.faults.rate)

    def _json(self, value: object, status: int, body: bool, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        for key, text in {
            "Content-Type": "application/json",
            "Content-Length": str(len(data)),
            "X-Repo-Commit": COMMIT,
            **(headers or {}),
        }.items():
            self.send_header(key, text)
        self.end_headers()
        if body:
            self.wfile.write(data)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab.hub_double", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repo", required=True)
    parser.add_argument("--bind", default="127.0.0.1:8090")
    args = parser.parse_args()
    host, _, port = args.bind.rpartition(":")
    HubDouble(args.folder, args.repo, (host, int(port))).serve_forever()


if __name__ == "__main__":
    main()
