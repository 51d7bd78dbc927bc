"""What faults and walks ended in, kept as lines of JSON where FAULTS_RESULTS says, for docs/reliability.md."""

from __future__ import annotations

import json
import os
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
