"""/metrics in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Callable, Mapping

Labels = Callable[[int], str]
Stats = Mapping[int, Mapping[str, float]]

# name, type, help, key of an engine's numbers
VLLM = (
    ("vllm:num_requests_running", "gauge", "Number of requests in model execution batches.", "running"),
    ("vllm:num_requests_waiting", "gauge", "Number of requests waiting to be processed.", "waiting"),
    ("vllm:kv_cache_usage_perc", "gauge", "KV-cache usage. 1 means 100 percent usage.", "kv"),
    ("vllm:num_preemptions_total", "counter", "Cumulative number of preemption from the engine.", ""),
    ("vllm:prompt_tokens_total", "counter", "Number of prefill tokens processed.", "prompt"),
    ("vllm:generation_tokens_total", "counter", "Number of generation tokens processed.", "generation"),
)
SGLANG = (
    ("sglang:num_running_reqs", "gauge", "The number of running requests.", "running"),
    ("sglang:num_queue_reqs", "gauge", "The number of requests in the waiting queue.", "waiting"),
    ("sglang:token_usage", "gauge", "The token usage.", "kv"),
    ("sglang:prompt_tokens_total", "counter", "Number of prefill tokens processed.", "prompt"),
    ("sglang:generation_tokens_total", "counter", "Number of generation tokens processed.", "generation"),
)


def vllm(stats: Stats, model: str) -> str:
    lines = _families(VLLM, stats, lambda rank: f'engine="{rank}",model_name="{model}"')
    lines += ["# HELP vllm:request_success_total Count of successfully processed requests.", "# TYPE vllm:request_success_total counter"]
    for rank in sorted(stats):
        for reason in ("stop", "length", "abort"):
            labels = f'engine="{rank}",finished_reason="{reason}",model_name="{model}"'
            lines.append(f"vllm:request_success_total{{{labels}}} {float(stats[rank].get(reason, 0))}")
    return "\n".join(lines) + "\n"


def sglang(stats: Stats, model: str) -> str:
    return "\n".join(_families(SGLANG, stats, lambda rank: f'model_name="{model}",tp_rank="{rank}"')) + "\n"


def _families(families: tuple[tuple[str, str, str, str], ...], stats: Stats, labels: Labels) -> list[str]:
    lines = []
    for name, kind, text, key in families:
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
        lines += [f"{name}{{{labels(rank)}}} {float(stats[rank].get(key, 0))}" for rank in sorted(stats)]
    return lines
