"""Changes with care, on two replicas of one node each, with the engine's double: one at a time, drained, rolled back, only what changed."""

from __future__ import annotations

import os
import pty
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from tests.lab.clients import Client, asked
from tests.lab.conftest import RunningLab
from tests.lab.double.running import until
from tests.lab.double_image import double_image
from tests.lab.verbs import DOUBLE, Ran, Site

pytestmark = pytest.mark.lab
MODEL, PORT = "MiniMax-M2-lab", 8000
QUICK = ("--data", "soak=0")


@pytest.fixture(scope="module")
def site(lab: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    double_image(lab.place)
    one = Site(
        lab.place, tmp_path_factory.mktemp("change"), recipe="lab/a2-single", cluster="change",
        data={"image": DOUBLE, "auth": "off", "timeouts": {"stall": 15, "ready": 60, "drain": 20}, "liveness": {"backoff": 1},
              "flags": {"max-num-seqs": 64}},
        hosts={"n0": {"rank": 0, "replica": "r0"}, "n1": {"rank": 0, "replica": "r1"}},
    )  # fmt: skip
    ran = one.run("serve", "-y", *QUICK)
    assert ran.code == 0, ran.err
    yield one
    one.members = ("n0", "n1")
    assert one.run("clean", "-y").code == 0


def container(lab: RunningLab, site: Site, node: str, replica: str) -> str:
    return lab.exec(node, f"docker inspect -f '{{{{.Id}}}}' bringup-{site.cluster}-{replica}").strip()


def seqs(lab: RunningLab, site: Site, node: str, replica: str) -> str:
    """The flag that these tests change, as it runs."""
    words = lab.exec(node, f"docker inspect -f '{{{{join .Args \" \"}}}}' bringup-{site.cluster}-{replica}").split()
    return words[words.index("--max-num-seqs") + 1]


def test_a_rolling_change_takes_down_one_replica_at_a_time(lab: RunningLab, site: Site) -> None:
    site.data["flags"] = {"max-num-seqs": 48}
    with Client(site.address("n0"), MODEL, PORT) as first, Client(site.address("n1"), MODEL, PORT) as second:
        ran = site.run("serve", "-y", "--data", "rolling=1", *QUICK)
    assert ran.code == 0, ran.err
    assert [seqs(lab, site, *at) for at in (("n0", "r0"), ("n1", "r1"))] == ["48", "48"]
    assert all([first.good, second.good, first.failed, second.failed]), "each was down for a while, and only for a while"
    apart = max(first.failed) < min(second.failed) or max(second.failed) < min(first.failed)
    assert apart, "while one was down every request to the other was answered"


def test_a_running_request_is_waited_for(lab: RunningLab, site: Site) -> None:
    site.data["flags"] = {"max-num-seqs": 40}
    site.data["env"] = {"DOUBLE": "token=0.1"}
    assert site.run("serve", "-y", *QUICK).code == 0
    results: list[int] = []
    address = site.address("n0")
    asking = threading.Thread(target=lambda: results.append(asked(address, MODEL, PORT, seconds=60, max_tokens=100, ignore_eos=True)))
    asking.start()
    site.data["env"] = {}
    ran = site.run("serve", "-y", *QUICK)
    asking.join(60)
    assert ran.code == 0, ran.err
    assert results == [200]
    drains = [s for s in ran.report["stages"] if s["stage"] == "drain"]
    assert {s["replica"] for s in drains} == {"r0", "r1"}


def test_a_change_that_fails_its_proof_is_rolled_back_and_the_other_replica_is_not_tried(lab: RunningLab, site: Site) -> None:
    other = container(lab, site, "n1", "r1")
    site.data["env"] = {"DOUBLE": "models=other"}
    with Client(site.address("n1"), MODEL, PORT) as second:
        ran = site.run("serve", "-y", "--data", "rolling=1", *QUICK)
    assert ran.code == 1
    assert "is back and proven" in ran.out + ran.err, ran.out + ran.err
    assert "left as it is, since replica r0 failed its change" in ran.why[-1]
    assert (second.failed, container(lab, site, "n1", "r1")) == ([], other)
    site.data["env"] = {}
    again = site.run("serve", "-y", *QUICK)
    assert (again.code, again.success) == (0, 0), again.err


def thought_over(site: Site, happens: Callable[[], None]) -> Ran:
    """serve without -y: it has looked and decided, something happens, and then its user presses Enter."""
    before = site.last()
    terminal, theirs = pty.openpty()
    process = site.start("serve", *QUICK, stdin=theirs)
    os.close(theirs)
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        folder = site.last()
        if folder != before and folder and (folder / "events.jsonl").read_text(encoding="utf-8").count('"event": "decision"') == 2:
            break
        time.sleep(0.2)
    happens()
    os.write(terminal, b"\n")
    ran = site.end(process)
    os.close(terminal)
    return ran


def test_what_began_again_by_itself_meanwhile_is_looked_at_again(lab: RunningLab, site: Site) -> None:
    number = "cat /var/lib/bringup/change/r0/generation"
    before = int(lab.exec("n0", number))

    def dies() -> None:
        lab.exec("n0", "docker kill bringup-change-r0")
        assert until(lambda: int(lab.exec("n0", number)) > before and asked(site.address("n0"), MODEL, PORT) == 200, 60)

    site.data["flags"] = {"max-num-seqs": 56}
    ran = thought_over(site, dies)
    assert ran.code == 0, ran.err
    assert "replica r0 runs another plan, seen again: a start began there since the first look" in ran.err
    assert [seqs(lab, site, *at) for at in (("n0", "r0"), ("n1", "r1"))] == ["56", "56"]


def test_what_another_controller_changed_meanwhile_is_not_changed_over_it(lab: RunningLab, site: Site) -> None:
    other = replace(site, path=site.path / "other", data={**site.data, "flags": {"max-num-seqs": 52}})

    def changed() -> None:
        assert other.run("serve", "-y", *QUICK).code == 0

    site.data["flags"] = {"max-num-seqs": 60}
    ran = thought_over(site, changed)
    site.data["flags"] = other.data["flags"]
    assert ran.code == 1, ran.err
    assert len(ran.why) == 2
    assert all("began a start since this run looked; run again" in why for why in ran.why)
    assert [seqs(lab, site, *at) for at in (("n0", "r0"), ("n1", "r1"))] == ["52", "52"]


def test_never_means_that_the_failed_change_stays_down(lab: RunningLab, site: Site) -> None:
    site.data["env"] = {"DOUBLE": "die=weights"}
    ran = site.run("serve", "-y", "--data", "rollback=never", "--data", "rolling=1", *QUICK)
    assert ran.code == 1
    assert lab.exec("n0", "docker ps -q --filter label=bringup.cluster=change") == ""
    assert site.run("status").code == 1


def test_going_back_on_request_needs_no_good_inventory(lab: RunningLab, site: Site) -> None:
    dry = site.run("serve", "--dry", "--data", "rollback=now")
    assert "would be stopped and started again by its kept plan" in dry.err
    assert "replica r1 is on its proven plan: left alone" in dry.err
    ran = site.run("serve", "-y", "--data", "rollback=now", *QUICK)
    assert ran.code == 0, ran.err + ran.out
    assert asked(site.address("n0"), MODEL, PORT) == 200
    site.data["env"] = {}
    assert site.run("serve", "-y", *QUICK).code == 0
    assert site.run("serve", "-y", *QUICK).success == 0


def test_an_added_and_a_removed_replica_leave_the_other_alone(lab: RunningLab, site: Site) -> None:
    before = container(lab, site, "n0", "r0")
    with Client(site.address("n0"), MODEL, PORT) as client:
        assert site.run("clean", "-y", "--limit", site.name("n1")).code == 0
        site.members = ("n0",)
        refused = site.run("serve", "-y", *QUICK)
        assert refused.code == 1
        assert f"{site.name('n1')} ({site.address('n1')}) left the inventory" in refused.err
        assert site.run("serve", "-y", "--data", f"forget={site.name('n1')}", *QUICK).success == 0
        assert site.run("serve", "-y", *QUICK).success == 0, "said once, it need not be said again"
        site.members = ("n0", "n1")
        ran = site.run("serve", "-y", *QUICK)
    assert ran.code == 0, ran.err
    assert (client.failed, container(lab, site, "n0", "r0")) == ([], before)
    assert asked(site.address("n1"), MODEL, PORT) == 200
