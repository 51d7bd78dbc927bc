"""python -m roles.run.report RUN_FOLDER ...: the page anew, from what the folder holds."""

from __future__ import annotations

import sys
from pathlib import Path

from roles.run.report.page import write


def main(folders: list[str]) -> int:
    """0 when every page was made; else one sentence for each that was not."""
    if not folders:
        print("usage: python -m roles.run.report RUN_FOLDER ...", file=sys.stderr)
        return 2
    bad = 0
    for folder in folders:
        try:
            print(write(Path(folder)))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
            print(f"{folder}: no page can be made from it: {type(e).__name__}: {e}", file=sys.stderr)
            bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
