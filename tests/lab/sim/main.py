#!/usr/bin/env python3
"""One program, six names: the name it is called by decides which tool it is."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

if not __package__:
    # Started as a file: the tools are links to this one, and a container may have only this file mounted.
    home = Path(__file__).resolve().parent
    home = home if (home / "state.py").exists() else Path(os.environ.get("LAB_SIM", "/opt/lab/sim"))
    sys.path.insert(0, str(home.parent))
    __package__ = importlib.import_module(home.name).__name__

from . import answers
from .faults import BUSY, alone, spoil
from .state import Answer, Paths, StateError, load

# Section of the state, module and function; only the module that is asked for is loaded, because each call is a process.
TOOLS = {
    "npu-smi": ("npu_smi", "npu_smi", "answer"),
    "hccn_tool": ("hccn", "hccn", "answer"),
    "nvidia-smi": ("nvidia_smi", "nvidia", "answer"),
    "rocm-smi": ("rocm_smi", "amd", "rocm_smi"),
    "amd-smi": ("amd_smi", "amd", "amd_smi"),
}
BROKEN_LAB = 97


def part(module: str, function: str) -> Callable[..., Answer]:
    found: Callable[..., Answer] = getattr(importlib.import_module(f".{module}", __package__), function)
    return found


def answer(tool: str, argv: list[str], paths: Paths) -> Answer:
    """What `tool` says to `argv`; a mistake in the lab itself ends with a code that no tool has."""
    try:
        if tool not in TOOLS:
            return part("cli", "answer")(argv, paths)
        section, module, function = TOOLS[tool]
        ask = part(module, function)
        where = answers.folder(paths)
        node = load(paths)
        # Calls of hccn_tool that overlap are refused: the real one is not made for it.
        turn = alone(paths) if tool == "hccn_tool" and node.hccn.exclusive else nullcontext(True)
        with turn as free:
            said = spoil(ask(node, argv, paths), getattr(node, section)) if free else BUSY
        if tool == "hccn_tool":
            answers.keep(where, node, ask, paths)
        return said
    except StateError as e:
        return Answer("", f"lab-sim: {e}\n", BROKEN_LAB)


def main() -> int:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    tool, argv = Path(sys.argv[0]).name, sys.argv[1:]
    if tool not in TOOLS and argv[:1] and argv[0] in TOOLS:
        tool, argv = argv[0], argv[1:]
    out, err, code = answer(tool, argv, Paths.of(os.environ))
    sys.stdout.buffer.write(out.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()
    sys.stderr.write(err)
    return code


if __name__ == "__main__":
    sys.exit(main())
