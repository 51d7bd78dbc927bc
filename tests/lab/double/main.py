#!/usr/bin/env python3
"""One program, several names: the name it is called by decides which engine's command it doubles."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

if not __package__:
    # Started as a file: the commands are links to this one. Its folder leaves the search path, so that no module of ours hides another.
    home = Path(__file__).resolve().parent
    sys.path[:] = [str(home.parent), *(p for p in sys.path if p and Path(p).resolve() != home)]
    __package__ = importlib.import_module(home.name).__name__

from .knobs import BROKEN_DOUBLE, KnobError

COMMANDS = {"vllm": "front", "sglang": "sglang_double", "xinference": "xinference_double", "xinference-local": "xinference_double"}


def main() -> int:
    tool, words = Path(sys.argv[0]).name, sys.argv[1:]
    if tool not in COMMANDS and words and Path(words[0]).name in COMMANDS:
        tool, words = Path(words[0]).name, words[1:]
    if tool not in COMMANDS:
        print(f"double: called as {tool!r}; it knows {', '.join(COMMANDS)}", file=sys.stderr)
        return BROKEN_DOUBLE
    if tool != "sglang":
        importlib.import_module(".procs", __package__).rename(tool)
    if tool == "xinference-local":
        words = ["local", *words]
    print(f"double: not {tool}, but its stand-in for tests", file=sys.stderr, flush=True)
    try:
        module = importlib.import_module(f".{COMMANDS[tool]}", __package__)
        return int(module.main(words, dict(os.environ)))
    except KnobError as e:
        print(e, file=sys.stderr)
        return BROKEN_DOUBLE


if __name__ == "__main__":
    sys.exit(main())
