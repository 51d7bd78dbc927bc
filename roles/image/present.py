"""The image on one node, as its probe or its pull said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from roles.run.seen import Seen

PROCESSORS = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True)
class Image:
    """What a node has under the plan's name."""

    id: str
    arch: str
    """As `uname -m` spells it."""
    size: int
    names: tuple[str, ...] = ()
    """Its names by digest, repository@sha256:..., where it was pulled."""

    @property
    def digests(self) -> frozenset[str]:
        return frozenset(name.rpartition("@")[2] for name in self.names)

    @property
    def short(self) -> str:
        """As a sentence names it: its digest, or its id where it was not pulled."""
        return (self.names[0].rpartition("@")[2] if self.names else self.id)[:19]

    def same(self, other: Image) -> bool:
        """One content: the two ways Docker keeps images give it different ids, but one digest."""
        return self.id == other.id or bool(self.digests & other.digests)


def read(line: str) -> Image:
    """A line of `docker image inspect` in the form both scripts ask for."""
    id_, arch, size, names = line.split(" ", 3)
    return Image(id_, PROCESSORS.get(arch, arch), int(size), tuple(sorted(json.loads(names) or [])))


def image(seen: Seen) -> Image | None:
    """The image a node has; none where it has none, or no Docker yet."""
    section = seen["image.ref"]
    line = next((text for text in section.lines if text.startswith("sha256:")), "") if section.ok else ""
    return read(line) if line else None


def different(images: Sequence[tuple[str, Image]]) -> tuple[tuple[str, Image], tuple[str, Image]] | None:
    """Two nodes whose images differ, if there are such."""
    return next(((images[0], other) for other in images[1:] if not images[0][1].same(other[1])), None)
