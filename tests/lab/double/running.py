"""A running double, for tests: started from an engine's argv, its processes known by pid, gone at the end."""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent


class Answer:
    """An HTTP answer."""

    def __init__(self, status: int, text: str) -> None:
        self.status, self.text = status, text

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Running:
    """One `vllm serve`, `python3 -m sglang.launch_server` or `xinference-local`."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str] | None = None, host: str = "127.0.0.1", port: int = 0) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="double-"))
        self.host, self.port = host, port
        self.log = self.folder / "log"
        self.control = self.folder / "control"
        own = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE / "lib")}
        own |= {"DOUBLE_CONTROL": str(self.control), "DOUBLE_SHM": str(self.folder), "VLLM_RPC_BASE_PATH": str(self.folder)}
        with self.log.open("wb") as out:
            self.main = subprocess.Popen(command(argv), stdout=out, stderr=out, env={**own, **(env or {})}, start_new_session=True)

    def knobs(self, text: str) -> None:
        """What the control file says from now on."""
        fresh = self.folder / "control.new"
        fresh.write_text(text + "\n", encoding="utf-8")
        fresh.replace(self.control)

    def text(self) -> str:
        """The log as `docker logs | tr '\\r' '\\n'` shows it."""
        return self.log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n")

    def says(self, pattern: str, seconds: float = 10) -> bool:
        return until(lambda: re.search(pattern, self.text()) is not None, seconds)

    def ready(self, seconds: float = 10) -> bool:
        return until(lambda: self.main.poll() is not None or self.status("/health") == 200, seconds) and self.main.poll() is None

    def ask(self, method: str, path: str, body: object = None, timeout: float = 10, headers: Mapping[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            data = None if body is None else json.dumps(body) if not isinstance(body, str) else body
            connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode())
        finally:
            connection.close()

    def status(self, path: str, timeout: float = 2) -> int | None:
        """The status of a GET; None when nobody answers."""
        try:
            return self.ask("GET", path, timeout=timeout).status
        except (OSError, http.client.HTTPException):
            return None

    def chat(self, text: str = "Who are you?", timeout: float = 10, headers: Mapping[str, str] | None = None, **more: Any) -> Answer:
        body = {"messages": [{"role": "user", "content": text}], **more}
        return self.ask("POST", "/v1/chat/completions", body, timeout, headers)

    def metric(self, name: str) -> dict[str, float]:
        """A metric's values by engine."""
        text = self.ask("GET", "/metrics").text
        return {m[1]: float(m[2]) for m in re.finditer(rf'^{re.escape(name)}{{engine="(\d+)"[^}}]*}} (\S+)$', text, re.MULTILINE)}

    def processes(self) -> dict[int, str]:
        """Command lines by pid of all that descends from us, orphans too: they share our session."""
        return sessions().get(self.main.pid, {})

    def find(self, title: str) -> int:
        """The process whose command line is this; waits for it."""
        assert until(lambda: title in self.processes().values(), 5), (title, self.processes())
        return next(pid for pid, line in self.processes().items() if line == title)

    def term(self) -> None:
        self.main.send_signal(signal.SIGTERM)

    def code(self, seconds: float = 10) -> int:
        return self.main.wait(seconds)

    def end(self) -> None:
        """Stops what still runs, each process by its pid; raises when one stays."""
        if self.main.poll() is None:
            self.term()
        try:
            self.main.wait(1.5)
        except subprocess.TimeoutExpired:
            self.main.kill()
            self.main.wait(2)
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        gone = until(lambda: not self.processes(), 3)
        shutil.rmtree(self.folder, ignore_errors=True)
        assert gone, f"left: {self.processes()}"

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()


class Ended(NamedTuple):
    """How one that ends by itself has ended."""

    code: int
    text: str
    left: dict[int, str]


def ends(starts: Mapping[str, Callable[[], Running]]) -> dict[str, Ended]:
    """Starts all of them at once and waits for the end of each."""
    running = {name: start() for name, start in starts.items()}
    found = {}
    for name, one in running.items():
        with one:
            code = one.code()
            until(lambda one=one: not one.processes(), 2)  # type: ignore[misc]
            found[name] = Ended(code, one.text(), one.processes())
    return found


def command(argv: Sequence[str]) -> list[str]:
    """The argv of an engine, led to the double."""
    tool = Path(argv[0]).name
    if tool.startswith("python"):
        return [sys.executable, *argv[1:]]
    return [sys.executable, "-S", str(HERE / tool), *argv[1:]]


def sessions() -> dict[int, dict[int, str]]:
    """Living processes and their command lines by session."""
    found: dict[int, dict[int, str]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                line = (folder / "cmdline").read_text().replace("\0", " ").strip()
            except OSError:
                continue
            if fields[0] != "Z":
                found.setdefault(int(fields[3]), {})[int(folder.name)] = line
    return found


def until(true: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def free_port(host: str = "127.0.0.1", count: int = 1) -> int:
    """A port that is free with those after it, below those that outgoing connections are given."""
    while True:
        first = random.randrange(20000, 32000)
        with ExitStack() as held:
            try:
                for port in range(first, first + count):
                    held.enter_context(socket.socket()).bind((host, port))
                return first
            except OSError:
                continue


def listens(host: str, port: int) -> bool:
    with socket.socket() as sock:
        sock.settimeout(1)
        return sock.connect_ex((host, port)) == 0
