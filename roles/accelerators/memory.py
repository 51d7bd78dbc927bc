"""Device memory of a node, from whichever tool's table the look has. Pure."""

from __future__ import annotations

from roles.accelerators import ascend
from roles.accelerators.checks import amd, nvidia
from roles.run.seen import Seen


def memory(seen: Seen) -> str:
    """Used of all, in GiB; nothing where no tool tells it in a form we know."""
    table = ascend.npu_table(seen)
    for word, devices in (("HBM", table.chips if table else ()), ("memory", nvidia.shown(seen)), ("memory", amd.shown(seen))):
        if total := sum(d.total_mb for d in devices):
            return f"{word} {sum(d.used_mb for d in devices) / 1024:.0f} of {total / 1024:.0f} GiB"
    return ""
