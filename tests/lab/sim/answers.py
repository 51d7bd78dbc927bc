"""Answers of hccn_tool that follow from the state alone, kept as files: a folder of its own for every state, named by one link."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .model import Hccn

if TYPE_CHECKING:
    from .model import Node
    from .state import Answer, Paths

    Ask = Callable[[Node, list[str], Paths], Answer]

COMMANDS = ("-link", "-ip", "-net_health", "-tls", "-lldp", "-netdetect", "-gateway", "-optical", "-vnic", "-speed", "-stat", "-mtu")


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


def keep(where: Path | None, node: Node, ask: Ask, paths: Paths) -> None:
    """Plain answers of a tool that works, all cards at once; who uses a card is looked up each time, and so is what fails."""
    if where is None or paths.uid != 0 or node.hccn != Hccn():
        return
    with suppress(OSError):  # another state by now: its folder is gone
        if any(where.iterdir()):
            return
        part = Path(tempfile.mkdtemp(prefix=".", dir=where))
        for argv in (["-i", str(i), c, "-g"] for i in node.npus for c in COMMANDS):
            said = ask(node, argv, paths)
            if not said.code and not said.err:
                (part / " ".join(argv)).write_text(said.out, encoding="utf-8")
        for file in list(part.iterdir()):
            file.replace(where / file.name)
        part.rmdir()
