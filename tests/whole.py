"""python -m tests.whole PYTEST-WORDS: tests with the engine's double in two labs side by side, then those with the real engine alone.

Beside the first, a little slower, run all tests that need no lab. Results are kept as JUnit files in build/junit, with the commit as the
suite's name.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests import nginx, watched
from tests.browser import Unavailable, ready
from tests.lab import __main__ as lab_cli
from tests.lab import daemon, second
from tests.lab.place import LabError, Place

ROOT = Path(__file__).parents[1]
LAB = ("tests/lab", "tests/faults")


def modules(names: str) -> tuple[str, ...]:
    return tuple(f"tests/lab/test_{name}.py" for name in names.split())


FIRST = modules(
    "nodes accelerators ways_in lab_itself second bare_nodes prepare_docker check whole_way prepare_host weights start_page secrets "
    "clean replaced change closed"
)
SECOND = (*modules("serve proxy hung serve_faults least other_engines"), "tests/faults")
"""What wants no real engine: half of it in the lab itself, half in a second one beside it."""
REAL = modules("keeps_serving bench prepare_engine engine double_is_honest deaths numerics xinference wheelhouse venv")
"""What wants the real engine runs alone afterwards: beside others it is late, and the tests' time limits lie."""
PAGE = ROOT / "docs" / "tests.md"
NOTHING_CHOSEN = 5
GRACE = 90
PATIENCE = 5
"""How much the tests without the lab yield to those with it."""


@dataclass(frozen=True)
class Stream:
    """Tests that run beside others."""

    name: str
    where: Sequence[str]
    nice: int = 0
    workers: int = 1
    lab: Place | None = None
    """The second lab, in a network namespace of its own."""

    @property
    def log(self) -> Path:
        return ROOT / "build" / f"tests-{self.name}.log"

    def start(self, words: list[str]) -> subprocess.Popen[bytes]:
        many = ["-n", str(self.workers)] if self.workers > 1 else []
        line = command(self.name, list(self.where), [*words, "-p", "no:cacheprovider", *many])
        env = {**os.environ, "BRINGUP_SKIPS": "fail", **({"BRINGUP_LAB": str(self.lab.root)} if self.lab else {})}
        self.log.parent.mkdir(exist_ok=True)
        with self.log.open("wb") as out:
            return subprocess.Popen(
                second.alone_on_the_net(line) if self.lab else line,
                cwd=ROOT, env=env, stdout=out, stderr=out, preexec_fn=lambda: os.nice(self.nice),
            )  # fmt: skip


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


def tools() -> None:
    """What tests drive, before them and not among them, where the lab's apt-get would meet it.

    Tests say by themselves what they lack.
    """
    if why := nginx.ready():
        print(f"tests: {why}", flush=True)
    if os.environ.get("BRINGUP_BROWSER") != "off":
        with suppress(Unavailable):
            ready()


def taken_over(place: Place) -> None:
    """A lab that runs has the addresses and the memory that the tests need."""
    if daemon.running(place):
        print(f"tests: the lab that runs in {place.root} (make demo, make lab-up) is taken down: the tests need its addresses", flush=True)
        lab_cli.main(["down"])


def main(words: list[str]) -> int:
    """The worst of all ends; what failed is told whole."""
    if why := refused():
        print(why, file=sys.stderr)
        return 2
    tools()
    if os.environ.get("LAB") == "no":
        return without_lab(words)
    began = time.monotonic()
    try:
        taken_over(Place())
        other = second.ready(Place())
    except LabError as e:
        print(f"lab: {e}", file=sys.stderr)
        return 1
    codes = together(
        Stream("in-the-first-lab", FIRST), Stream("in-the-second-lab", SECOND, lab=other),
        Stream("without-the-lab", [f"--ignore={folder}" for folder in LAB], nice=PATIENCE, workers=2), words=words,
    )  # fmt: skip
    codes |= together(Stream("with-the-real-engine", REAL), words=words)
    watched.passed(module for name, code in codes.items() if code == 0 for module in ran(name))
    print(f"{', '.join(f'{name}: exit {code}' for name, code in codes.items())}, {time.monotonic() - began:.0f} s together", flush=True)
    return max((code for code in codes.values() if code != NOTHING_CHOSEN), default=0)


def together(*streams: Stream, words: list[str]) -> dict[str, int]:
    """Side by side; each is told of when it has ended."""
    print(f"tests: {', '.join(f'{s.name} into {s.log.relative_to(ROOT)}' for s in streams)}", flush=True)
    running = [(stream, stream.start(words)) for stream in streams]
    codes: dict[str, int] = {}
    try:
        while len(codes) < len(running):
            time.sleep(0.2)
            for stream, process in running:
                if stream.name not in codes and (code := process.poll()) is not None:
                    codes[stream.name] = code
                    print(ending(stream, code), *slow(stream.name), sep="\n", flush=True)
    except KeyboardInterrupt:
        print("tests: interrupted, the labs are taken down ...", flush=True)
        for _, process in running:  # each of them was interrupted, too
            with suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)
        raise
    finally:
        for _, process in running:
            process.terminate()
    return codes


def ran(stream: str) -> Counter[str]:
    """Modules of which this stream ran something, and their seconds."""
    file, seconds = ROOT / "build" / "junit" / f"{stream}.xml", Counter[str]()
    if file.exists():
        for case in ElementTree.parse(file).getroot().iter("testcase"):
            seconds[f"{str(case.get('classname')).replace('.', '/')}.py"] += float(case.get("time") or 0)  # type: ignore[assignment]
    return seconds


def allowed() -> dict[str, int]:
    """The seconds of each module of the lab, from docs/tests.md."""
    rows = re.findall(r"^\| `(tests/(?:lab|faults)/\S+\.py)` \| (\d+) \|", PAGE.read_text(encoding="utf-8"), re.M)
    return {module: int(seconds) for module, seconds in rows}


def slow(stream: str) -> list[str]:
    """Modules that took longer than they may: said, and no failure, for a machine may be slow today."""
    limits, took = allowed(), sorted(ran(stream).items())
    return [f"{m} took {s:.0f} s, and docs/tests.md allows {limits[m]} s" for m, s in took if m in limits and s > limits[m]]


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
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
