"""python -m tests.record OUT.svg -- COMMAND: a command run in a terminal of its own, and a picture of what stood on it."""

from __future__ import annotations

import argparse
import codecs
import fcntl
import io
import json
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, groupby
from pathlib import Path

import pyte
from rich.console import CONSOLE_SVG_FORMAT, Console
from rich.style import Style
from rich.text import Text

REDRAW = re.compile(rb"\r\x1b\[2K((?:\x1b\[1A\x1b\[2K)*)")
"""A block is about to be drawn anew: up to here all of it stands on the screen."""
BAR = re.compile("[━╸╺]{3}")
FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
SVG = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace("Fira Code, monospace", FONT)
"""rich's picture, but it asks no server for a font."""


class Screen(pyte.Screen):
    """pyte knows no dim letters: here they are grey."""

    def select_graphic_rendition(self, *attrs: int, **more: object) -> None:
        super().select_graphic_rendition(*(90 if a == 2 and attrs[0] not in (38, 48) else a for a in attrs), **more)


@dataclass(frozen=True)
class Frame:
    """A moment: where in the stream, when, and how many lines the live block had."""

    end: int
    at: float
    height: int


@dataclass(frozen=True)
class Recording:
    """All that a command wrote, with the seconds from its start."""

    columns: int
    lines: int
    chunks: Sequence[tuple[float, bytes]]
    code: int = 0

    @cached_property
    def data(self) -> bytes:
        return b"".join(data for _, data in self.chunks)

    def frames(self) -> Iterator[Frame]:
        """Every moment at which a block stood whole."""
        for found in REDRAW.finditer(self.data):
            yield Frame(found.start(), self._when(found.start()), 1 + found[1].count(b"\x1b[1A"))

    def _when(self, end: int) -> float:
        """When the last byte before `end` was written."""
        ends = accumulate(len(data) for _, data in self.chunks)
        return next(at for (at, _), seen in zip(self.chunks, ends, strict=True) if seen >= end)

    def screen(self, end: int | None = None) -> Screen:
        screen = Screen(self.columns, self.lines)
        pyte.ByteStream(screen).feed(self.data[:end])
        return screen

    def shown(self, end: int | None = None) -> list[str]:
        """What a person reads, without empty lines at the end."""
        return "\n".join(line.rstrip() for line in self.screen(end).display).rstrip().split("\n")

    def moment(self, at: float | None = None, last: bool = False) -> int | None:
        """Where the stream is cut: at a time, at the last block, or in the middle of the time that a block had most lines and bars."""
        if at is not None:
            return sum(len(data) for when, data in self.chunks if when <= at)
        frames = list(self.frames())
        if not frames or last:
            return frames[-1].end if frames else None
        screen, fed, full = Screen(self.columns, self.lines), 0, []
        stream = pyte.ByteStream(screen)
        for frame in frames:
            stream.feed(self.data[fed : frame.end])
            fed = frame.end
            block = screen.display[screen.cursor.y - frame.height + 1 : screen.cursor.y + 1]
            full.append((frame.height, sum(bool(BAR.search(line)) for line in block)))
        best = [frame for frame, one in zip(frames, full, strict=True) if one == max(full)]
        return best[len(best) // 2].end

    def cast(self) -> str:
        """asciicast, version 2."""
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        head = {"version": 2, "width": self.columns, "height": self.lines}
        events = ([round(at, 3), "o", decode(data)] for at, data in self.chunks)
        return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in (head, *events))


def record(command: Sequence[str], columns: int = 110, lines: int = 30, env: dict[str, str] | None = None) -> Recording:
    """Run it to its end; it is asked nothing."""
    upper, lower = pty.openpty()
    fcntl.ioctl(lower, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    keep = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")}
    env = {**keep, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", **(env or {})}
    began, chunks = time.monotonic(), []
    process = subprocess.Popen(command, stdin=lower, stdout=lower, stderr=lower, env=env, start_new_session=True)
    os.close(lower)
    try:
        while data := os.read(upper, 65536):
            chunks.append((time.monotonic() - began, data))
    except OSError:  # how Linux says that nobody writes any more
        pass
    finally:
        os.close(upper)
    return Recording(columns, lines, chunks, process.wait())


def svg(recording: Recording, end: int | None, title: str) -> str:
    """The screen at a moment, without its empty last lines."""
    screen = recording.screen(end)
    console = Console(
        record=True, width=recording.columns, file=io.StringIO(), color_system="truecolor", force_terminal=True, legacy_windows=False
    )
    for y in range(len(recording.shown(end))):
        row = screen.buffer[y]
        line = Text(no_wrap=True)
        for style, cells in groupby((row[x] for x in range(recording.columns)), _style):
            line.append("".join(c.data for c in cells), style)
        line.rstrip()
        console.print(line, overflow="crop")
    return console.export_svg(title=title, code_format=SVG, unique_id="terminal")


def _style(char: pyte.screens.Char) -> Style:
    return Style(
        color=_colour(char.fg),
        bgcolor=_colour(char.bg),
        bold=char.bold,
        italic=char.italics,
        underline=char.underscore,
        reverse=char.reverse,
    )


def _colour(name: str) -> str | None:
    if name == "default":
        return None
    return f"#{name}" if re.fullmatch("[0-9a-f]{6}", name) else name.replace("brown", "yellow").replace("bright", "bright_")


def main(argv: list[str] | None = None) -> int:
    """0 when the picture was written, whatever became of the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.record", description=__doc__)
    parser.add_argument("out", type=Path, help="the picture, an SVG")
    parser.add_argument("--columns", type=int, default=110)
    parser.add_argument("--lines", type=int, default=30)
    moment = parser.add_mutually_exclusive_group()
    moment.add_argument("--at", type=float, metavar="SECONDS", help="this moment, instead of that with the fullest live view")
    moment.add_argument("--last-live", action="store_true", help="the last moment that has a live view")
    parser.add_argument("--cast", type=Path, help="all of it, as asciicast")
    parser.add_argument("--title", help="above the picture; the command, if not given")
    parser.add_argument("command", nargs="+", help="after --")
    options = parser.parse_args(argv)
    recording = record(options.command, options.columns, options.lines)
    end = recording.moment(options.at, options.last_live)
    options.out.write_text(svg(recording, end, options.title or shlex.join(options.command)), encoding="utf-8")
    if options.cast:
        options.cast.write_text(recording.cast(), encoding="utf-8")
    seconds = recording.chunks[-1][0] if recording.chunks else 0.0
    print(f"{options.out}: {shlex.join(options.command)} ended with {recording.code} after {seconds:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
