"""Which processes have an accelerator's device files open: the probe's sections `holders` and `holders.containers`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from roles.run.seen import Seen

FIELDS = 8
CONTAINER = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


@dataclass(frozen=True)
class Holder:
    """One process as the host sees it. Pid and start together are one process for ever; a pid alone is not."""

    pid: int
    start: int
    parent: int
    state: str
    user: str
    devices: tuple[str, ...]
    cgroup: str
    command: str
    name: str = ""

    @property
    def container(self) -> str:
        """The container's id, or nothing for a process of the host."""
        found = CONTAINER.findall(self.cgroup)
        return found[-1] if found else ""

    def ours(self, unit: str) -> bool:
        """Whether it lives in this unit's container or, without one, in the unit itself."""
        return self.name == unit if self.container else f"{unit}.service" in self.cgroup.split("/")

    def has(self, devices: Iterable[str]) -> bool:
        return bool(set(devices) & set(self.devices))


def holders(seen: Seen) -> tuple[Holder, ...]:
    """All holders, with the names of their containers where Docker knew them."""
    names = dict(line.split(" ", 1) for line in seen["holders.containers"].lines if " " in line)
    found = (_holder(line) for line in seen["holders"].lines if line.strip())
    return tuple(replace(h, name=names.get(h.container, "").strip()) for h in found)


def _holder(line: str) -> Holder:
    words = line.split("\t", FIELDS - 1)
    if len(words) != FIELDS or not all(w.isascii() and w.isdigit() for w in words[:3]):
        raise ValueError(f'the list of holders is not understood at "{line[:80]}"')
    pid, start, parent, state, user, devices, cgroup, command = words
    return Holder(int(pid), int(start), int(parent), state, user, tuple(devices.split(",")), cgroup, command.strip())
