"""Two nodes without Docker, by the real verbs alone: what dry says is done, a second time nothing, and clean gives back what was there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab import apt, nodes
from tests.lab.conftest import RunningLab
from tests.lab.double_image import double_image
from tests.lab.test_prepare_host import KNOBS
from tests.lab.verbs import DOUBLE, Ran, Site

pytestmark = pytest.mark.lab
A, B = nodes.Node(24, "a2", bare=True), nodes.Node(25, "a2", bare=True)
OURS = "ls -d /etc/systemd/system/bringup-* /etc/bringup /var/lib/bringup/* 2>/dev/null; docker ps -aq"


@pytest.fixture(scope="module")
def bare(lab: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    apt.apt_folder(lab.place)
    double_image(lab.place)
    with lab.added(A, B):
        data = {"image": DOUBLE, "auth": "off", "timeouts": {"stall": 15, "ready": 60}, "docker": {"insecure": ["registry.lab:5000"]}}
        yield Site(lab.place, tmp_path_factory.mktemp("whole"), [A.name, B.name], data=data, cluster="whole")


@pytest.fixture(scope="module")
def knobs(lab: RunningLab, bare: Site) -> dict[str, str]:
    """What the host had before we came."""
    return {n: lab.ssh(n, KNOBS) for n in bare.members}


def changes(ran: Ran, word: str = "") -> list[tuple[str, str]]:
    """What is changed where, in the events' order by node; with the word that a dry run puts before it taken off."""
    told = [(e["node"], e["what"]) for e in ran.events if e["event"] == "change"]
    return sorted((node, what.removeprefix(f"{word} ")) for node, what in told)


def test_check_says_what_prepare_cures_and_blocks_nothing(bare: Site, knobs: dict[str, str]) -> None:
    ran = bare.run("check")
    assert ran.code == 0, ran.out
    assert {f["node"] for f in ran.report["findings"] if f["check"] == "docker.present" and f["level"] == "warn"} == {
        bare.name(A.name),
        bare.name(B.name),
    }


def test_what_dry_says_is_what_is_done_and_nothing_else(lab: RunningLab, bare: Site, knobs: dict[str, str]) -> None:
    dry = bare.run("prepare", "--dry")
    assert dry.code == 0, dry.err
    assert {n: lab.ssh(n, KNOBS) for n in bare.members} == knobs
    assert lab.ssh(A.name, "command -v docker || echo none").strip() == "none"
    ran = bare.run("prepare", "-y")
    assert ran.code == 0, ran.err
    assert changes(ran) == changes(dry, "would")
    assert len(changes(ran)) >= 2 * 3, "settings, Docker, image on both"


def test_the_second_time_nothing_is_left_to_do(bare: Site, knobs: dict[str, str]) -> None:
    again = bare.run("prepare", "-y")
    assert (again.code, again.success) == (0, 0), again.err
    assert changes(again) == []


def test_the_nodes_serve(bare: Site, knobs: dict[str, str]) -> None:
    ran = bare.run("serve", "-y", "--data", "soak=0")
    assert ran.code == 0, ran.err


def test_clean_with_revert_gives_back_what_was_there(lab: RunningLab, bare: Site, knobs: dict[str, str]) -> None:
    assert {n: lab.ssh(n, KNOBS) for n in bare.members} != knobs
    dry = bare.run("clean", "--dry", "--data", "revert=true")
    ran = bare.run("clean", "-y", "--data", "revert=true")
    assert ran.code == 0, ran.err
    assert {what for what in changes(dry, "would") if what not in changes(ran)} == set()
    assert {n: lab.ssh(n, KNOBS) for n in bare.members} == knobs
    assert {n: lab.ssh(n, OURS).strip() for n in bare.members} == dict.fromkeys(bare.members, "")
    again = bare.run("clean", "-y", "--data", "revert=true")
    assert (again.code, again.success) == (0, 0), again.err
