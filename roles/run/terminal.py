"""The terminal: what is coloured, how wide it may be, and what of a text from elsewhere may reach it. Drawn by rich."""

from __future__ import annotations

import atexit
import os
import re
import sys
import time
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from typing import TYPE_CHECKING, TextIO

from roles.run.report.words import STRANGE

if TYPE_CHECKING:  # rich is loaded where something is drawn; lines into a pipe do without it
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

    Part = str | tuple[str, str] | Text
    """A text, or one with its style."""

ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])")
ENDLESS = 100_000
"""The width of what is no terminal: nothing is wrapped or cut there."""
OFTEN, TICK, SECOND = 0.1, 0.25, 1.0
"""A block is drawn anew at most, looked at, and drawn without news this often."""


def harmless(text: str) -> str:
    """Without colours and other orders to a terminal; what else no reader sees is replaced. Line ends and tabs stay."""
    return STRANGE.sub("\ufffd", ESCAPE.sub("", text))


def ready() -> None:
    """What the terminal's encoding lacks is written as \\u2026; it ends no run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def console(out: TextIO) -> Console:
    """Takes every text as it is. While a block stands, what is printed goes above it."""
    from rich.console import Console

    if BLOCK.live is not None and hasattr(out, "rich_proxied_file"):
        return BLOCK.live.console
    return Console(
        file=out, width=None if out.isatty() else ENDLESS, color_system=None if os.environ.get("NO_COLOR") else "auto",
        force_jupyter=False, soft_wrap=True, markup=False, emoji=False, highlight=False,
    )  # fmt: skip


def redraws(out: TextIO) -> bool:
    """Whether lines can be drawn anew in their place."""
    return out.isatty() and console(out).is_interactive


def line(*parts: Part, out: TextIO | None = None) -> None:
    """One line, however long."""
    out = out or sys.stdout
    if out.isatty() or os.environ.get("FORCE_COLOR"):
        console(out).print(text(*parts))
    else:
        print(harmless("".join(p[0] if isinstance(p, tuple) else str(p) for p in parts)), file=out, flush=True)


def text(*parts: Part) -> Text:
    from rich.text import Text

    made = Text()
    for part in parts:
        if isinstance(part, Text):
            made.append_text(part)
        else:
            words, style = part if isinstance(part, tuple) else (part, None)
            made.append(harmless(words), style)
    return made


@dataclass(frozen=True)
class Rows:
    """A table. Where it is wider than the terminal, each row is a line that names its cells."""

    rows: Sequence[Sequence[Part]]
    head: Sequence[str] = ()
    right: Container[int] = ()
    """Columns of numbers."""
    indent: int = 0

    @property
    def used(self) -> list[int]:
        """Columns that are not empty."""
        return [i for i in range(max(map(len, self.rows), default=0)) if any(_words(row[i]) for row in self.rows)]

    def table(self) -> Table:
        from rich.table import Table

        made = Table(box=None, show_header=bool(self.head), header_style="dim", padding=(0, 2, 0, 0), pad_edge=False)
        used = self.used
        before = dict.fromkeys(used[:1], " " * self.indent)
        for i in used:
            head = text(before.get(i, ""), self.head[i]) if self.head else ""
            made.add_column(head, justify="right" if i in self.right else "left", no_wrap=True)
        for row in self.rows:
            made.add_row(*(text(before.get(i, ""), row[i]) for i in used))
        return made

    def lines(self) -> Iterator[Text]:
        used = self.used
        for row in self.rows:
            cells = [((f"{self.head[i]} " if self.head and self.head[i] else "", "dim"), row[i], "  ") for i in used if _words(row[i])]
            yield text(" " * self.indent, *(part for cell in cells for part in cell))


def _words(part: Part) -> str:
    return part[0] if isinstance(part, tuple) else str(part)


def show(*things: str | Rows, out: TextIO | None = None) -> None:
    """Lines and tables, one below the other."""
    out = out or sys.stdout
    for thing in things:
        if isinstance(thing, str):
            line(thing, out=out)
        elif thing.rows:
            _show(thing, out)


def _show(rows: Rows, out: TextIO) -> None:
    one, table = console(out), rows.table()
    if not out.isatty():
        with one.capture() as drawn:
            one.print(table)
        print("\n".join(part.rstrip() for part in drawn.get().splitlines()), file=out, flush=True)
    elif one.measure(table, options=one.options.update_width(ENDLESS)).maximum <= one.width:
        one.print(table)
    else:
        one.print(*rows.lines(), sep="\n")


class Block:
    """What stands below all lines while something goes on; there is one, whoever draws in it."""

    def __init__(self) -> None:
        self.parts: list[RenderableType] = []
        self.live: Live | None = None
        self.drawn, self.stale = 0.0, False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.drawn, self.stale = time.monotonic(), False
        yield from self.parts

    def draw(self, part: RenderableType) -> None:
        """Anew; but not too often, then the tick does it."""
        self.stale = True
        if part not in self.parts:
            self.parts.append(part)
        if self.live is None:
            self._begin()
        elif time.monotonic() - self.drawn >= OFTEN:
            self.live.refresh()

    def drop(self, part: RenderableType) -> None:
        if part in self.parts:
            self.parts.remove(part)
        if not self.parts:
            self.end()
        elif self.live is not None:
            self.live.refresh()

    def end(self) -> None:
        """The terminal as it was, but for the lines that stay."""
        self.parts.clear()
        if self.live is not None:
            live, self.live = self.live, None
            live.stop()

    def _begin(self) -> None:
        import gevent
        from rich.live import Live

        live = self.live = Live(self, console=console(sys.stderr), auto_refresh=False, transient=True, redirect_stdout=sys.stdout.isatty())
        live.start(refresh=True)
        gevent.spawn(self._tick, live)

    def _tick(self, live: Live) -> None:
        """Time goes on while nothing else does."""
        import gevent

        while self.live is live:
            if self.stale or time.monotonic() - self.drawn >= SECOND:
                live.refresh()
            gevent.sleep(TICK)


BLOCK = Block()
atexit.register(BLOCK.end)
