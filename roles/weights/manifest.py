"""What is known of a folder's files: size, time, SHA-256. Kept on the node; the courier inside the image writes the same format."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field

TITLE = "# bringup weights 1"
PART = ".bringup-part"
"""What is not whole yet lies in this folder inside the checkpoint's own: on the same file system, so that a rename makes it visible."""
SHARDS = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".npz")
PAPERS = (".md", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".pdf", ".mp4", ".html", ".manifest")


@dataclass(frozen=True)
class Row:
    """One file, hashed once. While size and time are these, the hash holds."""

    sha256: str
    size: int
    mtime: str


@dataclass(frozen=True)
class Manifest:
    """`count` files make the folder whole; an interrupted copy has fewer rows."""

    rows: Mapping[str, Row] = field(default_factory=dict)
    model: str = ""
    source: str = ""
    count: int = 0

    def trusted(self, name: str, size: int, mtime: str) -> str:
        """The file's hash, when the file is still the one that was hashed."""
        row = self.rows.get(name)
        return row.sha256 if row and (row.size, row.mtime) == (size, mtime) else ""


def parse(text: str) -> Manifest:
    """A file that is none of ours has no rows, so everything is hashed anew."""
    lines = text.splitlines()
    if not lines or lines[0] != TITLE:
        return Manifest()
    head = dict(line[2:].partition(" ")[::2] for line in lines[1:] if line.startswith("# "))
    fields = (line.split(" ", 3) for line in lines if line and not line.startswith("#"))
    rows = {f[3]: Row(f[0], int(f[1]), f[2]) for f in fields if len(f) == 4 and len(f[0]) == 64 and f[1].isdigit()}
    count = head.get("count", "")
    return Manifest(rows, head.get("model", ""), head.get("source", ""), int(count) if count.isdigit() else 0)


def written(manifest: Manifest) -> str:
    head = [TITLE, f"# model {manifest.model}", f"# source {manifest.source}", f"# count {manifest.count}"]
    rows = [f"{r.sha256} {r.size} {r.mtime} {name}" for name, r in sorted(manifest.rows.items())]
    return "\n".join([*head, *rows, ""])


def place(state: str, cluster: str, folder: str) -> str:
    """Beside a folder of ours; for a user's own folder among our own files."""
    if folder.startswith(f"{state}/models/"):
        return f"{folder}.manifest"
    return f"{state}/{cluster}/manifests/{hashlib.sha256(folder.encode()).hexdigest()[:16]}"


def mtime(nanoseconds: int) -> str:
    """Seconds with nine digits, as `find -printf %T@` begins."""
    return f"{nanoseconds // 10**9}.{nanoseconds % 10**9:09d}"


def matters(name: str) -> bool:
    """Whether an engine may read it: papers, pictures and hidden files may differ."""
    hidden = any(part.startswith(".") for part in name.split("/"))
    return not hidden and not name.lower().endswith(PAPERS) and not posixpath.basename(name).startswith("LICENSE")


def shard(name: str) -> bool:
    return name.lower().endswith(SHARDS)
