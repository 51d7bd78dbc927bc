"""The one error of the plan, and the words it is built from."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PlanError(Exception):
    """Bad input: one sentence per problem, each naming file and field; nothing was changed."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def shown(value: object, limit: int = 60) -> str:
    """A value as it can stand in a sentence: one line, printable, never longer than `limit`."""
    try:
        text = ascii(value) if isinstance(value, bytes) else repr(value)
    except Exception:  # a hostile __repr__, or an integer too long to print
        text = f"a {type(value).__name__}"
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def near(word: str, known: Iterable[str]) -> str:
    """` (did you mean "x"?)` for the nearest known word, or nothing."""
    spelled = {k.replace("_", "-").lower(): k for k in known}
    match = difflib.get_close_matches(word.replace("_", "-").lower(), spelled, n=1, cutoff=0.6)
    return f' (did you mean "{spelled[match[0]]}"?)' if match else ""


def listed(words: Iterable[object]) -> str:
    """`a, b or c`."""
    items = [str(w) for w in words]
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} or {items[-1]}" if items else "nothing"
