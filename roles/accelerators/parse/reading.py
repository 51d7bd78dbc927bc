"""How a parser says that it has no value: it shows the line it stumbled on, or repeats the tool's refusal."""

from __future__ import annotations

SHOWN = 90


class Unreadable(ValueError):
    """The answer has a form that is not known."""

    def __init__(self, what: str, line: str = "") -> None:
        super().__init__(f'{what} is not understood at "{shown(line)}"' if line.strip() else f"{what} answered nothing")


class Refused(ValueError):
    """The tool says itself why it has no answer."""


class Unsupported(Refused):
    """The tool does not offer this query on this product."""


def shown(line: str) -> str:
    """A line as a sentence may quote it: printable, short."""
    clean = "".join(c if c.isprintable() and c != "\ufffd" else "?" for c in line.replace("\t", " ")).strip()
    return clean if len(clean) <= SHOWN else f"{clean[: SHOWN - 3]}..."


def first_line(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip()), "")


def whole(word: str, what: str, line: str) -> int:
    """A number of ordinary size."""
    if not word.isascii() or not word.isdigit() or len(word) > 15:
        raise Unreadable(what, line)
    return int(word)
