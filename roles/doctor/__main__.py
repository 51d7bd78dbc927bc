"""python -m roles.doctor BUNDLE: the verdict again, from the file alone. No connection, no plan."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from roles.doctor import bundle
from roles.doctor.role import examined
from roles.plan.errors import PlanError


def main(argv: list[str] | None = None) -> int:
    """0 when nothing is wrong, 1 when something is, 2 when the file is no bundle."""
    parser = argparse.ArgumentParser(prog="python -m roles.doctor", description=__doc__)
    parser.add_argument("bundle", type=Path, help=f"a {bundle.NAME}, or the folder it was unpacked into")
    parser.add_argument("--json", action="store_true", help="as doctor.json has it")
    options = parser.parse_args(argv)
    try:
        told = examined(bundle.read(options.bundle))
    except PlanError as e:
        print(*e.problems, sep="\n", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps([data for _, _, data in told], indent=2, ensure_ascii=False))
    else:
        print(*(data["text"] for _, _, data in told), sep="\n")
    return 1 if any(verdict.wrong for _, verdict, _ in told) else 0


if __name__ == "__main__":
    sys.exit(main())
