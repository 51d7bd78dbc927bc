"""One node's unit and container, as the look at it found them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from roles.run.seen import Seen


@dataclass(frozen=True)
class Unit:
    """One node's unit and container."""

    node: str
    present: bool
    active: bool
    running: bool
    spec: str
    generation: int
    proven: bool
    ended: str
    id: str = ""
    started: str = ""
    enabled: bool = False
    """A reboot would begin it."""

    @property
    def any(self) -> bool:
        return self.active or self.running


def unit(seen: Seen, runtime: str = "docker") -> Unit:
    """A node that was not reached has nothing."""
    found = seen["unit"].pairs
    active = found.get("active") in ("active", "activating")
    docker = runtime == "docker"
    generation = found.get("generation", "")
    return Unit(
        node=seen.node,
        present=found.get("present") == "yes",
        active=active,
        running=found.get("container") == "running" if docker else active,
        spec=(found.get("spec") or found.get("recorded_spec", "")) if docker else found.get("recorded_spec", ""),
        generation=int(generation) if generation.isdigit() else 0,
        proven=bool(found.get("proven")),
        ended=found.get("ended", ""),
        id=found.get("id", ""),
        started=found.get("started") or found.get("since", ""),
        enabled=found.get("enabled") == "enabled",
    )


def doing(seen: Seen) -> tuple[str, str]:
    """What a node's unit says of itself: a word, and why."""
    found = re.match(r"spec=\w* generation=\d* state=([a-z-]+) why=(.*)", seen["gang"].text)
    return (found[1], found[2].strip()) if found else ("", "")
