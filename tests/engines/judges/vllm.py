"""vLLM's own `serve` command, run up to the point where it would start processes."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

# Before any import of the engine: no network, no usage report.
os.environ.update(HF_HUB_OFFLINE="1", VLLM_NO_USAGE_STATS="1", VLLM_LOGGING_LEVEL="ERROR")

import vllm
from vllm.entrypoints.cli import serve
from vllm.usage.usage_lib import UsageContext
from vllm.utils.argparse_utils import FlexibleArgumentParser


class Refused(Exception):
    """The engine's own words, without a Python exception name in front."""


class Reached(Exception):
    """The engine accepted everything and was about to start processes."""

    def __init__(self, config: Any = None) -> None:
        self.config = config


class Engine:
    def __init__(self, models: Path) -> None:
        self.version: str = vllm.__version__
        self._models = models
        self._parser = FlexibleArgumentParser(prog="vllm")
        self._command = serve.cmd_init()[0]
        subparsers = self._parser.add_subparsers(required=False, dest="subparser")
        self._serve_parser = self._command.subparser_init(subparsers)
        self._run_headless = serve.run_headless
        self._run_multi_api_server = serve.run_multi_api_server
        _stop_before_processes()

    def options(self) -> list[str]:
        return list(self._serve_parser._option_string_actions)

    def check(self, argv: list[str], level: str, headless: bool) -> dict[str, Any]:
        if argv[:2] != ["vllm", "serve"]:
            raise Refused(f"not a `vllm serve` command: {' '.join(argv[:2])}")
        args = self._parse(argv[1:])
        args.headless = args.headless or headless
        self._command.validate(args)
        self._point_to_local_models(args)
        launch, config = self._launch(args, level)
        return {"launch": launch, **_of_args(args), **(_of_config(config) if config else {})}

    def _parse(self, argv: list[str]) -> argparse.Namespace:
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said):
                return self._parser.parse_args(argv)
        except SystemExit:
            raise Refused(said.getvalue().rpartition("error: ")[2]) from None

    def _point_to_local_models(self, args: argparse.Namespace) -> None:
        model = str(self._models / "MiniMax-M2")
        args.model_tag = model
        args.tokenizer = model if args.tokenizer else None
        if args.speculative_config and "model" in args.speculative_config:
            args.speculative_config["model"] = str(self._models / "Eagle3")

    def _launch(self, args: argparse.Namespace, level: str) -> tuple[str, Any]:
        """The engine decides itself between headless, one and several API servers."""
        ways = {
            "headless": self._run_headless,
            "one api server": _run_one_api_server,
            "several api servers": self._run_multi_api_server,
        }
        chosen: list[str] = []
        serve.run_headless = lambda _: chosen.append("headless")
        serve.run_server = lambda _: chosen.append("one api server")
        serve.run_multi_api_server = lambda _: chosen.append("several api servers")
        serve.run_dp_supervisor = lambda _: chosen.append("supervisor")
        self._command.cmd(args)
        way = chosen[0]
        if way != "headless":
            _api_module().validate_api_server_args(args)
        if level == "parse":
            return way, None
        if way not in ways:
            raise Refused(f"this judge cannot follow the launch by {way}")
        try:
            ways[way](args)
        except Reached as reached:
            return way, reached.config
        raise Refused("the engine returned before it started anything")


def _run_one_api_server(args: argparse.Namespace) -> None:
    engine_args = vllm.AsyncEngineArgs.from_cli_args(args)
    raise Reached(engine_args.create_engine_config(usage_context=UsageContext.OPENAI_API_SERVER))


def _stop_before_processes() -> None:
    def reached(config: Any, *_: Any, **__: Any) -> None:
        raise Reached(config)

    serve.Executor = SimpleNamespace(get_class=reached)
    serve.MultiprocExecutor = reached
    serve.uvloop = SimpleNamespace(run=lambda _: None)
    serve.setup_server = lambda _, **__: ("", None)
    serve.setup_multiprocess_prometheus = lambda: None
    serve.signal = SimpleNamespace(SIGTERM=None, SIGINT=None, signal=lambda *_: None)


def _api_module() -> Any:
    for name in ("vllm.entrypoints.launchers.launcher", "vllm.entrypoints.openai.api_server"):
        with contextlib.suppress(ModuleNotFoundError):
            return importlib.import_module(name)
    raise Refused("this vLLM keeps validate_api_server_args somewhere else")


def _of_args(args: argparse.Namespace) -> dict[str, Any]:
    return {
        "api_servers": 1 if args.api_server_count is None else args.api_server_count,
        "host": args.host,
        "port": args.port,
        "served_model_name": args.served_model_name,
        "tool_call_parser": args.tool_call_parser,
        "tp": args.tensor_parallel_size,
        "dp": args.data_parallel_size,
        "dp_local": args.data_parallel_size_local,
        "dp_start_rank": args.data_parallel_start_rank,
        "ep": args.enable_expert_parallel,
        "external_lb": args.data_parallel_external_lb,
        "hybrid_lb": args.data_parallel_hybrid_lb,
        "quantization": args.quantization,
        "max_model_len": args.max_model_len,
        "max_num_seqs": args.max_num_seqs,
        "max_num_batched_tokens": args.max_num_batched_tokens,
        "additional_config": args.additional_config,
    }


def _of_config(config: Any) -> dict[str, Any]:
    parallel, scheduler = config.parallel_config, config.scheduler_config
    speculative = config.speculative_config
    return {
        "tp": parallel.tensor_parallel_size,
        "pp": parallel.pipeline_parallel_size,
        "dp": parallel.data_parallel_size,
        "dp_local": parallel.data_parallel_size_local,
        "dp_rank": parallel.data_parallel_rank,
        "dp_address": parallel.data_parallel_master_ip,
        "dp_rpc_port": parallel.data_parallel_rpc_port,
        "ep": parallel.enable_expert_parallel,
        "external_lb": parallel.data_parallel_external_lb,
        "hybrid_lb": parallel.data_parallel_hybrid_lb,
        "max_model_len": config.model_config.max_model_len,
        "max_num_seqs": scheduler.max_num_seqs,
        "max_num_batched_tokens": scheduler.max_num_batched_tokens,
        "async_scheduling": scheduler.async_scheduling,
        "gpu_memory_utilization": config.cache_config.gpu_memory_utilization,
        "cudagraph_mode": str(config.compilation_config.cudagraph_mode),
        "speculative": speculative and speculative.method,
        "speculative_tokens": speculative and speculative.num_speculative_tokens,
    }
