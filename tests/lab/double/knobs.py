"""How the double misbehaves: the knobs of DOUBLE and, over them, those of the file DOUBLE_CONTROL, read again while it runs."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path

BROKEN_DOUBLE = 97
NAMES = (
    *("die", "stall", "weights", "shards", "pace", "token", "clock", "handshake", "fatal", "fatal-at", "oom", "unrecognized"),
    *("lie", "models", "deaf", "garbled", "mute", "hang", "noterm", "orphans", "peer-code", "hccl"),
)
STAGES = ("container", "engine", "distributed", "weights", "loaded", "kv-cache", "graph", "ready", "http", "serving")
KNOB = re.compile(r"([\w-]+)(?:@(\d+))?\s*(?:=\s*(.*))?", re.DOTALL)
OFF = ("", "off", "no", "false")
NUMBERS = ("weights", "shards", "pace", "token", "clock", "handshake", "peer-code")
SWITCHES = ("oom", "lie", "deaf", "garbled", "hang", "noterm", "orphans", "hccl")

Key = tuple[str, "int | None"]  # name, data-parallel rank it is for (None: all)


class KnobError(Exception):
    """A mistake in the test, not in what is tested."""


def pieces(text: str) -> list[str]:
    """One knob each. Only a fatal line may hold commas itself, before a word that is no knob."""
    found: list[str] = []
    for line in text.split("\n"):
        if line.strip().startswith("#"):
            continue
        fresh = True
        for part in line.split(","):
            name = KNOB.fullmatch(part.strip())
            inside = not fresh and found and found[-1].startswith("fatal") and (name is None or name[1] not in NAMES)
            if inside:
                found[-1] += "," + part
            else:
                found.append(part.strip())
            fresh = False
    return [p.strip() for p in found if p.strip()]


def parse(text: str) -> dict[Key, str]:
    """`name=value` or `name@RANK=value`, separated by commas or lines; a bare name is on."""
    found: dict[Key, str] = {}
    for line in pieces(text):
        match = KNOB.fullmatch(line)
        if not match or match[1] not in NAMES:
            raise KnobError(f"double: unknown knob {line.partition('=')[0]!r}; there are {', '.join(NAMES)}")
        staged = match[1] in ("die", "stall", "fatal-at") and (match[3] or "").lower() not in OFF
        if staged and (match[3] or "").partition(":")[0] not in STAGES:
            raise KnobError(f"double: {line!r} names no stage; there are {', '.join(STAGES)}")
        if match[1] in NUMBERS and (match[3] or "").lower() not in OFF:
            try:
                float(match[3])
            except ValueError:
                raise KnobError(f"double: {line!r} is no number") from None
        found[match[1], int(match[2]) if match[2] else None] = "1" if match[3] is None else match[3].strip()
    return found


class Knobs:
    """The knobs as they are now, seen by one data-parallel rank."""

    def __init__(self, env: Mapping[str, str], rank: int | None = None) -> None:
        self.rank = rank
        self.given = parse(env.get("DOUBLE", ""))
        self.file = Path(env["DOUBLE_CONTROL"]) if env.get("DOUBLE_CONTROL") else None
        self.controlled: dict[Key, str] = {}
        self.stamp: tuple[int, int] | None = None
        self.looked = 0.0
        self.printed: set[str] = set()
        self._look(strict=True)

    def get(self, name: str) -> str | None:
        """The knob's value, None when it is off; the control file is over the environment, one rank over all."""
        if time.monotonic() - self.looked > 0.02:
            self._look()
        for source in (self.controlled, self.given):
            for key in ((name, self.rank), (name, None)):
                if key in source:
                    off = source[key].lower() in OFF or (name in SWITCHES and source[key] == "0")
                    return None if off else source[key]
        return None

    def on(self, name: str) -> bool:
        return self.get(name) is not None

    def number(self, name: str, default: float) -> float:
        value = self.get(name)
        return default if value is None else float(value)

    def at(self, name: str, stage: str) -> str | None:
        """What follows the stage in `name=STAGE:MORE` when the knob names this stage; None when it does not."""
        where, _, more = (self.get(name) or "").partition(":")
        return more if where == stage else None

    def code(self, default: int = 1) -> int:
        """The exit code that `die=STAGE:CODE` asks for."""
        more = (self.get("die") or "").partition(":")[2]
        return int(more) if more else default

    def ranks(self, name: str, rank: int) -> bool:
        """Whether a knob that lists ranks, `1+3`, names this one."""
        return str(rank) in (self.get(name) or "").split("+")

    def line(self, stage: str) -> str | None:
        """A line to print at this stage: `fatal`, once a process, at the stage `fatal-at` says."""
        text = self.get("fatal")
        due = stage == (self.get("fatal-at") or "distributed")
        if text is None or not due or text in self.printed:
            return None
        self.printed.add(text)
        return text

    def _look(self, strict: bool = False) -> None:
        self.looked = time.monotonic()
        if self.file is None:
            return
        try:
            info = self.file.stat()
            stamp = (info.st_mtime_ns, info.st_size)
            if stamp == self.stamp:
                return
            self.stamp, self.controlled = stamp, parse(self.file.read_text(encoding="utf-8"))
        except OSError:
            self.stamp, self.controlled = None, {}
        except KnobError as e:
            if strict:
                raise
            print(e, file=sys.stderr, flush=True)
