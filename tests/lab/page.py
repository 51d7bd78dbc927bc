"""A page's commands as somebody types them: in its order, each to its end, with the exit status that the page says."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.unit import doc_commands as docs

SAMPLE = "inventories/lab.py"
NOT_PLAYED = ("make demo", "make lab-up", "make lab-down", "make lab-purge")
"""The lab itself, which runs already and goes on."""


@dataclass(frozen=True)
class Line:
    """One line to type. `status`: 0, or what its comment says; `goes_on`: ended by Ctrl-C."""

    text: str
    status: int = 0
    goes_on: bool = False

    def argv(self, inventory: str, *data: str) -> list[str]:
        """What is executed: this environment's programs, the lab's own inventory, and more `--data` for a verb."""
        tool, *words = [inventory if w == SAMPLE else w for w in self.text.split()]
        if tool == "pyinfra":
            return [str(Path(sys.executable).with_name("pyinfra")), *words, *(w for d in data for w in ("--data", d))]
        return [sys.executable, *words] if tool == "python" else [tool, *words]

    @property
    def verb(self) -> str:
        found = re.search(r"deploy/(\w+)\.py", self.text)
        return found[1] if found else ""


def played(page: Path) -> list[Line]:
    """The lines of its blocks; what stands in prose is an offer."""
    raw = page.read_text(encoding="utf-8").splitlines()
    blocks = [c for c in docs.shown(page) if raw[c.line - 1].strip().removeprefix(".venv/bin/").startswith(c.text)]
    return [_line(c.text, raw[c.line - 1].partition("#")[2]) for c in blocks if not c.text.startswith(NOT_PLAYED)]


def _line(text: str, comment: str) -> Line:
    status = re.search(r"exit status (\d+)", comment)
    return Line(text, int(status[1]) if status else 0, "Ctrl-C" in comment)
