"""A hung rank is restarted, a slow one is not, and what dies again and again is given up: with the engine's double, under systemd."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from tests.lab import outages
from tests.lab.clients import asked
from tests.lab.conftest import RunningLab
from tests.lab.deaths import kill
from tests.lab.double_image import double_image
from tests.lab.verbs import DOUBLE, Site

pytestmark = pytest.mark.lab
LIVENESS = {"every": 1, "deadline": 3, "strikes": 2, "backoff": 1, "restarts": 2, "stable": 8}


@pytest.fixture(scope="module")
def site(lab: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    double_image(lab.place)
    data = {"image": DOUBLE, "auth": "off", "liveness": LIVENESS, "timeouts": {"stall": 15, "ready": 60, "stop": 5}}
    one = Site(lab.place, tmp_path_factory.mktemp("hung"), cluster="hung", data=data)
    one.data["env"] = {"DOUBLE_CONTROL": "/root/ascend/log/knobs"}
    ran = one.run("serve", "-y", "--data", "soak=0")
    assert ran.code == 0, ran.err
    yield one
    assert one.run("clean", "-y").code == 0


def knobs(lab: RunningLab, site: Site, node: str, text: str) -> None:
    file = f"{outages.folder(site)}/ascend-log/knobs"
    lab.exec(node, f"echo '{text}' >{file}.new && mv {file}.new {file}")


def until(lab: RunningLab, site: Site, words: str, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if words in outages.history(lab, site):
            return True
        time.sleep(0.5)
    return False


@pytest.mark.long
def test_a_slow_rank_under_load_is_noted_and_left_alone(lab: RunningLab, site: Site) -> None:
    knobs(lab, site, "n1", "token=3.5")
    busy = threading.Thread(target=lambda: asked(site.address("n0"), seconds=60, max_tokens=14, ignore_eos=True))
    threads = [busy, *(threading.Thread(target=lambda: asked(site.address("n0"), seconds=60, max_tokens=14)) for _ in range(3))]
    for thread in threads:
        thread.start()
    noted = until(lab, site, "probe: slow, not hung: 1:", 40)
    knobs(lab, site, "n1", "")
    for thread in threads:
        thread.join(60)
    assert noted, outages.history(lab, site)
    assert outages.generations(lab, site) == {1}


def test_a_hung_rank_is_restarted_with_the_evidence_in_the_history(lab: RunningLab, site: Site) -> None:
    knobs(lab, site, "n1", "hang")
    assert until(lab, site, "hung: rank 1: no token within 3 s, 2 times in a row", 60), outages.history(lab, site)
    knobs(lab, site, "n1", "")
    outages.back(lab, site, after=1, seconds=60)
    ran = site.run("status")
    assert ran.code == 0, ran.out
    assert "hung: rank 1" in ran.out


@pytest.mark.long
def test_what_dies_again_and_again_is_given_up_and_status_says_so(lab: RunningLab, site: Site) -> None:
    time.sleep(LIVENESS["stable"])  # restarts are counted from nothing
    for node in site.members:
        knobs(lab, site, node, "die=weights")
    lab.exec("n0", kill("VLLM::EngineCore", outages.unit(site)))
    assert until(lab, site, "given up, as rank 0 has", 90), outages.history(lab, site)
    ran = site.run("status")
    assert ran.code == 1
    assert "does not serve: 10.78.0.11: given up: the engine ended with code 1" in ran.out, ran.out
    assert lab.exec("n0", f"systemctl is-active {outages.unit(site)} || :").strip() == "failed"
    for node in site.members:
        knobs(lab, site, node, "")
    again = site.run("serve", "-y", "--data", "soak=0")
    assert again.code == 0, again.err
    assert site.run("status").code == 0


@pytest.mark.long
def test_what_gave_up_is_kept_down_by_a_stop(lab: RunningLab, site: Site) -> None:
    for node in site.members:
        knobs(lab, site, node, "die=weights")
    time.sleep(LIVENESS["stable"])
    lab.exec("n0", kill("VLLM::EngineCore", outages.unit(site)))
    ended = time.monotonic() + 90
    while lab.exec("n0", f"systemctl is-active {outages.unit(site)} || :").strip() != "failed":
        assert time.monotonic() < ended, outages.history(lab, site)
        time.sleep(0.5)
    for node in site.members:
        knobs(lab, site, node, "")
        assert lab.exec(node, f"systemctl is-enabled {outages.unit(site)}").strip() == "enabled", "a reboot would begin it"
    ran = site.run("stop", "-y")
    assert ran.code == 0, ran.err
    assert "keep rank 0 down: it would begin at the next reboot" in ran.err
    assert lab.exec("n0", f"systemctl is-enabled {outages.unit(site)} || :").strip() == "disabled"
    again = site.run("stop", "-y")
    assert (again.code, again.success) == (0, 0), again.err
    served = site.run("serve", "-y", "--data", "soak=0")
    assert served.code == 0, served.err


@pytest.mark.long
def test_what_was_stopped_stays_down_after_a_reboot(lab: RunningLab, site: Site) -> None:
    assert site.run("stop", "-y").code == 0
    outages.power(lab, *site.members)
    time.sleep(5)
    for node in site.members:
        assert lab.exec(node, f"systemctl is-active {outages.unit(site)} || :").strip() == "inactive"
        assert lab.exec(node, "docker ps -q") == ""
