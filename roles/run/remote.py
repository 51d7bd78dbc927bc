"""One script, run on one node: its lines as they come, its exit code, and a way to answer it."""

from __future__ import annotations

import codecs
import shlex
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import gevent
from pyinfra.api.arguments import CONNECTOR_ARGUMENT_KEYS, pop_global_arguments
from pyinfra.api.command import QuoteString, StringCommand
from pyinfra.api.exceptions import ConnectError
from pyinfra.api.host import Host
from pyinfra.api.state import State
from pyinfra.connectors.util import make_unix_command_for_host

FRAME = "\x1ebringup"
"""The first line of an answer. What stands before it was said by a login shell's own files, or by sudo."""
BOOT = r"unset ENV BASH_ENV; printf '\n\036bringup\n'; " + 'IFS= read -r n && s=$(head -c "$n") && eval "$s"'
"""The script comes by stdin, its length first: argv stays short in process lists and in sudo's log, and stdin stays open for answers."""
TIED = "exec 9<&0; ( trap '' TERM; cat; kill -TERM 0 ) <&9 >/dev/null 2>&1 &\nexec 9<&- </dev/null\n"
"""Ends the script with its connection: what a dead controller began does not go on alone."""
APT = Path(__file__).with_name("apt.sh")
"""Before scripts that install Debian packages."""
LOST = -2
CANCELLED = -3
LATE = -4
TICK = 0.2
NOISE = 200
"""Lines before the frame that are kept, for the case that they are all there is."""
UNACKED = 45_000
"""Milliseconds after which data that nobody acknowledged means a lost connection; the kernel's own patience is a quarter of an hour."""


class Flag(Protocol):
    """What ends a wait: an Event, or several of them as one."""

    def is_set(self) -> bool: ...


class Either:
    """Set when any of its events is: a wait that ends for more than one reason."""

    def __init__(self, *events: Flag) -> None:
        self.events = events

    def is_set(self) -> bool:
        return any(e.is_set() for e in self.events)

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.is_set() and time.monotonic() < end:
            gevent.sleep(0.1)


Reply = Callable[[str], None]
OnLine = Callable[[str, Reply], None]


@dataclass(frozen=True)
class Done:
    """How a script ended: its code (negative: it did not end by itself) and its lines."""

    code: int
    lines: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def said(self) -> str:
        """Its last words."""
        words = {LOST: "the connection was lost", CANCELLED: "cancelled", LATE: "no answer in time"}
        return words.get(self.code) or next((line.strip() for line in reversed(self.lines) if line.strip()), f"exit code {self.code}")


def script(*files: Path, values: Mapping[str, object] | None = None) -> str:
    """Shell files with values set before them, all quoted."""
    head = "".join(f"{name}={shlex.quote(str(value))}\n" for name, value in (values or {}).items())
    return head + "".join(f.read_text(encoding="utf-8") for f in files)


def run(
    state: State,
    host: Host,
    name: str,
    text: str,
    *,
    secret: str = "",
    on_line: OnLine | None = None,
    limit: float | None = None,
    cancel: Flag | None = None,
    tied: bool = False,
    keep: bool = True,
) -> Done:
    """Run a script on a host. `name` is what process lists show; `secret` is what its `cat` reads, seen by no one else.

    `tied`: the script ends with its connection. `keep=False`: lines go to `on_line` only, for streams without an end.
    """
    client = getattr(host.connector, "client", None)
    if client is None:
        return _plainly(state, host, name, text, secret, on_line)
    data = ((TIED if tied else "") + text).encode()
    try:
        channel = client.get_transport().open_session(timeout=min(limit or 30, 30))
        channel.set_combine_stderr(True)
        channel.exec_command(_command(state, host, ["sh", "-c", BOOT, name]))
        with suppress(OSError):  # closed over there already: what it said tells why
            channel.sendall(b"%d\n" % len(data) + data + secret.encode())
            if not on_line and not tied:
                channel.shutdown_write()
        lines: list[str] = []
        code = _listen(channel, lines if keep else None, on_line, limit, cancel)
    except (OSError, EOFError, AttributeError) as e:  # paramiko says a lost connection in all three ways
        return Done(LOST, (str(e),) if str(e) else ())
    except Exception as e:
        if type(e).__module__.startswith("paramiko"):
            return Done(LOST, (str(e),))
        raise
    return Done(code, tuple(lines))


def reach_again(host: Host) -> bool:
    """A new connection where the old one is gone; False while there is none to be had."""
    transport = getattr(getattr(host.connector, "client", None), "get_transport", lambda: None)()
    if transport is None:
        return False
    if transport.is_active():
        transport.close()  # it stands, and nothing gets through it
    try:
        host.connector.connect()
    except ConnectError:
        return False
    nodelay(host)
    return True


def answers(state: State, host: Host) -> bool:
    """Whether a node still does what it is told: one that hangs must not be waited for as long as an engine that stops."""
    return run(state, host, "bringup-answers", ":\n", limit=10).ok


def _command(state: State, host: Host, argv: Sequence[str]) -> str:
    """With the inventory's sudo, su or doas around it, as pyinfra does for its own commands."""
    return make_unix_command_for_host(state, host, _quoted(argv), **_arguments(state, host)).get_raw_value()


def _arguments(state: State, host: Host) -> dict[str, Any]:
    found, _ = pop_global_arguments(state, host, {})
    outside = ("_stdin", "_get_pty", "_timeout", "_success_exit_codes")
    return {k: v for k, v in found.items() if k in CONNECTOR_ARGUMENT_KEYS and k not in outside}


def _quoted(argv: Sequence[str]) -> StringCommand:
    return StringCommand(*(QuoteString(a) for a in argv))


def _plainly(state: State, host: Host, name: str, text: str, secret: str, on_line: OnLine | None) -> Done:
    """Connectors without a channel of their own (@fake, @local, @docker): one command, nothing can be answered."""
    extra: dict[str, Any] = {"_stdin": secret} if secret else {}
    ok, output = host.run_shell_command(_quoted(["sh", "-c", text, name]), **_arguments(state, host), **extra)
    lines = tuple(line.line for line in output)
    for line in lines if on_line else ():
        on_line(line, lambda _: None)  # type: ignore[misc]
    return Done(0 if ok else 1, lines)


def _listen(channel: Any, lines: list[str] | None, on_line: OnLine | None, limit: float | None, cancel: Flag | None) -> int:
    """Lines until the script ends; a bar drawn with \\r is a line each time. What comes before the frame counts only where none comes."""
    end = None if limit is None else time.monotonic() + limit
    pending, decode = "", codecs.getincrementaldecoder("utf-8")("replace")
    noise: list[str] | None = []
    channel.settimeout(TICK)

    def reply(text: str) -> None:
        with suppress(OSError):
            channel.sendall(text.encode())

    while True:
        if cancel is not None and cancel.is_set():
            return _gone(channel, CANCELLED)
        if end is not None and time.monotonic() > end:
            return _gone(channel, LATE)
        try:
            raw = channel.recv(1 << 16)
        except socket.timeout:  # noqa: UP041 - paramiko's own on Python 3.10
            if not channel.get_transport().is_active():
                return LOST
            continue
        *whole, pending = (pending + decode.decode(raw, final=not raw)).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        if not raw and pending:
            whole.append(pending)
        for line in whole:
            if noise is not None:
                noise = None if line == FRAME else [*noise, line][-NOISE:]
                continue
            if lines is not None:
                lines.append(line)
            if on_line:
                on_line(line, reply)
        if not raw:
            with suppress(OSError):
                channel.shutdown_write()
            if noise and lines is not None:
                lines += noise
            code: int = channel.recv_exit_status()
            return LOST if code == -1 else code


def _gone(channel: Any, code: int) -> int:
    with suppress(OSError, EOFError):
        channel.close()
    return code


def together(tasks: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """Run one function per node at the same time; results by node, the first error raised when all have ended."""
    jobs = {name: gevent.spawn(task) for name, task in tasks.items()}
    gevent.joinall(list(jobs.values()))
    return {name: job.get() for name, job in jobs.items()}


def nodelay(host: Host) -> None:
    """Without this every exec waits 40 ms for Nagle and a delayed ACK; idle hosts are kept, and ones that are cut off are noticed."""
    transport = getattr(getattr(host.connector, "client", None), "get_transport", lambda: None)()
    if transport is not None:
        transport.set_keepalive(15)
        with suppress(OSError, AttributeError):  # a jump host's channel is no socket
            transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKED)  # Linux; AttributeError elsewhere


def numbered(lines: Sequence[str]) -> Iterator[str]:
    """Lines as a log file keeps them."""
    for line in lines:
        yield f"{line}\n"
