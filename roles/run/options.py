"""What each verb takes with --data, besides cluster keys: a closed list."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from roles.plan.cluster import CLUSTER, HOST
from roles.plan.errors import PlanError, listed, near, shown
from roles.plan.keys import passes_through

SECONDS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class Option:
    """One option: how it is read, and what it does."""

    read: Callable[[Any], Any]
    expected: str
    does: str


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, (str, int)) or isinstance(value, bool) or not str(value).strip():
        raise ValueError
    return str(value)


def _seconds(value: Any) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", str(value))
    if not found or isinstance(value, bool):
        raise ValueError
    return float(found[1]) * SECONDS[found[2] or "s"]


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError
    return value


def _positive(value: Any) -> int:
    if _count(value) == 0:
        raise ValueError
    return int(value)


def _counts(value: Any) -> tuple[int, ...]:
    """Different numbers from 1 on, in the order they were given."""
    items = value if isinstance(value, list) else [int(v) for v in str(value).split(",")]
    return tuple(dict.fromkeys(_positive(i) for i in items))


def _share(value: Any) -> float:
    """0.1 and 10% are the same."""
    found = re.fullmatch(r"(\d*\.?\d+)(%?)", str(value))
    share = float(found[1]) / (100 if found[2] else 1) if found and not isinstance(value, bool) else 0.0
    if not 0 < share < 1:
        raise ValueError
    return share


def _choice(*words: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value is False and "off" in words:
            return "off"
        if value not in words:
            raise ValueError
        return str(value)

    return read


def _flags(does: str) -> Option:
    return Option(_flag, "true or false", does)


RUNS = Option(_text, "a folder", "where the run folder is made (default: runs/ of this checkout)")
SKIP = Option(_text, "check ids with commas between them", "checks to leave out; recorded in the report")
FABRIC = Option(_choice("rail", "full", "off"), "rail, full or off", "NPU-to-NPU ping: card i to card i, all pairs, or none")
TAKEOVER = _flags("take the nodes' lock from whoever holds it")
SOAK = Option(_seconds, "a time such as 90s or 10m", "how long requests are sent at the end of the proof")

LOOKING = {"runs": RUNS, "skip": SKIP, "fabric": FABRIC}
PREPARING = {**LOOKING, "takeover": TAKEOVER, "restart_docker": _flags("restart Docker though other containers run")}
VERBS: Mapping[str, Mapping[str, Option]] = {
    "check": LOOKING,
    "prepare": PREPARING,
    "serve": {
        **PREPARING,
        "soak": SOAK,
        "keep": _flags("leave a failed start as it is, for a look at it"),
        "rolling": Option(_count, "a number of replicas", "how many replicas are taken down at a time for a change (default: all)"),
        "rollback": Option(
            _choice("auto", "ask", "never", "now"),
            "auto, ask, never or now",
            "a change that fails its proof: back to the plan before, ask first, or stay; now: go back to it without a change",
        ),
        "rekey": _flags("give the nodes this machine's API key, which restarts what runs with another"),
        "forget": Option(_text, "a node's name", "a node that left the inventory while our containers were on it"),
    },
    "verify": {"runs": RUNS, "soak": SOAK},
    "status": {"runs": RUNS, "watch": Option(_seconds, "a time such as 5s", "look again and again, with this pause")},
    "logs": {
        "runs": RUNS,
        "follow": _flags("go on until Ctrl-C"),
        "tail": Option(_count, "a number of lines", "how many of the last lines of each node (default 200; 0: all)"),
    },
    "bench": {
        "runs": RUNS,
        "scenario": Option(_text, "names of benchmarks with commas between them", "which of the recipe's benchmarks (default: all)"),
        "sweep": Option(_counts, "numbers such as 1,4,16", "each benchmark at these numbers of requests at the same time"),
        "prompts": Option(_positive, "a number of requests from 1 on", "how many requests in all, instead of the recipe's"),
        "seed": Option(_count, "a whole number", "the tools' seed (default: a new one each time, so that no cache answers)"),
        "tolerance": Option(_share, "a share such as 0.1 or 10%", "how far a figure may be worse than the one beside it (default 10%)"),
        "limit": Option(_seconds, "a time such as 30m", "how long one benchmark may take (default 2h)"),
    },
    "doctor": {"runs": RUNS},
    "stop": {"runs": RUNS, "takeover": TAKEOVER},
    "clean": {
        "runs": RUNS,
        "takeover": TAKEOVER,
        "stale": _flags("end orphaned engines too"),
        "confirm": Option(_text, "the cluster's name", "says that you mean this cluster"),
        "foreign": Option(_text, "NODE:PID or NODE:CONTAINER, with commas between them", "end these, which are not ours"),
        "remove": Option(_text, "image, weights", "what else to delete from the nodes"),
        "revert": _flags("put the recorded host settings back"),
    },
}
CHANGING = ("prepare", "serve", "stop", "clean")


def split(verb: str, data: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """--data, as (options of the verb, cluster keys); a word that is neither is refused here."""
    known = VERBS[verb]
    options: dict[str, Any] = {}
    keys: dict[str, Any] = {}
    problems: list[str] = []
    for name, value in data.items():
        if name not in known:
            keys[name] = value
            problems += [wrong] if (wrong := _unknown(verb, name)) else []
            continue
        try:
            options[name] = known[name].read(value)
        except ValueError:
            problems.append(f"--data {name}: found {shown(value)}, expected {known[name].expected}")
    if problems:
        raise PlanError(*problems)
    return options, keys


def _unknown(verb: str, name: str) -> str:
    """A word that is neither an option of this verb nor a key of inventories; keys of one host are judged with the inventory."""
    if name.partition(".")[0] in (*CLUSTER, *HOST) or passes_through(name):
        return ""
    others = [v for v, options in VERBS.items() if name in options]
    belongs = f"; it belongs to {listed(others)}" if others else ""
    return f"--data {name}: {verb} has no such option, and inventories no such key{near(name, [*VERBS[verb], *CLUSTER])}{belongs}"
