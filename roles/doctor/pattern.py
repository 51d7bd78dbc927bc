"""Regular expressions over megabytes of logs: the letters a match must hold are looked for first, which is cheap."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

PLAIN = set(" !\"#%&',-/0123456789:;<=>@ABCDEFGHIJKLMNOPQRSTUVWXYZ_`abcdefghijklmnopqrstuvwxyz~")
REPEAT = re.compile(r"\{\d*,?\d*\}")


@dataclass(frozen=True)
class Pattern:
    """One expression with a piece of text that every match contains; empty where none is certain."""

    regex: re.Pattern[str]
    literal: str

    def search(self, line: str) -> re.Match[str] | None:
        return self.regex.search(line) if self.literal in line else None


@cache
def pattern(text: str) -> Pattern:
    return Pattern(re.compile(text), literal(text))


def literal(text: str) -> str:
    """The longest run of plain letters outside of groups, choices and repeats."""
    if text.startswith("(?"):
        inner = text[2:3]
        if inner not in (":", "P", "=", "!", "<"):
            return ""  # flags such as (?i): letters no longer stand for themselves
    runs, run, depth, i = [""], "", 0, 0
    while i < len(text):
        c = text[i]
        if c == "\\":
            escaped = text[i + 1 : i + 2]
            plain = escaped if escaped and not escaped.isalnum() else ""
            i += 2
        elif c == "[":
            plain, i = "", _class_end(text, i)
        elif c == "{" and (repeat := REPEAT.match(text, i)):
            plain, i = "", repeat.end()
        else:
            if c == "|" and depth == 0:
                return ""
            depth += (c == "(") - (c == ")")
            plain = c if c in PLAIN else ""
            i += 1
        if i < len(text) and text[i] in "?*{":
            plain = ""
        if plain and depth == 0:
            run += plain
        else:
            runs.append(run)
            run = ""
        if i < len(text) and text[i] == "+":
            runs.append(run)
            run = ""
    return max([*runs, run], key=len)


def _class_end(text: str, start: int) -> int:
    """Behind the `]` that closes a set of characters."""
    i = start + 1
    if text[i : i + 1] == "^":
        i += 1
    if text[i : i + 1] == "]":
        i += 1
    while i < len(text) and text[i] != "]":
        i += 2 if text[i] == "\\" else 1
    return i + 1
