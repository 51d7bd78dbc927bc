"""What to do, with the plan's own values: commands as the user types them, overrides computed from what is set now."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

NAMES = ("node", "other", "address", "head", "nic", "unit", "cluster", "replica", "image", "model", "weights", "state", "api", "rpc")
VERBS = ("check", "prepare", "serve", "verify", "status", "logs", "doctor", "stop", "clean")
HOLE = re.compile(r"\$\{([^}]*)\}")
FLOORS = {"max-num-batched-tokens": 2048, "max-num-seqs": 8, "max-running-requests": 8, "chunked-prefill-size": 2048, "HCCL_BUFFSIZE": 200}
"""Below these an engine is no longer worth running."""
CEILINGS = {"HCCL_CONNECT_TIMEOUT": 7200, "VLLM_ENGINE_READY_TIMEOUT_S": 14400}


@dataclass(frozen=True)
class Present:
    """What a remedy may speak of: the node it is for, and its plan."""

    names: Mapping[str, str] = field(default_factory=dict)
    serve_argv: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    timeouts: Mapping[str, Any] = field(default_factory=dict)
    command: str = "pyinfra INVENTORY deploy/"

    def flag(self, name: str) -> str | None:
        """A flag's value as it stands in the engine's command."""
        for i, word in enumerate(self.serve_argv):
            if word == f"--{name}" and i + 1 < len(self.serve_argv):
                return self.serve_argv[i + 1]
            if word.startswith(f"--{name}="):
                return word.partition("=")[2]
        return None


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None


def _shown(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.2f}".rstrip("0")


def _halve(now: Present, name: str, default: str = "") -> str:
    """Half of the flag's value, a multiple of the tensor-parallel size where it counts tokens."""
    value = _number(now.flag(name) or default or None)
    floor = FLOORS.get(name, 1)
    if value is None or value <= floor:
        return ""
    half = max(int(value) // 2, floor)
    if name == "max-num-batched-tokens":
        tensor = int(_number(now.flag("tensor-parallel-size")) or 1)
        half -= half % tensor
    return f"--data flags.{name}={half}"


def _lower(now: Present, name: str, step: str, default: str = "") -> str:
    value = _number(now.flag(name) or default or None)
    by = float(step)
    if value is None or value - by <= by:
        return ""
    return f"--data flags.{name}={_shown(round(value - by, 4))}"


def _halve_env(now: Present, name: str, default: str = "") -> str:
    value = _number(now.env.get(name) or default or None)
    floor = FLOORS.get(name, 1)
    return "" if value is None or value <= floor else f"--data env.{name}={max(int(value) // 2, floor)}"


def _raise_env(now: Present, name: str, least: str) -> str:
    """Twice the variable's value, and never less than `least`."""
    value = _number(now.env.get(name)) or 0.0
    top = CEILINGS.get(name, 86400)
    return "" if value >= top else f"--data env.{name}={int(min(max(value * 2, float(least)), top))}"


def _raise_timeout(now: Present, name: str) -> str:
    value = _number(str(now.timeouts.get(name)))
    return "" if not value else f"--data timeouts.{name}={int(min(value * 2, 86400))}"


COMPUTED: Mapping[str, tuple[Callable[..., str], int, int]] = {
    "halve": (_halve, 1, 2),
    "lower": (_lower, 2, 3),
    "halve-env": (_halve_env, 1, 2),
    "raise-env": (_raise_env, 2, 2),
    "raise-timeout": (_raise_timeout, 1, 1),
}
"""What is computed, and how many words it takes: ${halve:max-num-seqs:256} has a value to start from where the plan sets none."""


def placeholders(text: str) -> str:
    """What is wrong with the holes of a remedy line; nothing when all can be filled."""
    for hole in HOLE.findall(text):
        word, *words = hole.split(":")
        if word in COMPUTED:
            _, least, most = COMPUTED[word]
            if not least <= len(words) <= most or not all(words):
                return f"${{{word}:...}} with {least} to {most} words"
        elif words or word not in (*NAMES, *VERBS):
            return f"known names: {', '.join((*NAMES, *VERBS, *COMPUTED))}"
    return ""


def advice(remedy: tuple[str, ...] | list[str], now: Present) -> list[str]:
    """The lines that can be followed: one whose overrides all have no room left is dropped."""
    return [line for text in remedy if (line := _filled(text, now))]


def _filled(text: str, now: Present) -> str:
    offered, refused = 0, 0

    def fill(found: re.Match[str]) -> str:
        nonlocal offered, refused
        word, *words = found[1].split(":")
        if word in COMPUTED:
            value = COMPUTED[word][0](now, *words)
            offered, refused = offered + bool(value), refused + (not value)
            return value
        return f"{now.command}{word}.py" if word in VERBS else now.names.get(word, f"<{word}>")

    line = " ".join(HOLE.sub(fill, text).split())
    return "" if refused and not offered else line
