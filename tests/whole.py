"""python -m tests.whole PYTEST-WORDS: the lab's tests, and beside them, a little slower, all that need no lab.

Results are kept as JUnit files in build/junit, with the commit as the suite's name.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.browser import Unavailable, ready

ROOT = Path(__file__).parents[1]
LOG = ROOT / "build" / "tests-without-lab.log"
LAB = ("tests/lab", "tests/faults")
NOTHING_CHOSEN = 5
PATIENCE = 5
"""How much the tests without the lab yield to those with it, which wait for engines."""


def command(name: str, where: list[str], words: list[str]) -> list[str]:
    kept = [f"--junitxml={ROOT / 'build' / 'junit' / name}.xml", "-o", "junit_family=xunit1", "-o", f"junit_suite_name={commit()}"]
    if "not long" in words:
        kept.append("--hypothesis-profile=ci")  # the same examples each time: make test-long looks for new ones
    return [sys.executable, "-m", "pytest", "-rs", *kept, *where, *words]


def commit() -> str:
    """Unknown where there is no git, or no history."""
    try:
        return subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def refused() -> str | None:
    """Why not to begin: what needs root must not be left out in silence."""
    if os.geteuid() == 0 or os.environ.get("LAB") == "no":
        return None
    return "the lab's tests need root: run `sudo make test`, as CI does, or `make test LAB=no` to leave out tests/lab and tests/faults"


def browser() -> None:
    """Chromium before the tests and not among them, where the lab's apt-get would meet it.

    Tests of pages say by themselves what they lack.
    """
    if os.environ.get("BRINGUP_BROWSER") != "off":
        with suppress(Unavailable):
            ready()


def main(words: list[str]) -> int:
    """The worse of both ends; what failed is printed last."""
    if why := refused():
        print(why, file=sys.stderr)
        return 2
    browser()
    if os.environ.get("LAB") == "no":
        return without_lab(words)
    LOG.parent.mkdir(exist_ok=True)
    began = time.monotonic()
    others = [f"--ignore={folder}" for folder in LAB]
    with LOG.open("w", encoding="utf-8") as out:
        print(f"tests without the lab run beside it, into {LOG.relative_to(ROOT)}", flush=True)
        beside = subprocess.Popen(
            command("rest", others, [*words, "-p", "no:cacheprovider"]),
            cwd=ROOT,
            stdout=out,
            stderr=out,
            preexec_fn=lambda: os.nice(PATIENCE),
        )
        try:
            lab = subprocess.run(command("lab", list(LAB), words), cwd=ROOT, check=False).returncode
            other = beside.wait()
        finally:
            beside.terminate()
    told = LOG.read_text(encoding="utf-8", errors="replace").rstrip()
    well = [*(line for line in told.splitlines() if line.startswith("SKIPPED")), f"{told.rpartition(chr(10))[2]} (without the lab)"]
    print(told if other not in (0, NOTHING_CHOSEN) else "\n".join(well))
    print(f"lab: exit {lab}, without the lab: exit {other}, {time.monotonic() - began:.0f} s together", flush=True)
    return max((code for code in (lab, other) if code != NOTHING_CHOSEN), default=0)


def without_lab(words: list[str]) -> int:
    """Half of the tests, and said so."""
    code = subprocess.run(command("rest", [f"--ignore={folder}" for folder in LAB], words), cwd=ROOT, check=False).returncode
    print(f"NOT RUN, because of LAB=no: {' and '.join(LAB)}, everything that is shown on nodes", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
