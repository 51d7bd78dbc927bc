"""docs/start.md played on the lab as the page has it, line after line, with the engine's double in the engine's place."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.lab import bench_double, demo
from tests.lab.conftest import RunningLab
from tests.lab.double_image import double_image
from tests.lab.engine import build
from tests.lab.page import Line, played
from tests.lab.place import LabError
from tests.lab.verbs import DOUBLE, ROOT, Ran

pytestmark = pytest.mark.lab
PAGE = ROOT / "docs" / "start.md"
CONTAINER = "bringup-lab-r0"
CLEAN = Line(f"pyinfra {demo.INVENTORY} deploy/clean.py -y")


@dataclass
class Reader:
    """Somebody at the keyboard, in the checkout, with a home of their own."""

    lab: RunningLab
    home: Path
    ran: list[tuple[Line, Ran]] = field(default_factory=list)

    def types(self, line: Line, seconds: float = 240) -> Ran:
        data = [f"image={DOUBLE}", f"runs={self.home / 'runs'}", *(["soak=1s"] if line.verb == "serve" else [])]
        env = {**os.environ, "HOME": str(self.home), "BRINGUP_LAB": str(self.lab.place.root)}
        env.pop("XDG_CONFIG_HOME", None)
        process = subprocess.Popen(
            line.argv(demo._inventory(self.lab.place), *data), cwd=ROOT, env=env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        said = _until_it_was_shown(process) if line.goes_on else ""
        out, err = process.communicate(timeout=seconds)
        ran = Ran(process.returncode, said + out, err, None)
        self.ran.append((line, ran))
        return ran

    def all_of(self, verb: str) -> list[Ran]:
        return [ran for line, ran in self.ran if line.verb == verb]


def _until_it_was_shown(process: subprocess.Popen[str]) -> str:
    """Reads up to the first line that tells of a replica, then Ctrl-C."""
    assert process.stdout is not None
    said, end = "", time.monotonic() + 60
    while "replica r0" not in said and time.monotonic() < end and (line := process.stdout.readline()):
        said += line
    process.send_signal(signal.SIGINT)
    return said


@pytest.fixture(scope="module")
def reader(lab: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """The whole page was played; each line was typed after the one before it had ended."""
    double_image(lab.place)
    with build.alone(lab.place):
        build.models(lab.place)
    one = Reader(lab, tmp_path_factory.mktemp("reader"))
    assert one.types(CLEAN).code == 0, one.ran[-1][1].err
    one.ran.clear()
    try:
        for line in played(PAGE):
            if line.verb == "bench":
                with suppress(LabError):  # where nothing serves the lines before it tell why
                    bench_double.put(lab.place, "n0", CONTAINER)
            one.types(line)
        yield one
    finally:
        one.types(Line("make lab-set NODE=n1 health.2=OK"))
        one.types(CLEAN)


def test_every_line_ends_as_the_page_says(reader: Reader) -> None:
    wrong = [f"{line.text}: {ran.code}, expected {line.status}\n{ran.out}{ran.err}" for line, ran in reader.ran if ran.code != line.status]
    assert wrong == [], "\n".join(wrong)


def test_serve_again_changes_nothing_and_a_changed_flag_restarts_and_goes_back(reader: Reader) -> None:
    first, again, changed, back = reader.all_of("serve")
    assert "is served at http://" in first.out
    assert again.success == 0
    assert "left alone" in again.err
    assert "max-num-seqs" in changed.out + changed.err
    assert changed.success > 0
    assert back.success > 0


def test_the_fault_is_found_where_it_was_made(reader: Reader) -> None:
    (found,) = reader.all_of("check")
    (fault,) = [line for line in found.out.splitlines() if line.startswith("FAIL")]
    assert fault.startswith(f"FAIL  {reader.lab.place.ssh_address(1)}: ascend.health: card 2: Alarm")


def test_each_run_left_a_folder_with_its_report_and_the_key_is_the_readers_own(reader: Reader) -> None:
    verbs = [line.verb for line, _ in reader.ran if line.verb]
    folders = [f.name.split("-")[1] for f in (reader.home / "runs" / "lab").iterdir() if (f / "report.html").exists()]
    assert sorted(folders) == sorted(["clean", *verbs])
    assert (reader.home / ".config" / "bringup" / "lab" / "api-key").stat().st_mode & 0o777 == 0o600


def test_at_the_end_nothing_is_left_on_the_nodes(reader: Reader) -> None:
    ours = "docker ps -aq --filter label=bringup.cluster=lab; ls -d /etc/systemd/system/bringup-lab-* /etc/bringup/lab 2>/dev/null || :"
    assert {node: reader.lab.ssh(node, ours) for node in ("n0", "n1")} == {"n0": "", "n1": ""}
