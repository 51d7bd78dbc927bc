"""What a tool's own result file says. Nothing is read from the tables it prints, and nothing is made up. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from roles.run.seen import MARK

LEAD = f"{MARK}result "
NEEDED = {
    "vllm-bench": ("completed", "failed", "duration", "output_throughput", "mean_ttft_ms", "mean_tpot_ms"),
    "sglang-bench": ("completed", "duration", "output_throughput", "mean_ttft_ms", "mean_tpot_ms"),
    "script": ("accuracy", "latency"),
}
ASKED = (
    "num_prompts", "request_rate", "burstiness", "max_concurrency", "random_input_len", "random_output_len", "random_range_ratio",
    "sharegpt_output_len", "num_gpus", "num_requests",
)  # fmt: skip
"""Numbers of a result file that repeat what was asked."""
ERROR = re.compile(r"^Error \d+: (.+)")


class Unreadable(Exception):
    """There is no result, or not one of this tool; one sentence."""


@dataclass(frozen=True)
class Result:
    """The figures under the tool's own names, and how many requests were answered."""

    figures: dict[str, float]
    completed: int | None = None
    failed: int | None = None

    @property
    def why(self) -> str:
        """What is wrong with it; empty when every request was answered."""
        if self.failed:
            return f"{self.failed} of {self.failed + (self.completed or 0)} requests failed"
        return "no request was answered" if self.completed == 0 else ""


def line(lines: Iterable[str]) -> str:
    """The result among what the script said; empty where there is none."""
    return next((text[len(LEAD) :] for text in lines if text.startswith(LEAD)), "")


def read(tool: str, text: str, prompts: int | None = None) -> Result:
    """The tool's JSON as figures; `prompts` is how many requests it was told to send."""
    if not text:
        raise Unreadable("the tool wrote no result file")
    try:
        data = json.loads(text)
    except ValueError:
        raise Unreadable(f"its result file is no JSON: {text[:60]!r}") from None
    if not isinstance(data, dict):
        raise Unreadable(f"its result file holds a {type(data).__name__}, expected a JSON object")
    figures = {k: float(v) for k, v in data.items() if k not in ASKED and _figure(v)}
    missing = [k for k in NEEDED[tool] if k not in figures]
    if missing:
        raise Unreadable(f"its result file lacks {', '.join(missing)}: another release of the tool writes it otherwise")
    if tool == "script":
        return Result(figures)
    completed, failed = int(figures.pop("completed")), int(figures.pop("failed", -1))
    if failed < 0 or prompts:
        failed = max((prompts or completed) - completed, failed, 0)
    return Result(figures, completed, failed)


def _figure(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def errors(lines: Iterable[str]) -> str:
    """What the tool says of failed requests, each reason once."""
    return ", ".join(dict.fromkeys(found[1].strip()[:120] for text in lines if (found := ERROR.match(text))))
