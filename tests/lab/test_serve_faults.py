"""What serve says and leaves when a start goes wrong: the engine's double misbehaves, the controller is interrupted or killed."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from datetime import datetime

import pytest

from tests.lab.conftest import RunningLab
from tests.lab.double_image import double_image
from tests.lab.verbs import DOUBLE, Ran, Site

pytestmark = pytest.mark.lab
LIMITS = {"stall": 8, "ready": 90, "answer": 6, "join": 20, "listen": 30, "stop": 10}


@pytest.fixture(scope="module")
def site(lab: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    double_image(lab.place)
    one = Site(lab.place, tmp_path_factory.mktemp("faults"), cluster="faults", data={"image": DOUBLE, "timeouts": dict(LIMITS)})
    yield one
    one.data["env"] = {}
    assert one.run("clean", "-y").code == 0


@pytest.fixture(autouse=True)
def well_again(site: Site) -> None:
    site.data["env"], site.data["timeouts"] = {}, dict(LIMITS)
    return


def knobs(site: Site, text: str) -> None:
    site.data["env"] = {"DOUBLE": text}


def running(lab: RunningLab, site: Site) -> dict[str, str]:
    return {n: lab.ssh(n, "docker ps -q --filter label=bringup.cluster=faults").strip() for n in site.members}


FAULTS = [
    ("die=weights", "n0", "weights", "told to die at weights"),
    ("die@1=distributed", "n1", "distributed", "told to die at distributed"),
    ("stall=kv-cache", "", "", "stalled: no log line"),
    ("fatal=EI0006 Getting socket times out", "", "", "EI0006"),
    ("oom", "", "", "memory"),
    ("unrecognized=--max-num-seqs", "n0", "", "unrecognized arguments"),
    ("lie", "n0", "proof ranks", "HTTP 500"),
    ("models=other", "n0", "proof model", "other"),
    ("garbled", "n0", "proof chat", "looks garbled"),
    ("mute=1", "n0", "proof ranks", "rank 1 did not answer"),
    ("deaf", "", "", "stalled"),
]


UNSEEN = ("lie", "mute=1")
"""Errors and silence of the API refute nothing."""
OFTEN = ("die@1=distributed", "garbled")


def cases() -> list[object]:
    """Two of them every time, one that dies and one whose proof fails; tests/faults tries the others once more, in make test-long."""
    return [pytest.param(*f, id=f[0].partition(" ")[0], marks=() if f[0] in OFTEN else pytest.mark.long) for f in FAULTS]


@pytest.mark.parametrize(("knob", "node", "stage", "words"), cases())
def test_a_fault_ends_the_start_with_its_sentence_and_nothing_left_running(
    lab: RunningLab, site: Site, knob: str, node: str, stage: str, words: str, record_property: Callable[[str, object], None]
) -> None:
    knobs(site, knob)
    ran = site.run("serve", "-y", "--data", "soak=1s")
    assert ran.code == 1, ran.err
    first = ran.report["failures"][0]
    assert words.lower() in " ".join(ran.why).lower(), ran.why
    assert not node or first["node"] == site.name(node), ran.report["failures"]
    assert not stage or first["stage"] == stage
    left = {n: bool(found) for n, found in running(lab, site).items()}
    assert left == dict.fromkeys(site.members, knob in UNSEEN), "what could not be seen is left running, all else is stopped"
    assert "Traceback" not in ran.err + ran.out
    seconds = until_said(lab, site, ran)
    record_property("seconds from the engine's end to the message", seconds)
    print(f"{knob}: {'no engine ended by itself' if seconds is None else f'{seconds:.1f} s from its end to the message'}")


def until_said(lab: RunningLab, site: Site, ran: Ran) -> float | None:
    """From the first engine that ended by itself, by its node's clock (whole seconds), to the first failure in the run's events."""
    lines = [line for n in site.members for line in lab.ssh(n, "cat /var/lib/bringup/faults/r0/ended 2>/dev/null || :").splitlines()]
    ends = [datetime.fromisoformat(line.split()[0].replace("Z", "+00:00")) for line in lines if "the engine ended" in line]
    told = next(datetime.fromisoformat(e["time"]) for e in ran.events if e["event"] == "failure")
    return (told - min(ends)).total_seconds() if ends else None


def test_a_taken_port_is_found_before_anything_is_started(lab: RunningLab, site: Site) -> None:
    lab.ssh("n0", "systemd-run -q --unit taker python3 -m http.server 20004")
    try:
        ran = site.run("serve", "-y")
        assert ran.code == 1
        assert (site.name("n0"), "network.ports") in ran.failing()
        assert not any(e.get("stage") == "start" for e in ran.events)
    finally:
        lab.ssh("n0", "systemctl stop taker")


def test_keep_leaves_the_evidence_when_asked(lab: RunningLab, site: Site) -> None:
    knobs(site, "models=other")
    assert site.run("serve", "-y", "--data", "keep=true", "--data", "soak=1s").code == 1
    assert all(running(lab, site).values())
    assert site.run("stop", "-y").code == 0


STAGES = ("start", "weights", "kv-cache", "proof")


def often(stage: str) -> list[object]:
    """One stage every time, all of them in make test-long."""
    return [pytest.param(s, marks=() if s == stage else pytest.mark.long) for s in STAGES]


def held_at(site: Site, stage: str) -> None:
    """The double waits there, so that the signal hits that stage."""
    site.data["timeouts"] = {**LIMITS, "stall": 60}
    knobs(site, {"start": "stall=container", "proof": "mute=0+1"}.get(stage, f"stall={stage}"))


@pytest.mark.parametrize("stage", often("start"))
def test_ctrl_c_ends_with_130_leaves_nothing_running_and_the_next_run_converges(lab: RunningLab, site: Site, stage: str) -> None:
    before = site.last()
    held_at(site, stage)
    process = site.start("serve", "-y", "--data", "soak=1s")
    assert site.reached(process, stage, before), f"stage {stage} did not come"
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    ran = site.end(process, 40)
    assert ran.code == 130, ran.err
    assert time.monotonic() - began < 25
    assert ran.report["exit"] == 130
    assert running(lab, site) == {"n0": "", "n1": ""}
    assert lab.ssh("n0", "ls -d /var/lib/bringup/faults/lock 2>/dev/null || :") == ""
    site.data["env"] = {}
    again = site.run("serve", "-y", "--data", "soak=1s")
    assert again.code == 0, again.err
    assert site.run("stop", "-y").code == 0


@pytest.mark.parametrize("stage", often("proof"))
def test_after_a_killed_controller_the_next_run_converges(lab: RunningLab, site: Site, stage: str) -> None:
    before = site.last()
    held_at(site, stage)
    process = site.start("serve", "-y", "--data", "soak=1s")
    assert site.reached(process, stage, before), f"stage {stage} did not come"
    process.kill()
    process.communicate()
    site.data["env"] = {}
    ran = site.run("serve", "-y", "--data", "soak=1s")
    assert ran.code == 0, ran.err
    assert site.run("stop", "-y").code == 0


def test_without_a_controller_the_units_time_out_and_stop_by_themselves(lab: RunningLab, site: Site) -> None:
    before = site.last()
    held_at(site, "weights")
    site.data["timeouts"]["ready"] = 12
    process = site.start("serve", "-y")
    assert site.reached(process, "weights", before), "stage weights did not come"
    process.kill()
    process.communicate()
    end = time.monotonic() + 45
    while any(running(lab, site).values()) and time.monotonic() < end:
        time.sleep(1)
    assert running(lab, site) == {"n0": "", "n1": ""}
    assert "deadline: no answer" in lab.ssh("n0", "cat /var/lib/bringup/faults/r0/ended")


def test_a_second_controller_is_told_who_holds_the_lock(lab: RunningLab, site: Site) -> None:
    who = "kim@elsewhere (process 1), serve, since 2026-11-21T00:00:00"
    lab.ssh("n1", f"mkdir -p /var/lib/bringup/faults/lock && echo '{who}' > /var/lib/bringup/faults/lock/holder")
    ran = site.run("serve", "-y")
    assert ran.code == 1
    assert f"held by {who}" in ran.out
    assert "takeover=true" in ran.out
    assert running(lab, site) == {"n0": "", "n1": ""}
    assert site.run("serve", "-y", "--data", "takeover=true", "--data", "soak=1s").code == 0
    assert site.run("stop", "-y").code == 0
