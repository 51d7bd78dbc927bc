"""Answers of hccn_tool that follow from the state alone, kept as files: a folder of its own for every state, named by one link."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .model import Hccn

if TYPE_CHECKING:
    from .model import Node
    from .state import Answer, Paths


def renew(paths: Paths) -> None:
    """The state changed: none of its answers holds. Only root reads them, as only root may ask."""
    link = paths.beside(".answers")
    old = link.resolve() if link.is_symlink() else None
    new = Path(tempfile.mkdtemp(prefix=f"{link.name}-", dir=link.parent))
    part = link.with_name(f"{link.name}.new")
    part.unlink(missing_ok=True)
    part.symlink_to(new.name)
    part.replace(link)
    if old:
        shutil.rmtree(old, ignore_errors=True)


def folder(paths: Paths) -> Path | None:
    """Where answers of the present state go; asked before the state is read, so that an old answer never gets into a new folder."""
    link = paths.beside(".answers")
    return link.resolve() if link.is_symlink() else None


def keep(where: Path | None, node: Node, argv: Sequence[str], paths: Paths, answer: Answer) -> None:
    """Plain answers of a tool that works; who uses a device is looked up each time."""
    if where is None or paths.uid != 0 or node.hccn != Hccn() or answer.code or answer.err:
        return
    if "-g" in argv and not any("/" in w or w in ("-process", "-s") for w in argv):
        with suppress(OSError):
            part = where / f".{os.getpid()}"
            part.write_text(answer.out, encoding="utf-8")
            part.replace(where / " ".join(argv))
