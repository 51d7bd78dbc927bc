"""What the engines write: log lines in their own layouts, progress bars as tqdm draws them."""

from __future__ import annotations

import os
import socket
import time
import traceback
from contextlib import suppress

from .knobs import Knobs

OUT, ERR = 1, 2


def put(text: str, stream: int = OUT) -> None:
    """One write, so that lines of many processes do not mix."""
    with suppress(OSError):  # nobody may read any more
        os.write(stream, text.encode("utf-8", "surrogateescape"))


class Log:
    """One process' log; `name` is what its lines are marked with."""

    stream = OUT

    def __init__(self, name: str | None, knobs: Knobs) -> None:
        self.name = name
        self.knobs = knobs

    def now(self) -> time.struct_time:
        return time.localtime(time.time() + self.knobs.number("clock", 0))

    def head(self, level: str, where: str) -> str:
        return f"{level} {time.strftime('%m-%d %H:%M:%S', self.now())} [{where}] "

    def info(self, where: str, message: str) -> None:
        self.log("INFO", where, message)

    def warning(self, where: str, message: str) -> None:
        self.log("WARNING", where, message)

    def log(self, level: str, where: str, message: str) -> None:
        head = self.head(level, where)
        # Continued lines carry the head too, behind a carriage return: vLLM's own formatter does that.
        self.plain("\r\n".join(head + line for line in message.split("\n")), self.stream)

    def failure(self, where: str, message: str, error: BaseException) -> None:
        """`message` with a traceback that ends in the error, as logger.exception writes it."""
        shown = traceback.TracebackException.from_exception(error)
        shown.stack = traceback.StackSummary.from_list([("double", 0, "double", None)])
        self.log("ERROR", where, message + "\n" + "".join(shown.format(chain=False)).rstrip("\n"))

    def plain(self, text: str, stream: int = ERR) -> None:
        """Text as it is, each line marked with the process."""
        put("".join(f"{self.mark()}{line}\n" for line in text.split("\n")), stream)

    def mark(self) -> str:
        return f"({self.name} pid={os.getpid()}) " if self.name else ""


class ClassicLog(Log):
    """SGLang's layout: no levels, `name` beside the time."""

    stream = ERR

    def log(self, level: str, where: str, message: str) -> None:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", self.now())
        put(f"[{stamp}{' ' + self.name if self.name else ''}] {message}\n", self.stream)

    def mark(self) -> str:
        return ""


class XinferenceLog(ClassicLog):
    """Xinference's layout: time, level, module, who and where."""

    def __init__(self, address: str, knobs: Knobs) -> None:
        super().__init__(None, knobs)
        self.address = address

    def log(self, level: str, where: str, message: str) -> None:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + self.knobs.number("clock", 0)))
        whose = f"pid:{os.getpid()} role:local address:{self.address} node:{socket.gethostname()}"
        put(f"{stamp}.000Z {level} {where} {whose} {message}\n", self.stream)


class Shards:
    """The bar of checkpoint shards: its format ends in a newline, so every step is a line, with a carriage return before it."""

    def __init__(self, log: Log, total: int, title: str = "Loading safetensors checkpoint shards") -> None:
        self.log, self.total, self.title = log, total, title
        self.began = time.monotonic()

    def show(self, done: int) -> None:
        spent = time.monotonic() - self.began
        share = f"{100 * done / self.total:3.0f}% Completed | {done}/{self.total} [{clock(spent)}<"
        put(f"{self.log.mark()}\r{self.title}: {share}{rest(done, self.total, spent)}]\n", ERR)

    def end(self) -> None:
        self.show(self.total)
        put(f"{self.log.mark()}\n", ERR)


class Bar:
    """An ordinary bar: it redraws one line with carriage returns and ends it only when it is full."""

    def __init__(self, log: Log, total: int, title: str) -> None:
        self.log, self.total, self.title = log, total, title
        self.began = time.monotonic()

    def show(self, done: int) -> None:
        spent = time.monotonic() - self.began
        fill = "█" * (10 * done // self.total)
        head = self.log.mark() if not done else ""
        share = f"{100 * done / self.total:3.0f}%|{fill:<10}| {done}/{self.total} [{clock(spent)}<"
        put(f"{head}\r{self.title}: {share}{rest(done, self.total, spent)}]", ERR)

    def end(self) -> None:
        put("\n", ERR)


def clock(seconds: float) -> str:
    whole = int(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes:02}:{whole % 60:02}"


def rest(done: int, total: int, spent: float) -> str:
    if not done:
        return "?, ?it/s"
    rate = done / max(spent, 1e-3)
    speed = f"{rate:5.2f}it/s" if rate >= 1 else f"{1 / rate:5.2f}s/it"
    return f"{clock((total - done) / rate)}, {speed}"
