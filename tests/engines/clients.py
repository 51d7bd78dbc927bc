"""`python clients.py vllm|sglang` under an engine's own Python: its benchmark client's command lines on stdin, refusals on stdout."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import os
import runpy
import sys
import types
from collections.abc import Callable
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", VLLM_NO_USAGE_STATS="1", VLLM_LOGGING_LEVEL="ERROR")
HERE = Path(__file__).parent


class Parsed(Exception):
    """The client took its command line and was about to begin."""


def vllm() -> Callable[[list[str]], None]:
    from vllm.benchmarks.serve import add_cli_args
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parser = FlexibleArgumentParser(prog="vllm bench serve")
    add_cli_args(parser)

    def parse(argv: list[str]) -> None:
        assert argv[:3] == ["vllm", "bench", "serve"]
        parser.parse_args(argv[3:])

    return parse


def sglang() -> Callable[[list[str]], None]:
    """Its parser is made where the module is run: it is stopped right after it has read its words."""
    spec = importlib.util.spec_from_file_location("judge_sglang", HERE / "judges" / "sglang.py")
    assert spec
    assert spec.loader
    judge = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(judge)
    judge._import_server_args()  # with its stand-ins for kernels
    sys.modules["datasets"] = types.ModuleType("datasets")  # not before: others look whether it is really there
    sys.modules["datasets"].load_dataset = None  # type: ignore[attr-defined]
    original = argparse.ArgumentParser.parse_args

    def parse_args(self: argparse.ArgumentParser, *args: object, **more: object) -> None:
        original(self, *args, **more)  # type: ignore[call-overload]
        raise Parsed

    def parse(argv: list[str]) -> None:
        assert argv[:2] == ["python3", "-m"]
        sys.argv = argv[2:]
        argparse.ArgumentParser.parse_args = parse_args  # type: ignore[assignment,method-assign]
        with contextlib.suppress(Parsed):
            runpy.run_module(argv[2], run_name="__main__")

    return parse


def main(engine: str) -> None:
    commands, answers = json.loads(sys.stdin.read()), []
    with contextlib.redirect_stdout(sys.stderr):
        parse = {"vllm": vllm, "sglang": sglang}[engine]()
        for argv in commands:
            said = io.StringIO()
            try:
                with contextlib.redirect_stderr(said):
                    parse(argv)
                answers.append("")
            except SystemExit:
                answers.append(said.getvalue().rpartition("error: ")[2].strip() or "it ended")
    print(json.dumps(answers))


if __name__ == "__main__":
    main(sys.argv[1])
