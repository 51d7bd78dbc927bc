"""The lab is safe to start twice, to interrupt, and leaves the machine as it was."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab import __main__ as cli
from tests.lab import daemon, image, nodes
from tests.lab.begin import begin_clean
from tests.lab.conftest import Machine, RunningLab
from tests.lab.double.running import until as wait
from tests.lab.place import docker

pytestmark = pytest.mark.lab
ROOT = Path(__file__).parents[2]


def cli_process(*words: str, root: Path | None = None) -> subprocess.Popen[str]:
    env = {**os.environ, **({"BRINGUP_LAB": str(root)} if root else {})}
    command = [sys.executable, "-m", "tests.lab", *words]
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_up_again_changes_nothing(lab: RunningLab) -> None:
    pids = {n: lab.exec(n, "stat -c %Y /proc/1").strip() for n in nodes.states(lab.place)}
    daemon_pid = daemon.running(lab.place)
    assert cli.main(["up"]) == 0
    assert daemon.running(lab.place) == daemon_pid
    assert {n: lab.exec(n, "stat -c %Y /proc/1").strip() for n in pids} == pids


def test_another_family_is_refused_while_the_lab_runs(lab: RunningLab, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["up", "--family", "rocm"]) == 1
    assert "make lab-down first" in capsys.readouterr().err


def test_a_second_lab_is_refused(lab: RunningLab, tmp_path: Path) -> None:
    done = cli_process("up", root=tmp_path / "other")
    _, err = done.communicate(timeout=60)
    assert done.returncode == 1
    assert f"another lab runs from {lab.place.root}" in err
    assert daemon.running(lab.place)


def test_two_ups_at_once_do_not_meet(lab: RunningLab) -> None:
    with (lab.place.root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = cli_process("up")
        _, err = done.communicate(timeout=60)
    assert done.returncode == 1
    assert "wait for it" in err


@pytest.mark.parametrize("words", [["up", "--nodes", "0"], ["up", "--nodes", "999"], ["shell", "n9"], ["set", "n9", "a=b"]])
def test_bad_words_get_a_sentence(lab: RunningLab, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "expected" in line


def test_an_interrupted_up_is_mended_by_the_next(lab: RunningLab) -> None:
    taken = {node.number for node in nodes.described(lab.place)}
    number = next(i for i in itertools.count() if i not in taken)  # other tests may have nodes with higher numbers
    extra = [f"n{i}" for i in (number, number + 1)]
    try:
        process = cli_process("up", "--nodes", str(number + 2))
        time.sleep(1.2)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        assert cli.main(["up", "--nodes", str(number + 2)]) == 0
        states = nodes.states(lab.place)
        assert [states[name] for name in extra] == ["running", "running"]
    finally:
        docker(lab.place, "rm", "-f", "-v", *extra, check=False)


@pytest.mark.long
def test_sixty_four_light_nodes_answer_ssh(lab: RunningLab) -> None:
    kept = nodes.described(lab.place)
    light = [nodes.Node(100 + i, "a2", True) for i in range(64)]
    try:
        nodes.up(lab.place, image.node_image(lab.place), [*kept, *light])
        assert {nodes.ssh(lab.place, n, "hostname").strip() for n in light} == {n.name for n in light}
    finally:
        docker(lab.place, "rm", "-f", "-v", *(n.name for n in light), check=False)
        nodes.up(lab.place, image.node_image(lab.place), kept)


def test_the_machine_is_as_it_was(lab: RunningLab) -> None:
    now = Machine.now()
    assert now.sysctls == {k: v for k, v in lab.before.sysctls.items() if k in now.sysctls}
    assert (now.knobs, now.firewall, now.containers) == (lab.before.knobs, lab.before.firewall, lab.before.containers)
    assert now.devices - lab.before.devices <= {daemon.UP}


@pytest.mark.parametrize("killed", [False, True], ids=["in order", "after its Docker was killed"])
def test_down_leaves_nothing_behind(lab: RunningLab, killed: bool) -> None:
    if not lab.ours:
        pytest.skip("the lab was up before the tests and stays up; run them without it to see this")
    if killed:
        assert cli.main(["up"]) == 0
        pid = daemon.running(lab.place)
        assert pid
        os.kill(pid, signal.SIGKILL)
        assert wait(lambda: daemon.running(lab.place) is None, 10)
        assert daemon.processes(lab.place), "its nodes run on"
    assert cli.main(["down"]) == 0
    assert daemon.processes(lab.place) == []
    now = Machine.now()
    assert now == lab.before
    mounts = Path("/proc/self/mounts").read_text()
    assert str(lab.place.run) not in mounts
    assert lab.place.namespace not in subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert daemon.running(lab.place) is None


def test_what_a_lab_without_its_docker_left_is_gone_before_the_first_look(lab: RunningLab) -> None:
    """A machine whose processes were all ended keeps their network devices and namespaces."""
    if not lab.ours:
        pytest.skip("the lab was up before the tests and stays up")
    assert cli.main(["up"]) == 0
    nodes.down(lab.place)
    for pid in daemon.processes(lab.place):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert wait(lambda: not daemon.processes(lab.place), 20)
    assert daemon.UP in Machine.now().devices
    begin_clean(lab.place, cut_off=False)
    assert Machine.now() == lab.before


def test_up_after_down_answers_again(lab: RunningLab) -> None:
    """Docker restores its networks but not our firewall rules: they must be made at every start."""
    if not lab.ours:
        pytest.skip("the lab was up before the tests and stays up")
    assert cli.main(["up"]) == 0
    assert lab.ssh("n1", "hostname").strip() == "n1"
