"""Who holds device files open: read from /proc, so that a stale process is a real one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple


class Holder(NamedTuple):
    """One process that has a device file open."""

    pid: int
    comm: str
    cmdline: str
    rss_mb: int


def holders(proc: Path, dev: Path, prefix: str, first: int = 0) -> dict[int, list[Holder]]:
    """Processes by device number, for the files `dev`/`prefix`N; `first` is the number of device 0."""
    # A file removed while it is held still counts: the kernel marks its name.
    pattern = re.compile(rf"{re.escape(str(dev.resolve()))}/{prefix}(\d+)(?: \(deleted\))?")
    found: dict[int, list[Holder]] = {}
    for pid in sorted(int(p.name) for p in proc.iterdir() if p.name.isdigit()):
        numbers = {int(m[1]) - first for t in targets(proc / str(pid) / "fd") if (m := pattern.fullmatch(t))}
        for number in sorted(numbers):
            found.setdefault(number, []).append(describe(proc / str(pid), pid))
    return found


def targets(folder: Path) -> list[str]:
    """What the descriptors of one process point to; nothing when it is gone or not ours to see."""
    names: list[str] = []
    try:
        for link in folder.iterdir():
            try:
                names.append(str(link.readlink()))
            except OSError:
                continue
    except OSError:
        return names
    return names


def describe(folder: Path, pid: int) -> Holder:
    status = dict(line.split(":", 1) for line in text(folder / "status").splitlines() if ":" in line)
    rss = status.get("VmRSS", "0").split()
    return Holder(
        pid=pid,
        comm=status.get("Name", "").strip(),
        cmdline=text(folder / "cmdline").replace("\0", " ").strip(),
        rss_mb=max(1, int(rss[0]) // 1024) if rss else 1,
    )


def text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def sizes(held: list[Holder], process_mb: list[int]) -> list[int]:
    """MB of each holder: the state's numbers in order of pid, the last one for all others; else its resident size."""
    if not process_mb:
        return [h.rss_mb for h in held]
    return [process_mb[min(i, len(process_mb) - 1)] for i in range(len(held))]
