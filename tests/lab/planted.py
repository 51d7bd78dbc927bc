"""Secrets that were planted, looked for everywhere: on a node, on this machine, in what was said, and in process lists meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from roles.doctor import bundle
from tests.lab.conftest import RunningLab
from tests.lab.verbs import Ran

PLACES = ("/etc", "/var/lib/bringup", "/var/log", "/var/spool", "/var/tmp", "/run", "/tmp", "/root", "/home", "/dev/shm", "/srv")
"""All but the system's own programs and Docker's folders, which hold a container's environment for root."""
WALK = """\
import os, sys
places = sys.argv[1:]
needles = [line.encode() for line in sys.stdin.read().split("\\n") if line]
for place in places:
    for folder, below, names in os.walk(place):
        below[:] = [b for b in below if os.path.join(folder, b) not in ("/run/docker", "/run/containerd")]
        for name in names:
            path = os.path.join(folder, name)
            try:
                if os.path.islink(path) or not os.path.isfile(path):
                    continue
                with open(path, "rb") as file:
                    text = file.read(64 << 20)
            except OSError:
                continue
            for number, needle in enumerate(needles):
                if needle in text:
                    print(number, oct(os.stat(path).st_mode & 0o777)[2:], os.stat(path).st_uid, path)
"""
WATCH = "while [ -e /lab/watching ]; do ps -eww -o args; sleep 0.1; done >/lab/processes 2>/dev/null"


@dataclass
class Planted:
    """Secrets by name."""

    lab: RunningLab
    secrets: dict[str, str]
    seen_here: set[str] = field(default_factory=set)
    """Command lines of this machine that held one."""

    def _fed(self, node: str, *words: str) -> str:
        """A command inside a node; the secrets come by its stdin and are in no command line."""
        command = ["docker", "-H", self.lab.place.socket, "exec", "-i", node, *words]
        text = "\n".join(self.secrets.values())
        return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout

    def files(self, node: str) -> dict[tuple[str, str], str]:
        """Every file of a node that holds a secret: (secret, path) and "mode owner"."""
        names = list(self.secrets)
        rows = (line.split(" ", 3) for line in self._fed(node, "python3", "-c", WALK, *PLACES).splitlines())
        return {(names[int(number)], path): f"{mode} {uid}" for number, mode, uid, path in rows}

    def in_text(self, text: str) -> list[str]:
        return [name for name, secret in self.secrets.items() if secret in text]

    def journal(self, node: str) -> list[str]:
        return self.in_text(self.lab.exec(node, "journalctl --no-pager -o export | tr -d '\\200-\\377'"))

    def container(self, node: str, name: str) -> tuple[list[str], list[str]]:
        """What `docker inspect` shows: in the container's environment, and anywhere else."""
        (data,) = json.loads(self.lab.exec(node, f"docker inspect {name}"))
        env = data["Config"].pop("Env")
        return self.in_text(json.dumps(env)), self.in_text(json.dumps(data))

    def here(self, folders: Iterable[Path], but: Iterable[Path]) -> list[str]:
        """Files of this machine that hold one, bundles opened."""
        found = []
        for path in (p for folder in folders for p in sorted(folder.rglob("*")) if p.is_file() and p not in set(but)):
            texts = [path.read_bytes().decode("utf-8", "replace")]
            if path.name.endswith(".tar.zst"):
                texts += list(bundle.read(path).values())
            found += [f"{name} in {path}" for text in texts for name in self.in_text(text)]
        return found

    def said(self, ran: Ran) -> list[str]:
        return self.in_text(ran.out + ran.err)

    @contextmanager
    def watched(self, *members: str) -> Iterator[None]:
        """Process lists of the nodes and of this machine, ten times a second, while something happens."""
        for node in members:
            self.lab.exec(node, f"touch /lab/watching; setsid -f sh -c '{WATCH}' </dev/null >/dev/null 2>&1")
        done = threading.Event()
        thread = threading.Thread(target=self._watch_here, args=(done,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            for node in members:
                self.lab.exec(node, "rm -f /lab/watching; sleep 0.3")

    def _watch_here(self, done: threading.Event) -> None:
        while not done.wait(0.1):
            for pid in (p for p in os.listdir("/proc") if p.isdigit()):
                try:
                    line = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
                except OSError:
                    continue
                self.seen_here |= {f"{name}: {line[:60]!r}" for name in self.in_text(line)}

    def in_processes(self, node: str) -> list[str]:
        """Secrets that a process list of this node showed while it was watched; it must have seen something at all."""
        text = self.lab.exec(node, "cat /lab/processes")
        assert "bringup" in text, "the process list was not watched"
        return self.in_text(text)
