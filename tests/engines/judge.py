"""`with Judge("vllm") as judge: verdict = judge.check(argv)`: an engine's own word on a command."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal

from . import environment, models

JUDGES = Path(__file__).parent / "judges"
SERVER = JUDGES / "server.py"
NEWEST = {"vllm": "0.32.0", "sglang": "0.5.23", "xinference": "4.1.0"}


Level = Literal["parse", "config"]


class JudgeError(Exception):
    """The judge itself broke or hung: no verdict, and nothing said about the command."""


@dataclass(frozen=True)
class Verdict:
    ok: bool
    error: str = ""
    config: dict[str, Any] = field(default_factory=dict)


class Judge:
    """One long-lived process with the engine imported; ended on the way out, whatever happens."""

    def __init__(
        self,
        engine: str,
        version: str = "",
        start_seconds: float = 240,
        check_seconds: float = 120,
        say: environment.Say = print,
    ) -> None:
        self.engine = engine
        self.version = version or NEWEST[engine]
        self._start_seconds = start_seconds
        self._check_seconds = check_seconds
        self._say = say
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()
        self._log_is_named = False  # by an error: then it stays

    def __enter__(self) -> Judge:
        python = environment.python_of(f"{self.engine}-{self.version}", self._say)
        cache = environment.cache_folder()
        (cache / "logs").mkdir(exist_ok=True)
        descriptor, log = tempfile.mkstemp(".log", f"{self._name}-", cache / "logs")
        self._log = Path(log)
        adapter = JUDGES / f"{self.engine}.py"
        command = [str(python), "-I", str(SERVER), str(adapter), str(models.folder(cache))]
        with open(descriptor, "w") as stderr:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                encoding="utf-8",
                cwd=cache,
                env=_environment(cache / "home" / self._name),
                start_new_session=True,  # so that helpers an engine starts can be ended with it
            )
        assert self._process.stdout
        threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True).start()
        self._receive(self._start_seconds, "its first word")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()
        if not self._log_is_named:
            self._log.unlink(missing_ok=True)

    def check(self, argv: list[str], level: Level = "config", headless: bool = False) -> Verdict:
        """`headless=True` judges the command as if it carried the flag; else the argv decides."""
        request = {"argv": argv, "level": level, "headless": headless}
        return Verdict(**self._ask(request, shlex.join(argv)))

    def options(self) -> frozenset[str]:
        """Every option string the parser knows, abbreviations of argparse not counted."""
        return frozenset(self._ask({"op": "options"}, "the list of options")["options"])

    def _ask(self, request: dict[str, Any], what: str) -> dict[str, Any]:
        if not self._process:
            raise JudgeError(f"the {self._name} judge is not running; {self._last_words()}")
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        return self._receive(self._check_seconds, what)

    def _receive(self, seconds: float, what: str) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=seconds)
        except BaseException as error:
            self._end()  # a late answer must not be taken for the next one
            if not isinstance(error, queue.Empty):
                raise
            reason = f"the {self._name} judge was silent for {seconds:.0f} s on {what}"
            raise JudgeError(f"{reason}; {self._last_words()}") from None
        if not line:
            self._end()
            raise JudgeError(f"the {self._name} judge ended on {what}; {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "died" in answer:  # the check did, the judge goes on
            reason = f"{self._name}: the check ended its process ({answer['died']})"
            raise JudgeError(f"{reason} on {what}; {self._last_words()}")
        return answer

    def _read(self, stdout: IO[str]) -> None:
        for line in stdout:
            self._answers.put(line)
        self._answers.put("")

    def _end(self) -> None:
        process, self._process = self._process, None
        if not process:
            return
        assert process.stdin
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()  # the server leaves at end of input
        deadline = time.monotonic() + 2
        ended = os.WEXITED | os.WNOHANG | os.WNOWAIT  # not reaped: its group id stays its own
        while not os.waitid(os.P_PID, process.pid, ended) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)  # helpers that the engine started, or a hung server
        process.wait()

    @property
    def _name(self) -> str:
        return f"{self.engine}-{self.version}"

    def _last_words(self) -> str:
        self._log_is_named = True
        lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        return f"last words in {self._log}: {' | '.join(line for line in lines[-4:] if line)}"


def _environment(home: Path) -> dict[str, str]:
    """The user's, less what steers an engine or Python; what an engine keeps goes under `home`."""
    steering = ("VLLM_", "SGLANG_", "XINFERENCE_", "HF_", "PYTHON", "CUDA_", "TORCH")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(steering)}
    home.mkdir(parents=True, exist_ok=True)
    return {
        **kept,
        "HOME": str(home),
        "HF_HOME": str(home / "huggingface"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XINFERENCE_HOME": str(home / ".xinference"),
    }
