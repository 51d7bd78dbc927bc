"""Runs inside the image, as text: does this engine take these commands? Its answer is one line; nothing is started, no device is used."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

MARK = "BRINGUP-PARSE "
LONGEST = 600


class Refused(Exception):
    """The engine's own words."""


class Unknown(Exception):
    """Why there is no verdict."""


Check = Callable[[list[str]], None]
"""Takes one command; raises Refused or ValueError where the engine does not."""


def parsed(parser: argparse.ArgumentParser, argv: list[str]) -> argparse.Namespace:
    """What argparse says when it refuses, instead of an exit."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            return parser.parse_args(argv)
    except SystemExit:
        raise Refused(said.getvalue().rpartition("error: ")[2] or said.getvalue()) from None


def first(*places: str) -> Any:
    """The first of these that there is: engines move their modules from release to release."""
    for place in places:
        module, _, name = place.partition(":")
        with contextlib.suppress(ModuleNotFoundError, AttributeError):
            return getattr(importlib.import_module(module), name)
    raise Unknown(f"this release has none of {', '.join(places)}")


def vllm() -> tuple[str, Check]:
    """`vllm serve`: parsed and validated as its own main does."""
    version = str(importlib.import_module("vllm").__version__)
    serve = importlib.import_module("vllm.entrypoints.cli.serve")
    parser = first("vllm.utils.argparse_utils:FlexibleArgumentParser", "vllm.utils:FlexibleArgumentParser")(prog="vllm")
    command = serve.cmd_init()[0]
    command.subparser_init(parser.add_subparsers(required=False, dest="subparser"))
    places = ("vllm.entrypoints.launchers.launcher", "vllm.entrypoints.openai.api_server")
    validate = first(*(f"{place}:validate_api_server_args" for place in places))

    def check(argv: list[str]) -> None:
        if argv[:2] != ["vllm", "serve"]:
            raise Unknown(f"no vllm serve command: {' '.join(argv[:2])}")
        args = parsed(parser, argv[1:])
        command.validate(args)
        if not args.headless:
            validate(args)

    return f"vllm {version}", check


def sglang() -> tuple[str, Check]:
    """`python3 -m sglang.launch_server` or `sglang serve`."""
    version = str(importlib.import_module("sglang").__version__)
    parser = argparse.ArgumentParser(prog="sglang")
    importlib.import_module("sglang.srt.server_args").ServerArgs.add_cli_args(parser)

    def check(argv: list[str]) -> None:
        if argv[1:3] == ["-m", "sglang.launch_server"]:
            parsed(parser, argv[3:])
        elif argv[:2] == ["sglang", "serve"]:
            parsed(parser, argv[2:])
        else:
            raise Unknown(f"no SGLang server command: {' '.join(argv[:3])}")

    return f"sglang {version}", check


def xinference() -> tuple[str, Check]:
    """`xinference-local` and `xinference launch`: click commands, made but not called."""
    version = str(importlib.import_module("xinference").__version__)
    click = importlib.import_module("click")
    cmdline = importlib.import_module("xinference.deploy.cmdline")

    def check(argv: list[str]) -> None:
        program, *given = argv
        try:
            if program == "xinference-local":
                cmdline.local.make_context(program, given)
                return
            group = cmdline.cli.make_context(program, given)
            name, command, rest = cmdline.cli.resolve_command(group, group.protected_args + group.args)
            command.make_context(name, rest, parent=group)
        except click.ClickException as refusal:
            raise Refused(refusal.format_message()) from None

    return f"xinference {version}", check


ENGINES = {"vllm": vllm, "vllm-ascend": vllm, "sglang": sglang, "xinference": xinference}


def verdict(engine: str, commands: list[list[str]]) -> dict[str, str]:
    """`ok`, `refused` with the engine's words, or `unknown` with the reason: an engine without its device may not even import."""
    if engine not in ENGINES:
        return {"verdict": "unknown", "why": f"no parser is known for {engine}"}
    try:
        release, check = ENGINES[engine]()
    except (Exception, SystemExit) as trouble:
        return {"verdict": "unknown", "why": f"{type(trouble).__name__}: {one_line(trouble)}"}
    for argv in commands:
        try:
            check(argv)
        except (Refused, ValueError, TypeError, SystemExit) as refusal:
            return {"verdict": "refused", "why": one_line(refusal), "release": release}
        except Exception as trouble:
            return {"verdict": "unknown", "why": f"{type(trouble).__name__}: {one_line(trouble)}", "release": release}
    return {"verdict": "ok", "release": release}


def jemalloc(path: str) -> str:
    """Why the allocator cannot be preloaded; nothing where it can. Only a new process can tell: it cannot be loaded later."""
    if not path:
        return ""
    if not os.path.exists(path):
        return "there is no such file in the image"
    done = subprocess.run(["/bin/sh", "-c", ":"], env={"LD_PRELOAD": path}, capture_output=True, text=True, check=False)
    return done.stderr.strip().rpartition("from LD_PRELOAD ")[2][:LONGEST]


def one_line(trouble: BaseException) -> str:
    # Pydantic adds the whole input and a link to every reason.
    return " ".join(str(trouble).split(" [type=")[0].split())[:LONGEST]


def main(request: str) -> None:
    asked = json.loads(request)
    signal.alarm(int(asked.get("seconds", 110)))  # ends by itself where nobody is left to end it
    os.environ.update(HF_HUB_OFFLINE="1", VLLM_NO_USAGE_STATS="1", VLLM_LOGGING_LEVEL="ERROR", XINFERENCE_MODEL_SRC="huggingface")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # engines print on stdout, from Python and from C
    answer = {"jemalloc": jemalloc(asked.get("jemalloc", "")), **verdict(asked["engine"], asked["commands"])}
    answers.write(f"\n{MARK}{json.dumps(answer)}\n")
    answers.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
