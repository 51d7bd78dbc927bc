"""When a line was written, in the many ways logs say it. Pure; times are seconds since 1970 on the node's own clock."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

DOCKER = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(?:Z|\+00:00) ?")
EPOCH = re.compile(r"^(\d{9,11}\.\d{3,6}) ")
KERNEL = re.compile(r"^(?:<\d+>)?\[ *(\d+\.\d+)\] ?")
ASCEND = re.compile(r"(\d{4})-(\d\d)-(\d\d)-(\d\d):(\d\d):(\d\d)(?:\.(\d{3})(?:\.\d{3})?)?")
VLLM = re.compile(r"\b(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) (\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:[.,](\d{3}))?\b")
GLOG = re.compile(r"^(?:\S*\]:)?\[?[IWEF](\d{1,2})(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{3})\d*)?\b")
PLAIN = re.compile(r"^\[?(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(?:[.,](\d{3})\d*)?\b")
MARKED = re.compile(r"^(?:\([^)]*pid=\d+\) )+")
DAY, WEST = 86400.0, 36000.0


@dataclass(frozen=True)
class Clock:
    """What is needed to read a node's times: when it was looked at, when it booted, how far its zone is from UTC."""

    collected: float
    boot: float | None = None
    zone: float = 0.0


@dataclass(frozen=True)
class Stamped:
    """A line's time, where it says one, and its text without what was only put before it for transport."""

    at: float | None
    text: str


def stamped(line: str, clock: Clock) -> Stamped:
    """The time on a line of a log: the transport's where there is one, for it is in UTC; else the program's own."""
    found = DOCKER.match(line)
    if found:
        whole = datetime.fromisoformat(found[1]).replace(tzinfo=timezone.utc).timestamp()
        return Stamped(whole + float((found[2] or "0")[:7]), line[found.end() :])
    found = EPOCH.match(line)
    if found:
        return Stamped(float(found[1]), line[found.end() :])
    return Stamped(own(line, clock), line)


def own(line: str, clock: Clock) -> float | None:
    """The time a program wrote into its own line."""
    text = MARKED.sub("", line)
    for regex, reader in FORMATS:
        found = regex.search(text[:300])
        if found:
            try:
                return reader(found, clock)
            except ValueError:  # 99-99: looks like a time and is none
                return None
    return None


def kernel(line: str, clock: Clock) -> Stamped:
    """A line of dmesg: seconds since boot."""
    found = KERNEL.match(line)
    if found is None or clock.boot is None:
        return Stamped(None, line)
    return Stamped(clock.boot + float(found[1]), line[found.end() :])


def _dated(found: re.Match[str], clock: Clock) -> float:
    year, month, day, hour, minute, second = (int(found[i]) for i in range(1, 7))
    at = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc).timestamp()
    return at + float(f"0.{found[7] or 0}") - clock.zone


def _yearless(found: re.Match[str], clock: Clock) -> float:
    """Month and day only: the year is the one that puts the line last before it was collected."""
    month, day, hour, minute, second = (int(found[i]) for i in range(1, 6))
    year = datetime.fromtimestamp(clock.collected + DAY, timezone.utc).year
    for candidate in (year, year - 1, year - 2, year - 3, year - 4):
        try:
            at = datetime(candidate, month, day, hour, minute, second, tzinfo=timezone.utc).timestamp()
        except ValueError:  # 29 February
            continue
        if at - clock.zone <= clock.collected + DAY:
            return at + float(f"0.{found[6] or 0}") - clock.zone
    raise ValueError("no such day")


FORMATS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], Clock], float]], ...] = (
    (VLLM, _yearless),
    (ASCEND, _dated),
    (GLOG, _yearless),
    (PLAIN, _dated),
)


def zone(lines: list[str], default: float, collected: float) -> float:
    """How far the program's zone is from UTC, from lines that carry both times; else a guess that puts no line into the future."""
    found: dict[float, int] = {}
    last = None
    for line in lines:
        outer = DOCKER.match(line)
        inner = own(line[outer.end() :] if outer else line, Clock(collected))
        if inner is None:
            continue
        last = inner
        if outer:
            at = stamped(line, Clock(collected)).at
            assert at is not None
            apart = (round((inner - at) / 900) * 900.0 + WEST) % DAY - WEST
            found[apart] = found.get(apart, 0) + 1
    if found:
        return max(found, key=lambda k: found[k])
    return default if last is not None and last > collected + 600 else 0.0


def offset_of(text: str) -> float:
    """`+0800`, as date(1) says a zone, in seconds."""
    found = re.fullmatch(r"([+-])(\d\d):?(\d\d)", text.strip())
    if not found:
        return 0.0
    seconds = timedelta(hours=int(found[2]), minutes=int(found[3])).total_seconds()
    return seconds if found[1] == "+" else -seconds


def shown(at: float | None) -> str:
    """A time as people are told it."""
    return "" if at is None else f"{datetime.fromtimestamp(at, timezone.utc):%Y-%m-%d %H:%M:%S}"
