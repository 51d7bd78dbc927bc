"""The folder: what is in it and proven by its hash, what is on its way, and the manifest that says so."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from roles.weights import manifest
from roles.weights.courier.talk import Talk, Trouble
from roles.weights.manifest import PART, Manifest, Row

CHUNK = 4 << 20


class Shelf:
    """`rows` are files that are whole: hashed, and unchanged since."""

    def __init__(self, folder: Path, record: Path, model: str, talk: Talk) -> None:
        self.folder, self.record_file, self.talk = folder, record, talk
        self.lock = threading.Lock()
        self.done = 0
        self.live = 0
        """Bytes that another program is fetching."""
        self.model, self.source, self.count = model, "", 0
        self.rows: dict[str, Row] = {}

    def open(self) -> None:
        """Rows of an earlier run hold for files that are still the same."""
        try:
            old = manifest.parse(self.record_file.read_text(encoding="utf-8"))
        except OSError:
            return
        self.source, self.count = old.source, old.count
        for name, row in old.rows.items():
            if self._stat(self.folder / name) == (row.size, row.mtime):
                self.rows[name] = row

    def add(self, count: int) -> None:
        with self.lock:
            self.done += count

    def part(self, kind: str, name: str) -> Path:
        """Where a file lies until it is whole."""
        path = self.folder / PART / kind / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def digest(self, path: Path, counted: bool = True) -> str:
        sha = hashlib.sha256()
        self.feed(path, sha, counted)
        return sha.hexdigest()

    def feed(self, path: Path, sha: Any, counted: bool = True) -> int:
        """A file's bytes into a hash."""
        total, buffer = 0, bytearray(CHUNK)
        with path.open("rb", buffering=0) as file:
            while True:
                got = file.readinto(buffer)
                if not got:
                    return total
                sha.update(memoryview(buffer)[:got])
                total += got
                if counted:
                    self.add(got)

    def hash(self, names: list[str]) -> None:
        """Files that are there, several at a time; each is said as soon as it is known."""
        with ThreadPoolExecutor(max(min(8, (os.cpu_count() or 2) // 2), 2)) as pool:
            for job in [pool.submit(self._hash, name) for name in names]:
                job.result()

    def _hash(self, name: str) -> None:
        before = self._stat(self.folder / name)
        try:
            sha = self.digest(self.folder / name)
        except OSError as e:
            raise Trouble(f"{name} cannot be read ({e.strerror})") from None
        if self._stat(self.folder / name) != before:
            raise Trouble(f"{name} changes while it is read; somebody else writes to {self.folder}")
        self.keep(name, sha)

    def keep(self, name: str, sha: str) -> None:
        """A file is whole: noted at once, so that an interrupted run need not hash it again."""
        size, mtime = self._stat(self.folder / name)
        with self.lock:
            self.rows[name] = Row(sha, size, mtime)
            self._write()
        self.talk.say("have", files=[[name, size, sha]])

    def adopt(self, part: Path, name: str, sha: str, linked: bool = False) -> None:
        """Make a proven file visible, at once and for good; `linked` leaves the part where it is."""
        final = self.folder / name
        final.parent.mkdir(parents=True, exist_ok=True)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        if linked:
            second = self.part("link", name)
            second.unlink(missing_ok=True)
            os.link(part, second)
            part = second
        part.chmod(0o644)
        os.replace(part, final)
        self.keep(name, sha)

    def seal(self, source: str, count: int) -> None:
        """All of it is there."""
        shutil.rmtree(self.folder / PART, ignore_errors=True)
        self.note(source, count)
        self.talk.say("bytes", done=self.done)
        self.talk.say("sealed")

    def note(self, source: str, count: int) -> None:
        """What the folder will hold: by that an interrupted run is seen."""
        with self.lock:
            self.source, self.count = source or self.source, count
            self._write()

    def free(self) -> int:
        return shutil.disk_usage(self.folder).free

    def _write(self) -> None:
        text = manifest.written(Manifest(self.rows, self.model, self.source, self.count))
        part = self.record_file.with_name(self.record_file.name + ".part")
        part.write_text(text, encoding="utf-8")
        os.replace(part, self.record_file)

    @staticmethod
    def _stat(path: Path) -> tuple[int, str]:
        try:
            found = path.stat()
        except OSError:
            return -1, ""
        return found.st_size, manifest.mtime(found.st_mtime_ns)
