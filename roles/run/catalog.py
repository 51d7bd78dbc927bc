"""python -m roles.run.catalog: docs/checks.md, from the checks themselves."""

from __future__ import annotations

from pathlib import Path

from roles.plan.pages.prose import prose
from roles.run.checks import Check, every

PAGE = Path(__file__).resolve().parents[2] / "docs" / "checks.md"
HEAD = """\
# Checks

Written by `make golden` from the checks themselves. Each is a pure function of what one probe per node saw; its id is stable.

    pyinfra inventories/a2.py deploy/check.py                                  # all of them, nothing changed
    pyinfra inventories/a2.py deploy/check.py --data skip=node.swap,network.speed   # but these, which the report records
    pyinfra inventories/a2.py deploy/check.py --data fabric=full               # NPU to NPU: all pairs (rail, full, off)

A finding names node, check, what was seen, what was expected and the command or action that mends it. `fail` blocks (exit status 1); `warn`
is slow or will be cured by `prepare`; `skip` says why it could not be asked yet. serve asks again, after prepare, what was skipped.
"""


def page() -> str:
    """All checks, by the area their id starts with."""
    found = every()
    areas = sorted({i.partition(".")[0] for i in found})
    parts = [HEAD]
    for area in areas:
        rows = "".join(_row(c) for i, c in found.items() if i.partition(".")[0] == area)
        parts.append(f"## {area}\n\n| id | asks whether | applies to | why |\n|---|---|---|---|\n{rows}")
    return prose("\n".join(parts))


def _row(one: Check) -> str:
    where = [*one.vendors, *one.runtimes, *([f"replicas of {one.nodes} nodes or more"] if one.nodes > 1 else [])]
    return f"| `{one.id}` | {one.asks} | {', '.join(where) or 'all'} | {one.why} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
