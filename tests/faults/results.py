"""What faults and walks ended in, kept as lines of JSON where FAULTS_RESULTS says, for docs/reliability.md.

python -m tests.faults.results FILE: forgets the faults' and keeps the walks', so that every fault is run anew.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime, timezone
from pathlib import Path

from tests.whole import commit

PROMISES = ("named", "contained", "recovered")


def good(result: dict[str, object]) -> bool:
    return all(result.get(k) for k in PROMISES)


def known() -> list[dict[str, object]]:
    """What earlier runs wrote: a run that was cut short goes on where it was."""
    file = Path(os.environ.get("FAULTS_RESULTS", os.devnull))
    return read(file) if file.is_file() else []


def read(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def told(result: dict[str, object]) -> None:
    line = json.dumps({**result, "day": f"{datetime.now(timezone.utc):%Y-%m-%d}", "commit": commit()})
    print(line)
    file = os.environ.get("FAULTS_RESULTS")
    if file:
        with Path(file).open("a", encoding="utf-8") as out:
            out.write(f"{line}\n")


def fresh(file: Path) -> None:
    file.parent.mkdir(exist_ok=True)
    walks = [line for line in read(file) if "fault" not in line] if file.is_file() else []
    file.write_text("".join(f"{json.dumps(line)}\n" for line in walks), encoding="utf-8")


if __name__ == "__main__":
    fresh(Path(sys.argv[1]))
