"""What one node has in one folder, read from its probe."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from roles.run.seen import Section, Seen
from roles.weights import manifest
from roles.weights.manifest import Manifest

FILE = re.compile(r"(\d+) (-?\d+(?:\.\d+)?) ([0-7]+) (\d+) (\d+) (.+)")
NUMBERED = re.compile(r"(.+)-(\d{5,})-of-(\d{5,})\.(?:safetensors|bin)")
UNREADABLE = re.compile(
    r"(?:head|find|sha256sum|cat): (?:cannot open |error reading )?"
    r"['\"‘]?(.+?)['\"’]?(?: for reading)?: (Permission denied|Input/output error)"
)
NETWORKED = ("nfs", "nfs4", "cifs", "smb3", "ceph", "lustre", "glusterfs", "gpfs", "beegfs", "dpc", "9p", "afs", "virtiofs")


@dataclass(frozen=True)
class File:
    size: int
    mtime: str
    mode: int
    uid: int
    gid: int


@dataclass(frozen=True)
class Index:
    """What the checkpoint says about itself: its files, and the bytes of all tensors."""

    names: frozenset[str] = frozenset()
    total: int | None = None
    file: str = ""


@dataclass(frozen=True)
class Held:
    """One folder on one node."""

    path: str
    problem: str = ""
    kind: str = "missing"
    writable: bool = True
    free: int | None = None
    system: str = ""
    source: str = ""
    mode: tuple[int, int, int] = (0o755, 0, 0)
    files: Mapping[str, File] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    config: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)
    index: Index = Index()
    broken: Mapping[str, str] = field(default_factory=dict)
    """Files that are not whole for certain, and why."""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    manifest: Manifest = field(default_factory=Manifest)
    parts: int = 0
    """Bytes of an unfinished copy or download."""

    @property
    def known(self) -> bool:
        """Whether the node could be asked about it."""
        return not self.problem

    @property
    def shards(self) -> list[str]:
        return [n for n in self.files if manifest.shard(n) and manifest.matters(n)]

    @property
    def size(self) -> int:
        return sum(f.size for n, f in self.files.items() if manifest.matters(n))

    @property
    def shared(self) -> str:
        """What nodes that share one file system have in common; nothing for a disk of the node's own."""
        return f"{self.source} {self.path}" if self.system in NETWORKED or self.system.startswith("fuse.") else ""

    def sha256(self, name: str) -> str:
        """The file's hash as recorded, while the file is still that one."""
        file = self.files.get(name)
        return self.manifest.trusted(name, file.size, file.mtime) if file else ""

    def lacking(self) -> list[str]:
        """Files this folder itself says it should have, missing or not whole."""
        wanted = set(self.index.names) | {"config.json"} | _numbered(self.shards if not self.index.names else ())
        wanted |= {n for n in self.manifest.rows if manifest.matters(n)}
        return sorted({n for n in wanted if n not in self.files} | {n for n in self.broken if n in wanted or not self.index.names})

    @property
    def complete(self) -> bool:
        interrupted = sum(map(manifest.matters, self.files)) < self.manifest.count
        return self.known and self.kind == "folder" and bool(self.shards) and not self.lacking() and not interrupted


def _numbered(names: Iterable[str]) -> set[str]:
    """Without an index, shards that are numbered say how many they are: counted from 1, or from 0 as MiniMax does."""
    found: dict[tuple[str, str, str], set[int]] = {}
    for name in names:
        match = NUMBERED.fullmatch(name)
        if match:
            found.setdefault((match[1], match[3], name.rsplit(".", 1)[1]), set()).add(int(match[2]))
    return {
        f"{stem}-{n:0{len(count)}d}-of-{count}.{end}"
        for (stem, count, end), numbers in found.items()
        for n in (range(int(count)) if 0 in numbers else range(1, int(count) + 1))
    }


def held(seen: Seen, which: str, path: str) -> Held:
    """`which` is main or draft."""
    place = seen[f"weights.{which}.place"]
    if seen.problem:
        return Held(path, problem=seen.problem)
    if not place.ok:
        return Held(path, problem="not looked at" if place.code == -1 else f"{path} does not answer ({place.why_not})")
    pairs = place.pairs
    room = [*pairs.get("room", "").split(None, 2), "", "", ""]
    mode = pairs.get("mode", "").split()
    files, links = _files(seen[f"weights.{which}.files"])
    heads, unreadable = _heads(seen[f"weights.{which}.heads"])
    config = seen[f"weights.{which}.config"]
    return Held(
        path=path,
        kind=pairs.get("kind", "missing"),
        writable=pairs.get("writable") != "no",
        free=int(room[0]) if room[0].isdigit() else None,
        system=room[1],
        source=room[2],
        mode=(int(mode[0], 8), int(mode[1]), int(mode[2])) if len(mode) == 3 else (0o755, 0, 0),
        files={n: f for n, f in files.items() if not n.startswith(f"{manifest.PART}/")},
        links=links,
        config=config.text if config.ok else "",
        digests=dict(line.split("  ", 1)[::-1] for line in seen[f"weights.{which}.digests"].lines if "  " in line),
        index=_index(seen[f"weights.{which}.index"]),
        broken=_broken(files, heads, seen[f"weights.{which}.ends"]),
        unreadable=unreadable | _refused(seen[f"weights.{which}.files"].lines) | _refused(config.lines if not config.ok else ()),
        manifest=manifest.parse(seen[f"weights.{which}.manifest"].text) if seen[f"weights.{which}.manifest"].ok else Manifest(),
        parts=sum(f.size for n, f in files.items() if n.startswith(f"{manifest.PART}/")),
    )


def _files(section: Section) -> tuple[dict[str, File], dict[str, str]]:
    files: dict[str, File] = {}
    links: dict[str, str] = {}
    for line in section.lines:
        match = FILE.fullmatch(line)
        if match:
            seconds, _, digits = match[2].partition(".")
            files[match[6]] = File(int(match[1]), f"{seconds}.{digits[:9].ljust(9, '0')}", int(match[3], 8), int(match[4]), int(match[5]))
        elif line.startswith("-> ") and "\t" in line:
            name, _, target = line[3:].partition("\t")
            links[name] = target
    return files, links


def _refused(lines: Iterable[str]) -> dict[str, str]:
    found = (UNREADABLE.fullmatch(line.strip()) for line in lines)
    return {posixpath.basename(m[1]): m[2] for m in found if m}


def _heads(section: Section) -> tuple[dict[str, int], dict[str, str]]:
    """Header lengths by file; a file that could not be read is missing among the numbers."""
    numbers = [int(line[2:]) for line in section.lines if re.fullmatch(r"= \d+", line)]
    unreadable = _refused(section.lines)
    names = [line for line in section.lines if line.endswith(".safetensors") and line not in unreadable and not UNREADABLE.fullmatch(line)]
    return (dict(zip(names, numbers, strict=True)) if len(names) == len(numbers) else {}), unreadable


def _broken(files: Mapping[str, File], heads: Mapping[str, int], ends: Section) -> dict[str, str]:
    """A shard is as long as its header says: 8 bytes, the header, the last tensor's end."""
    found: dict[str, str] = {}
    needs = {name: int(need) for need, _, name in (line.partition(" ") for line in ends.lines) if need.isdigit()}
    for name, file in files.items():
        if "/" in name or not name.endswith(".safetensors"):
            continue
        need = needs.get(name)
        if file.size < 8 or heads.get(name, 0) + 8 > file.size:
            found[name] = f"{file.size} bytes, not even its header"
        elif need is not None and need != file.size:
            found[name] = f"{file.size} of {need} bytes"
    return found


def _index(section: Section) -> Index:
    """The index named `model...` where there are several."""
    names: dict[str, set[str]] = {}
    totals: dict[str, int] = {}
    file = ""
    for line in section.lines:
        if line.startswith("index "):
            file = line[6:]
            names[file] = set()
        elif line.startswith("total ") and line[6:].isdigit():
            totals[file] = int(line[6:])
        elif file and line.startswith("file "):
            names[file].add(line[5:])
    chosen = min((f for f, found in names.items() if found), key=lambda f: (not f.startswith("model."), f), default="")
    return Index(frozenset(names.get(chosen, ())), totals.get(chosen), chosen)


def settings(text: str) -> dict[str, Any] | None:
    """config.json, or None when it is no JSON object."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
