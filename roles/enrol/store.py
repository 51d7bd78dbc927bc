"""known_hosts as a file: read whole, written whole or not at all, for its owner only."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from roles.plan.errors import PlanError


def read(path: Path) -> str:
    """What is not UTF-8 is kept as it is; a file that is not there is an empty one."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""
    except OSError as e:
        raise PlanError(f"{path}: cannot be read ({e.strerror}), expected a known_hosts file") from None


def write(path: Path, text: str) -> None:
    """In one step, mode 0600; a link goes on to point where it did."""
    real = Path(os.path.realpath(path))
    real.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = real.with_name(f".{real.name}.bringup-{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            with suppress(OSError):  # root may write for somebody else, whose file it stays
                before = real.stat()
                os.fchown(descriptor, before.st_uid, before.st_gid)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        os.replace(part, real)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
