"""`vllm serve ...`: the whole command line, and what follows from it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import options

VERSION = "0.18.0"
USAGE = "usage: vllm [-h] [-v] {chat,complete,serve,launch,bench,collect-env,run-batch} ..."


@dataclass
class Layout:
    """What of a command line the double acts on."""

    model: str = ""
    served: list[str] = field(default_factory=list)
    host: str = ""
    port: int = 8000
    headless: bool = False
    tp: int = 1
    pp: int = 1
    pcp: int = 1
    dp: int = 1
    dp_local: int = 1
    start_rank: int = 0
    address: str = "127.0.0.1"
    rpc_port: int = 29550
    api_servers: int = 1
    expert_parallel: bool = False
    external_lb: bool = False
    eager: bool = False
    drafter: bool = False
    multithread: bool = False
    tool_parser: str | None = None
    auto_tools: bool = False
    reasoning: str | None = None
    max_seqs: int = 256
    max_len: int = 196608
    access_log: bool = True
    api_key: str | None = None
    version: str = VERSION
    platform: str = "cuda"
    given: dict[str, Any] = field(default_factory=dict)

    @property
    def world(self) -> int:
        """Workers of one data-parallel rank."""
        return self.tp * self.pp * self.pcp

    @property
    def remote(self) -> bool:
        """Whether ranks of other nodes take part."""
        return self.dp_local < self.dp

    def has(self, version: str) -> bool:
        return options.order(self.version) >= options.order(version)


class Refused(Exception):
    """The command line is refused: what is printed, and the exit code."""

    def __init__(self, text: str, code: int = 2) -> None:
        super().__init__(text)
        self.code = code


def refuse(unknown: list[str]) -> Refused:
    return Refused(f"{USAGE}\nvllm: error: unrecognized arguments: {' '.join(unknown)}")


def layout(argv: list[str], env: Mapping[str, str]) -> Layout:
    """The layout of the words after `vllm serve`, or the refusal the real command would end with."""
    version = env.get("DOUBLE_VERSION", VERSION)
    try:
        parsed = options.parse(argv, options.table(env, version))
    except options.Misused as e:
        raise Refused(f"{USAGE}\nvllm serve: error: {e}") from None
    model = parsed.words[0] if parsed.words else _one(parsed, "model", "Qwen/Qwen3-0.6B")
    if parsed.unknown or len(parsed.words) > 1:
        raise refuse([*parsed.unknown, *parsed.words[1:]])
    lay = Layout(model=model, version=version, platform=platform(env))
    lay.given = {"model_tag": model, **{n.replace("-", "_"): " ".join(v) if v else True for n, v in parsed.values.items()}}
    lay.served = parsed.values.get("served-model-name") or [lay.model]
    lay.host = _one(parsed, "host", "")
    lay.port = _int(parsed, "port", 8000)
    lay.headless = "headless" in parsed.values
    lay.tp = _int(parsed, "tensor-parallel-size", 1)
    lay.pp = _int(parsed, "pipeline-parallel-size", 1)
    lay.pcp = _int(parsed, "prefill-context-parallel-size", 1)
    lay.expert_parallel = "enable-expert-parallel" in parsed.values
    lay.drafter = "speculative-config" in parsed.values
    lay.multithread = bool(_json(parsed, "model-loader-extra-config").get("enable_multithread_load"))
    lay.tool_parser = parsed.values.get("tool-call-parser", [None])[0]
    lay.auto_tools = "enable-auto-tool-choice" in parsed.values
    lay.reasoning = parsed.values.get("reasoning-parser", [None])[0]
    lay.max_seqs = _int(parsed, "max-num-seqs", 256)
    lay.max_len = _int(parsed, "max-model-len", int(config(lay.model).get("max_position_embeddings", 196608)))
    lay.access_log = "disable-uvicorn-access-log" not in parsed.values
    lay.api_key = _one(parsed, "api-key", "") or env.get("VLLM_API_KEY")
    mode = str(_json(parsed, "compilation-config").get("cudagraph_mode", ""))
    lay.eager = "enforce-eager" in parsed.values or mode.upper() == "NONE"
    _ranks(lay, parsed)
    return lay


def _ranks(lay: Layout, parsed: options.Parsed) -> None:
    """Data parallelism: which ranks are here, who balances the load, how many API servers that makes."""
    lay.dp = _int(parsed, "data-parallel-size", 1)
    lay.dp_local = _int(parsed, "data-parallel-size-local", lay.dp)
    lay.address = _one(parsed, "data-parallel-address", "127.0.0.1")
    lay.rpc_port = _int(parsed, "data-parallel-rpc-port", 29550)
    start = parsed.values.get("data-parallel-start-rank")
    lay.start_rank = _int(parsed, "data-parallel-start-rank", 0)
    # From 0.28 on a start rank of 0 counts as given, which makes rank 0 balance only its own load.
    hybrid = start is not None and (lay.start_rank > 0 or lay.has("0.28.0"))
    lay.external_lb = hybrid and not lay.headless and lay.dp_local == 1 and lay.dp > 1
    count = parsed.values.get("api-server-count")
    lay.api_servers = _int(parsed, "api-server-count", 0)
    if lay.headless:
        if lay.api_servers > 0:
            text = f"--api-server-count={lay.api_servers} cannot be used with --headless (no API servers are started in headless mode)."
            raise Refused(f"Traceback (most recent call last):\nValueError: {text}", 1)
        lay.api_servers = 0
    elif count is None:
        lay.api_servers = (lay.dp_local if hybrid else lay.dp) if lay.has("0.16.0") else 1


def platform(env: Mapping[str, str]) -> str:
    """Whose plugin would be at work: said by DOUBLE_PLATFORM, else seen from the variables the engine is given."""
    if named := env.get("DOUBLE_PLATFORM"):
        return named
    return "ascend" if any(n.startswith(("ASCEND_", "HCCL_")) for n in env) else "cuda"


def config(model: str) -> dict[str, Any]:
    """The model's config.json, if the folder has one."""
    try:
        found = json.loads((Path(model) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def shards(model: str) -> int:
    """How many files the weights have."""
    try:
        index = json.loads((Path(model) / "model.safetensors.index.json").read_text(encoding="utf-8"))
        return len(set(index["weight_map"].values()))
    except (OSError, ValueError, KeyError):
        return len(list(Path(model).glob("*.safetensors"))) if Path(model).is_dir() else 0


def _one(parsed: options.Parsed, name: str, default: str) -> str:
    values = parsed.values.get(name)
    return values[0] if values else default


def _int(parsed: options.Parsed, name: str, default: int) -> int:
    text = _one(parsed, name, str(default))
    try:
        return int(text)
    except ValueError:
        raise Refused(f"{USAGE}\nvllm serve: error: argument --{name}: invalid int value: '{text}'") from None


def _json(parsed: options.Parsed, name: str) -> dict[str, Any]:
    text = _one(parsed, name, "{}")
    try:
        found = json.loads(text)
    except ValueError:
        raise Refused(f"{USAGE}\nvllm serve: error: argument --{name}: Value {text} cannot be converted to <function loads>.") from None
    return found if isinstance(found, dict) else {}


def complain(refused: Refused) -> int:
    print(refused, file=sys.stderr, flush=True)
    return refused.code
