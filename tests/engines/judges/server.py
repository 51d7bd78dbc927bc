"""The judge process: `python -I server.py ADAPTER.py MODELS`, one JSON object per line."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import json
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

LONGEST_ERROR = 700
PR_SET_PDEATHSIG = 1


def main(adapter_path: str, models: str) -> None:
    answers = _private_stdout()
    requests: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read_requests, args=(requests,), daemon=True).start()
    engine = _load(adapter_path).Engine(Path(models))
    _answer(answers, {"ready": True, "version": engine.version})
    while True:
        request = json.loads(requests.get())
        if request.get("op") == "options":
            _answer(answers, {"options": sorted(engine.options())})
            continue
        verdict = _in_a_child(engine, request)
        imported = verdict.pop("imported", [])
        _answer(answers, verdict)
        _import(imported)


def _private_stdout() -> TextIO:
    """Engines print on stdout from Python and from C: the answers get a descriptor of their own."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return answers


def _read_requests(requests: queue.Queue[str]) -> None:
    """Ends the process the moment the client is gone, even in the middle of an import."""
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)


def _load(path: str) -> ModuleType:
    # By path: the adapter of vLLM is called vllm.py and must not hide the engine itself.
    spec = importlib.util.spec_from_file_location(f"judge_{Path(path).stem}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _answer(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def _in_a_child(engine: Any, request: dict[str, Any]) -> dict[str, Any]:
    """An engine writes into its own defaults while it checks: no verdict may see another's."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            known = set(sys.modules)
            verdict = _verdict(engine, request)
            verdict["imported"] = [name for name in sys.modules if name not in known]
            with os.fdopen(writing, "w", encoding="utf-8") as answer:
                json.dump(verdict, answer, default=str)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as answer:
        text = answer.read()
    _, status = os.waitpid(child, 0)
    return json.loads(text) if text else {"died": os.waitstatus_to_exitcode(status)}


def _verdict(engine: Any, request: dict[str, Any]) -> dict[str, Any]:
    try:
        config = engine.check(request["argv"], request["level"], request["headless"])
        return {"ok": True, "error": "", "config": config}
    except (Exception, SystemExit) as refusal:
        return {"ok": False, "error": one_line(refusal), "config": {}}


def _import(names: list[str]) -> None:
    """What one check had to import, the next one finds."""
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def one_line(refusal: BaseException) -> str:
    # Pydantic adds the whole input and a link to every reason.
    text = " ".join(str(refusal).split(" [type=")[0].split())
    kind = "" if type(refusal).__name__ == "Refused" else f"{type(refusal).__name__}: "
    return (kind + text)[:LONGEST_ERROR]


if __name__ == "__main__":
    main(*sys.argv[1:])
