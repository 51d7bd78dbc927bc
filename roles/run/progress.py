"""What happens on each node: a live block on a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from roles.run import terminal

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

PERCENT = re.compile(r"\((\d+)%\)")
COUNTED = re.compile(r"(?<![\w/.])(\d+)(?:/| of )(\d+)(?![\w/.])")
BAR, ROOM = 20, 70
"""How wide a bar is, and the terminal that has room for one."""
QUIET = 10.0


class Progress:
    """One line per node. `say` is an event worth keeping; `show` is only the present state."""

    def __init__(self, nodes: Iterable[str] = ()) -> None:
        self.nodes = list(nodes)
        self.live = terminal.redraws(sys.stderr)
        self.now: dict[str, str] = {}
        self.since: dict[str, float] = {}
        self.began = time.monotonic()
        self.quiet: dict[str, float] = {}
        self.bars = False

    def say(self, node: str, text: str) -> None:
        """A line that stays."""
        self.now[node], self.since[node] = text, time.monotonic()
        self._line(node, text)
        if self.live:
            terminal.BLOCK.draw(self)

    def show(self, node: str, text: str) -> None:
        """Progress inside a stage: redrawn on a terminal, at most every 10 s elsewhere. What it counts is a bar, too."""
        self.now[node] = text
        self.since.pop(node, None)
        if self.live:
            terminal.BLOCK.draw(self)
        elif time.monotonic() - self.quiet.get(node, 0) >= QUIET:
            self.quiet[node] = time.monotonic()
            self._line(node, text)

    def forget(self, node: str) -> None:
        """This one is done."""
        self.now.pop(node, None)
        if not self.now:
            self.end()

    def end(self) -> None:
        self.now.clear()
        terminal.BLOCK.drop(self)

    @property
    def width(self) -> int:
        return max(map(len, [*self.nodes, *self.now]), default=1)

    def _line(self, node: str, text: str) -> None:
        terminal.line((clock(time.monotonic() - self.began), "dim"), f"  {node.ljust(self.width)}  {text}", out=sys.stderr)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """A row per node, in the plan's order; those that the terminal has no line for are counted."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        at = time.monotonic()
        names = [n for n in self.nodes if n in self.now] + [n for n in self.now if n not in self.nodes]
        lines = max(console.height - 2, 2)
        shown = names if len(names) <= lines else names[: lines - 1]
        node = min(self.width, options.max_width // 3)
        shares = {n: share(self.now[n]) for n in shown}
        self.bars = self.bars or any(s is not None for s in shares.values())  # from then on: columns stay where they are
        bar = BAR if self.bars and options.max_width >= ROOM else 0
        rows = Table.grid(padding=(0, 2, 0, 0))
        rows.add_column(width=6, style="dim")
        for width in (node, *([bar] if bar else []), max(options.max_width - 10 - node - (bar + 2 if bar else 0), 1)):
            rows.add_column(width=width, no_wrap=True, overflow="crop" if options.ascii_only else "ellipsis")
        for n in shown:
            done = shares[n]
            more = (f"  {clock(at - self.since[n]).strip()}" if n in self.since else "", "dim")
            drawn = "" if done is None else ProgressBar(100, 100 * done, BAR, complete_style="cyan", finished_style="green")
            rows.add_row(clock(at - self.began), n, *([drawn] if bar else []), terminal.text(self.now[n], more))
        yield rows
        if len(names) > len(shown):
            yield terminal.text((f"        and {len(names) - len(shown)} more nodes", "dim"))


def share(text: str) -> float | None:
    """How much of the whole is done, where a text counts it: `45/126`, `3 of 12`, `(18%)`."""
    found = PERCENT.search(text) or COUNTED.search(text)
    done, total = [*map(int, found.groups()), 100][:2] if found else (0, 0)
    return min(done / total, 1.0) if total else None


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60:3d}:{int(seconds) % 60:02d}"
