"""What the probe of one node printed, cut into sections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

MARK = "\x1e"
MISSING = 127
TIMED_OUT = (124, 137)


@dataclass(frozen=True)
class Section:
    """One command of the probe: its exit code and all it printed, stderr included."""

    name: str
    code: int
    lines: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def first(self) -> str:
        """The first line that says something, as a finding quotes it."""
        return next((line.strip() for line in self.lines if line.strip()), "")

    @property
    def pairs(self) -> dict[str, str]:
        """Lines of `key=value`."""
        return {k.strip(): v.strip() for k, sep, v in (line.partition("=") for line in self.lines) if sep}

    @property
    def why_not(self) -> str:
        """In a few words: why there is no answer."""
        if self.code == MISSING:
            return "not found"
        if self.code in TIMED_OUT:
            return "no answer in time"
        return f"ended with {self.code}" + (f": {self.first}" if self.first else "")


NOTHING = Section("", -1)


@dataclass(frozen=True)
class Seen:
    """One node, at one moment. A node that was not reached has a problem and no sections."""

    node: str
    sections: Mapping[str, Section] = field(default_factory=dict)
    problem: str = ""
    arrived: float = 0.0
    """The controller's clock when the node told its own."""

    def __getitem__(self, name: str) -> Section:
        return self.sections.get(name, NOTHING)

    def __contains__(self, name: str) -> bool:
        return name in self.sections

    def under(self, prefix: str) -> Iterator[tuple[str, Section]]:
        """Sections named `prefix.X`, as (X, section)."""
        for name, section in self.sections.items():
            if name.startswith(f"{prefix}."):
                yield name[len(prefix) + 1 :], section


def sections(text: str) -> dict[str, Section]:
    """The probe's output cut at its marks; what stands before the first mark is somebody's login banner."""
    found: dict[str, Section] = {}
    for chunk in text.split(f"{MARK}")[1:]:
        head, _, body = chunk.partition("\n")
        name, _, code = head.strip().partition(" ")
        if name:
            number = int(code) if code.lstrip("-").isdigit() else -1
            found[name] = Section(name, number, tuple(body.rstrip("\n").split("\n")) if body.strip("\n") else ())
    return found
