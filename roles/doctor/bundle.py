"""All evidence in one file: made, read back. A tar of text files, compressed with zstd."""

from __future__ import annotations

import io
import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

from roles.doctor.evidence import HEAD, Files
from roles.plan.errors import PlanError

if sys.version_info >= (3, 14):
    import tarfile

    from compression.zstd import ZstdError
else:
    from backports.zstd import ZstdError, tarfile

NAME = "bundle.tar.zst"
MOST_FILES, MOST_BYTES = 20_000, 2 << 30


def write(path: Path, files: Files, made: float) -> None:
    """Whole or not at all; readable by its owner only."""
    part = path.with_name(f"{path.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as raw, tarfile.open(fileobj=raw, mode="w:zst") as tar:
        for name in sorted(files, key=lambda n: (n != HEAD, n)):
            body = files[name].encode("utf-8", "replace")
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = len(body), int(made), 0o600
            tar.addfile(info, io.BytesIO(body))
    os.replace(part, path)


def read(path: Path) -> dict[str, str]:
    """The files of a bundle, or of a folder it was unpacked into; a sentence where it is neither."""
    if path.is_dir():
        texts = {
            p.relative_to(path).as_posix(): p.read_text(encoding="utf-8", errors="replace") for p in sorted(path.rglob("*")) if _fits(p)
        }
    else:
        try:
            with tarfile.open(path, mode="r:*") as tar:  # an older one was of gzip
                texts = dict(_members(tar, path))
        except (tarfile.TarError, EOFError, zlib.error, ZstdError, OSError) as e:
            why = getattr(e, "strerror", None) or e
            raise PlanError(f"{path}: cannot be read as a bundle ({why}), expected a {NAME} that the doctor wrote") from None
    if HEAD not in texts:
        raise PlanError(f"{path}: holds no {HEAD}, expected a {NAME} that the doctor wrote, or the folder it was unpacked into")
    return texts


def _fits(path: Path) -> bool:
    return path.is_file() and (path.name == HEAD or path.suffix in (".txt", ".json"))


def _members(tar: tarfile.TarFile, path: Path) -> Iterator[tuple[str, str]]:
    """Regular files, in bounds: a bundle comes from somebody else."""
    count, size = 0, 0
    for member in tar:
        if not member.isfile():
            continue
        count, size = count + 1, size + member.size
        if count > MOST_FILES or size > MOST_BYTES:
            raise PlanError(
                f"{path}: holds more than {MOST_FILES} files or {MOST_BYTES >> 30} GiB, expected a bundle that the doctor wrote"
            )
        body = tar.extractfile(member)
        if body is not None:
            yield member.name, body.read().decode("utf-8", "replace")
