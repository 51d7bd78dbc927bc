"""SGLang's own server arguments: parsed, and at level "config" resolved and checked."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.machinery
import io
import os
import sys
import types
from pathlib import Path
from typing import Any

# Before any import of the engine: no network.
os.environ.update(HF_HUB_OFFLINE="1")

# Kernels are imported long before they are used, and here they never are: a stand-in saves
# gigabytes. PyTorch and Transformers look for the same packages and must not find the stand-ins.
KERNELS = ("triton", "torchvision", "sgl_kernel")
LOOKED_AT_FIRST = (
    "torch._dynamo",
    "torch._inductor.codegen.triton",
    "torch._inductor.standalone_compile",
    "torch.utils._triton",
    "torch.utils.flop_counter",
    "transformers.models.auto",
)


class Refused(Exception):
    """The engine's own words, without a Python exception name in front."""


class StandIn(types.ModuleType):
    """Any name is there; as a decorator it hands the function back; no driver ever answers."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "active":
            raise RuntimeError("0 active drivers")
        return StandIn(f"{self.__name__}.{name}")

    def __call__(self, *args: Any, **_: Any) -> Any:
        return args[0] if len(args) == 1 and callable(args[0]) else self

    def __mro_entries__(self, _: Any) -> tuple[type, ...]:
        return (object,)


class StandIns:
    def find_spec(self, name: str, *_: Any) -> importlib.machinery.ModuleSpec | None:
        if name.split(".")[0] not in KERNELS:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> StandIn:
        return StandIn(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        module.__version__ = "0.0"  # type: ignore[attr-defined]


def _import_server_args() -> types.ModuleType:
    for name in LOOKED_AT_FIRST:
        importlib.import_module(name)
    sys.modules["torch.utils._triton"].has_triton()  # remembered from now on
    sys.modules["transformers.models.auto"].AutoProcessor  # noqa: B018
    sys.meta_path.append(StandIns())  # type: ignore[arg-type]
    return importlib.import_module("sglang.srt.server_args")


class Engine:
    def __init__(self, models: Path) -> None:
        self._module = _import_server_args()
        self.version: str = importlib.import_module("sglang").__version__
        self._model = str(models / "MiniMax-M2")
        self._parser = argparse.ArgumentParser(prog="sglang")
        self._module.ServerArgs.add_cli_args(self._parser)

    def options(self) -> list[str]:
        return list(self._parser._option_string_actions)

    def check(self, argv: list[str], level: str, _headless: bool) -> dict[str, Any]:
        given = _after_the_command(argv)
        parsed = self._parse(given)
        if level == "parse":
            return _summary(parsed)
        # The last one wins. Without a GPU the engine cannot name a device itself.
        given += ["--model-path", self._model]
        given += ["--tokenizer-path", self._model] if parsed.tokenizer_path else []
        given += [] if parsed.device else ["--device", "cuda"]
        resolved = self._module.prepare_server_args(given)
        if hasattr(resolved, "resolve_once"):  # 0.5.7 resolves while it constructs
            resolved.resolve_once()
        resolved.check_server_args()
        asked = {"model_path": parsed.model_path, "served_model_name": parsed.served_model_name}
        return {**_summary(resolved), **asked}

    def _parse(self, given: list[str]) -> argparse.Namespace:
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said):
                return self._parser.parse_args(given)
        except SystemExit:
            raise Refused(said.getvalue().rpartition("error: ")[2]) from None


def _after_the_command(argv: list[str]) -> list[str]:
    if argv[1:3] == ["-m", "sglang.launch_server"]:
        return argv[3:]
    if argv[:2] == ["sglang", "serve"]:
        return argv[2:]
    raise Refused(f"not an SGLang server command: {' '.join(argv[:3])}")


def _summary(args: Any) -> dict[str, Any]:
    # 0.5.7 parses into the long name and resolves into the short one.
    def size(short: str, long: str) -> Any:
        return getattr(args, short) if hasattr(args, short) else getattr(args, long)

    same = ("model_path", "host", "port", "nnodes", "node_rank", "mem_fraction_static")
    same += ("quantization", "served_model_name", "tool_call_parser", "reasoning_parser")
    same += ("trust_remote_code",)
    return {
        **{name: getattr(args, name) for name in same},
        "tp": size("tp_size", "tensor_parallel_size"),
        "dp": size("dp_size", "data_parallel_size"),
        "pp": size("pp_size", "pipeline_parallel_size"),
        "ep": size("ep_size", "expert_parallel_size"),
        "max_model_len": args.context_length,
    }
