"""Prose at most 100 columns wide: a changed word is then a changed line. `python -m roles.plan.pages.prose FILE...` wraps pages.

Tables, code and headings stay as they are; nothing is broken inside `code` or a [link](target).
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

WIDTH = 100
WHOLE = re.compile(r"`[^`]*`|!?\[[^\]]*\]\([^)]*\)|<[^>]*>")
GLUE = "\x00"
ITEM = re.compile(r"(\s*)([-*]|\d+\.)\s+")
QUOTE = re.compile(r"\s*>\s?")
KEPT = re.compile(r"\||#|```|!\[|<|\[[^\]]+\]: |$")
"""Tables, headings, fences, pictures, HTML, link targets, blank lines."""


def prose(text: str) -> str:
    """The same page, its paragraphs and list items wrapped."""
    lines: list[str] = []
    for first, later, words in _parts(text.split("\n")):
        lines += [first + words] if later is None else _filled(first, later, words)
    return "\n".join(lines)


def _parts(lines: list[str]) -> Iterator[tuple[str, str | None, str]]:
    """(indent of the first line, of the others, words); others None: a line that stays as it is."""
    fenced, blank, at = False, True, 0
    while at < len(lines):
        line = lines[at]
        code = line.startswith("    ") and blank
        if line.lstrip().startswith("```"):
            fenced = not fenced
        if fenced or code or KEPT.match(line.lstrip()):
            yield "", None, line
            blank, at = not line.strip() or code, at + 1
            continue
        item, quote = ITEM.match(line), QUOTE.match(line)
        first = (item or quote or re.match(r"\s*", line))[0]  # type: ignore[index]
        words, at = [line[len(first) :]], at + 1
        while at < len(lines) and not _begins(lines[at], bool(quote)):
            words.append(QUOTE.sub("", lines[at], count=1) if quote else lines[at].strip())
            at += 1
        blank = False
        yield first, " " * len(first) if item else first, " ".join(w.strip() for w in words)


def _begins(line: str, quoted: bool) -> bool:
    """Whether this line is no continuation of the paragraph before it."""
    return bool(KEPT.match(line.lstrip()) or ITEM.match(line) or line.lstrip().startswith(">") != quoted)


def _filled(first: str, later: str, words: str) -> list[str]:
    """No line may begin with what Markdown takes for a sign of its own: such a word goes with the one before it."""
    glued = WHOLE.sub(lambda found: found[0].replace(" ", GLUE), words)
    while True:
        lines = textwrap.wrap(glued, WIDTH, initial_indent=first, subsequent_indent=later, break_long_words=False, break_on_hyphens=False)
        sign = next((line.split()[0] for line in lines[1:] if ITEM.match(line) or KEPT.match(line.lstrip())), "")
        if not sign:
            return [line.replace(GLUE, " ") for line in lines]
        glued = glued.replace(f" {sign} ", f"{GLUE}{sign} ", 1)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(prose(path.read_text(encoding="utf-8")), encoding="utf-8")
