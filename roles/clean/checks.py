"""Stale engines, as a finding before anything is started."""

from __future__ import annotations

from collections.abc import Iterator

from roles.clean.processes import classified
from roles.plan import container
from roles.run.checks import Case, Say, check, fail, good


@check(
    "stale.orphans",
    "no engine's processes without parent",
    why="they keep device memory and ports: EJ0001, EI0019, out of memory (VL#55510)",
)
def orphans(case: Case) -> Iterator[Say]:
    found = [
        p for p in classified(case.seen, container.unit(case.plan.cluster, case.replica.name), case.plan.cluster) if p.kind == "orphan"
    ]
    if found:
        pids = ", ".join(str(p.pid) for p in found[:6]) + (" ..." if len(found) > 6 else "")
        fix = f"pyinfra INVENTORY deploy/clean.py --data stale=true --data confirm={case.plan.cluster}"
        yield fail(f"{len(found)} processes of a dead engine (pid {pids}): {found[0].command[:40].strip()}", "none", fix)
    else:
        yield good("none")
