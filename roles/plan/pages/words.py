"""Markdown: tables, code, and commands with an option a line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

CODE = re.compile(r"(`[^`]*`)")


def plain(text: str) -> str:
    """Prose from data: what Markdown or HTML would take for a sign of its own is only itself; `code` stays code."""
    parts = CODE.split(text)
    return "".join(p if p.startswith("`") else re.sub(r"([*|])", r"\\\1", p).replace("<", "&lt;") for p in parts)


def code(text: object) -> str:
    return f"`{text}`"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, or nothing when it would have no rows; cells are Markdown already."""
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *lines]) if lines else ""


def bullets(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def block(text: str, language: str = "text") -> str:
    return f"```{language}\n{text.rstrip()}\n```"


def wrapped(argv: Sequence[str], breaks: Iterable[int] = ()) -> str:
    """A command as a shell takes it, an option and its value a line; also a new line before the words at `breaks`."""
    lines: list[list[str]] = [[]]
    for at, word in enumerate(argv):
        if (word.startswith("-") or at in breaks) and lines[-1]:
            lines.append([])
        lines[-1].append(word)
    return " \\\n  ".join(shlex.join(line) for line in lines)


def literal(value: Any) -> str:
    """A value as an inventory writes it."""
    if isinstance(value, str):
        return f'"{value}"' if '"' not in value and "\\" not in value else repr(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(k)}: {literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(literal(v) for v in value) + "]"
    return repr(value)


def sections(*parts: str) -> str:
    """Parts with a blank line between them; empty ones are left out."""
    return "\n\n".join(p.strip("\n") for p in parts if p.strip()) + "\n"


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"
