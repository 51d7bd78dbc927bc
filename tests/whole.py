"""python -m tests.whole PYTEST-WORDS: the lab's tests in two labs, and beside them, a little slower, all that need no lab.

Results are kept as JUnit files in build/junit, with the commit as the suite's name.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.browser import Unavailable, ready
from tests.lab import second
from tests.lab.place import LabError, Place

ROOT = Path(__file__).parents[1]
LOG = ROOT / "build" / "tests-without-lab.log"
LAB = ("tests/lab", "tests/faults")
DOUBLES = "accelerators change clean closed hung least other_engines prepare_host proxy replaced serve serve_faults whole_way"
SECOND = (*(f"tests/lab/test_{name}.py" for name in DOUBLES.split()), "tests/faults")
"""What wants no real engine runs in a second lab beside the first, where engines are waited for."""
NOTHING_CHOSEN = 5
PATIENCE = 5
"""How much the tests without the lab yield to those with it, which wait for engines."""


@dataclass(frozen=True)
class Stream:
    """Tests that run one after the other, beside other streams."""

    name: str
    where: Sequence[str]
    nice: int = 0
    lab: Place | None = None
    """The second lab, in a network namespace of its own."""

    @property
    def log(self) -> Path:
        return ROOT / "build" / f"tests-{self.name}.log"

    def start(self, words: list[str]) -> subprocess.Popen[bytes]:
        line = command(self.name, list(self.where), [*words, "-p", "no:cacheprovider"])
        env = {**os.environ, **({"BRINGUP_LAB": str(self.lab.root)} if self.lab else {})}
        self.log.parent.mkdir(exist_ok=True)
        with self.log.open("wb") as out:
            return subprocess.Popen(
                second.alone_on_the_net(line) if self.lab else line,
                cwd=ROOT, env=env, stdout=out, stderr=out, preexec_fn=lambda: os.nice(self.nice),
            )  # fmt: skip


def command(name: str, where: list[str], words: list[str]) -> list[str]:
    kept = [f"--junitxml={ROOT / 'build' / 'junit' / name}.xml", "-o", "junit_family=xunit1", "-o", f"junit_suite_name={commit()}"]
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
    """The worst of all ends; what failed is printed last."""
    if why := refused():
        print(why, file=sys.stderr)
        return 2
    browser()
    if os.environ.get("LAB") == "no":
        return without_lab(words)
    try:
        other = second.ready(Place())
    except LabError as e:
        print(f"lab: {e}", file=sys.stderr)
        return 1
    began = time.monotonic()
    streams = [
        Stream("without-the-lab", [f"--ignore={folder}" for folder in LAB], nice=PATIENCE),
        Stream("in-the-second-lab", SECOND, lab=other),
    ]
    print(f"beside these tests run others, into {' and '.join(str(s.log.relative_to(ROOT)) for s in streams)}", flush=True)
    codes = beside(streams, words)
    for stream in streams:
        print(ending(stream, codes[stream.name]))
    print(f"{', '.join(f'{name}: exit {code}' for name, code in codes.items())}, {time.monotonic() - began:.0f} s together", flush=True)
    return max((code for code in codes.values() if code != NOTHING_CHOSEN), default=0)


def beside(streams: list[Stream], words: list[str]) -> dict[str, int]:
    """The first lab's tests on the terminal, the streams beside them; the exit code of each."""
    running = {stream.name: stream.start(words) for stream in streams}
    try:
        front = [*LAB, *(f"--ignore={path}" for path in SECOND)]
        code = subprocess.run(command("in-the-lab", front, words), cwd=ROOT, check=False).returncode
        return {"in-the-lab": code, **{name: process.wait() for name, process in running.items()}}
    finally:
        for process in running.values():
            process.terminate()


def ending(stream: Stream, code: int) -> str:
    """All it said when something failed; else what it left out, and its last line."""
    told = stream.log.read_text(encoding="utf-8", errors="replace").rstrip()
    if code not in (0, NOTHING_CHOSEN):
        return told
    skipped = (line for line in told.splitlines() if line.startswith("SKIPPED"))
    return "\n".join([*skipped, f"{told.rpartition(chr(10))[2]} ({stream.name})"])


def without_lab(words: list[str]) -> int:
    """Half of the tests, and said so."""
    code = subprocess.run(command("without-the-lab", [f"--ignore={folder}" for folder in LAB], words), cwd=ROOT, check=False).returncode
    print(f"NOT RUN, because of LAB=no: {' and '.join(LAB)}, everything that is shown on nodes", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
