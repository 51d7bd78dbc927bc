"""Real processes: forked, named as the engines name theirs, holding the device files they would hold."""

from __future__ import annotations

import ctypes
import mmap
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

PR_SET_NAME = 15
OWN: list[socket.socket] = []  # what a child must not inherit: a spawned process would not have it


class Child:
    """A process we started; `code` is its exit code once it ended, negative for a signal."""

    def __init__(self, pid: int, name: str) -> None:
        self.pid, self.name = pid, name
        self.code: int | None = None

    def ended(self) -> bool:
        if self.code is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = self.pid, 0
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def wait(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not self.ended() and time.monotonic() < deadline:
            time.sleep(0.005)
        return self.ended()

    def signal(self, number: int) -> None:
        if not self.ended():
            os.kill(self.pid, number)


def fork(name: str, work: Callable[[], int], keep: Iterable[socket.socket] = ()) -> Child:
    """`work` in a child that has of our sockets only those in `keep`."""
    pid = os.fork()
    if pid:
        return Child(pid, name)
    code = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        kept = list(keep)
        for sock in [s for s in OWN if s not in kept]:
            sock.close()
            OWN.remove(sock)
        code = work()
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def end(children: Iterable[Child], grace: float = 2.0) -> None:
    """TERM, then KILL for each that stays, as the launcher of vLLM does."""
    left = [c for c in children if not c.ended()]
    for child in left:
        child.signal(signal.SIGTERM)
    deadline = time.monotonic() + grace
    while left and time.monotonic() < deadline:
        left = [c for c in left if not c.ended()]
        time.sleep(0.01)
    for child in left:
        for pid in [*descendants(child.pid), child.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        os.waitpid(child.pid, 0)
        child.code = -signal.SIGKILL


def descendants(pid: int) -> list[int]:
    """Children and their children, from /proc."""
    try:
        own = [int(p) for t in Path(f"/proc/{pid}/task").iterdir() for p in (t / "children").read_text().split()]
    except OSError:
        return []
    return [p for child in own for p in (child, *descendants(child))]


def _region() -> tuple[int, int]:
    """Where the kernel reads this process' command line."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        return int(fields[45]), int(fields[46])
    except (OSError, IndexError):
        return 0, 0


START, STOP = _region()


def title(text: str) -> None:
    """Shows `text` as command line, as setproctitle does, and its first 15 bytes as the process' name."""
    name = text.encode()
    room = STOP - START
    if room > 1:
        ctypes.memmove(START, name[: room - 1].ljust(room, b"\0"), room)
    rename(text)


def rename(text: str) -> None:
    """The process' short name only: what a script has that is started by its own name."""
    ctypes.CDLL(None).prctl(PR_SET_NAME, text.encode()[:15], 0, 0, 0)


def visible(env: Mapping[str, str], name: str) -> list[int] | None:
    """Device numbers that a variable such as ASCEND_RT_VISIBLE_DEVICES leaves; None when it is not set."""
    text = env.get(name)
    return None if text is None else [int(n) for n in text.split(",") if n.strip().isdigit()]


FAMILIES = (
    ("ASCEND_RT_VISIBLE_DEVICES", "davinci{}", 0, ("davinci_manager", "devmm_svm", "hisi_hdc")),
    ("CUDA_VISIBLE_DEVICES", "nvidia{}", 0, ("nvidiactl", "nvidia-uvm")),
    ("HIP_VISIBLE_DEVICES", "dri/renderD{}", 128, ("kfd",)),
)


def devices(env: Mapping[str, str], index: int, world: int) -> list[int]:
    """Opens the device files of the local worker `index` and keeps them open; none where no such hardware shows.

    Where some devices show but too few, it fails as vLLM does: a container that was not given all of them.
    """
    dev = Path(env.get("DOUBLE_DEV", "/dev"))
    for variable, pattern, first, managers in FAMILIES:
        there = [n for n in range(64) if (dev / pattern.format(first + n)).exists()]
        if not there:
            continue
        allowed = visible(env, variable)
        usable = there if allowed is None else [n for n in allowed if n in there]
        if max(world, index + 1) > len(usable):
            raise AssertionError(f"local_world_size ({world}) must be less than or equal to the number of visible devices ({len(usable)}).")
        names = [pattern.format(first + usable[index]), *managers]
        return [os.open(dev / n, os.O_RDWR) for n in names if (dev / n).exists()]
    return []


class Shared:
    """A mapped file of shared memory that only a clean end removes."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.path = Path(env.get("DOUBLE_SHM", "/dev/shm")) / f"psm_{secrets.token_hex(4)}"
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            os.ftruncate(handle, 4096)
            self.map: mmap.mmap | None = mmap.mmap(handle, 4096)
            os.close(handle)
        except OSError:
            self.map = None

    def remove(self) -> None:
        if self.map is not None:
            self.map.close()
            self.path.unlink(missing_ok=True)
