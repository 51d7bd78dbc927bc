"""What happens on each node: a live block on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO


class Progress:
    """One line per node. `say` is an event worth keeping; `show` is only the present state."""

    def __init__(self, nodes: list[str], out: TextIO | None = None, live: bool | None = None) -> None:
        self.out = out or sys.stderr
        self.live = self.out.isatty() if live is None else live
        self.width = max((len(n) for n in nodes), default=1)
        self.now: dict[str, str] = {}
        self.began = time.monotonic()
        self.drawn = 0
        self.quiet: dict[str, float] = {}

    def say(self, node: str, text: str) -> None:
        """A line that stays."""
        self._wipe()
        print(f"{self._elapsed()}  {node.ljust(self.width)}  {text}", file=self.out, flush=True)
        self.now[node] = text
        self._draw()

    def show(self, node: str, text: str) -> None:
        """Progress inside a stage: redrawn on a terminal, at most every 10 s elsewhere."""
        self.now[node] = text
        if self.live:
            self._wipe()
            self._draw()
        elif time.monotonic() - self.quiet.get(node, 0) >= 10:
            self.quiet[node] = time.monotonic()
            print(f"{self._elapsed()}  {node.ljust(self.width)}  {text}", file=self.out, flush=True)

    def end(self) -> None:
        self._wipe()
        self.now.clear()

    def _elapsed(self) -> str:
        seconds = int(time.monotonic() - self.began)
        return f"{seconds // 60:3d}:{seconds % 60:02d}"

    def _wipe(self) -> None:
        if self.drawn:
            self.out.write(f"\033[{self.drawn}A\033[J")
            self.drawn = 0

    def _draw(self) -> None:
        if not self.live:
            return
        size = shutil.get_terminal_size()
        for node, text in list(self.now.items())[: max(size.lines - 2, 1)]:
            self.out.write(f"\033[2m{self._elapsed()}\033[0m  {node.ljust(self.width)}  {text}"[: size.columns + 8] + "\n")
            self.drawn += 1
        self.out.flush()
