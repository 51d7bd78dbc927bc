"""Bytes and times as people read them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
WINDOW = 30.0


def size(count: float) -> str:
    for unit, name in UNITS:
        if count >= unit:
            return f"{count / unit:.{0 if count >= 100 * unit else 1}f} {name}"
    return f"{count:.0f} bytes"


def span(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def files(names: list[str] | tuple[str, ...], most: int = 3) -> str:
    """The first few by name."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


@dataclass
class Speed:
    """Bytes done, seen over the last half minute: what was there already is no speed."""

    seen: deque[tuple[float, int]] = field(default_factory=deque)

    def note(self, now: float, done: int) -> None:
        self.seen.append((now, done))
        while now - self.seen[0][0] > WINDOW:
            self.seen.popleft()

    @property
    def rate(self) -> float:
        (start, first), (end, last) = self.seen[0], self.seen[-1]
        return (last - first) / (end - start) if end > start else 0.0

    def words(self, total: int | None) -> str:
        """43.2 of 230 GB, 1.2 GB/s, 2 min 35 s left."""
        done = self.seen[-1][1]
        if not total:
            return f"{size(done)}, {size(self.rate)}/s"
        left = f", {span((total - done) / self.rate)} left" if self.rate > 0 and done < total else ""
        return f"{size(done)} of {size(total)} ({100 * done // total}%), {size(self.rate)}/s{left}"
