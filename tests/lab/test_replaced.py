"""A node is replaced: the new one gets the rank, and the old one, which still runs its unit, joins nobody. With the engine's double."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.lab import nodes, outages
from tests.lab.conftest import RunningLab
from tests.lab.double_image import double_image
from tests.lab.verbs import DOUBLE, Site

pytestmark = pytest.mark.lab
NEW = nodes.Node(23, "a2")
QUICK = ("--data", "soak=0")


@pytest.fixture(scope="module")
def site(lab: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    double_image(lab.place)
    data = {"image": DOUBLE, "auth": "off", "timeouts": {"stall": 15, "ready": 60, "stop": 5}, "liveness": {"backoff": 1, "every": 2}}
    one = Site(lab.place, tmp_path_factory.mktemp("replaced"), cluster="moved", data=data)
    with lab.added(NEW):
        assert one.run("serve", "-y", *QUICK).code == 0
        yield one
        one.members = ("n0", NEW.name)
        assert one.run("clean", "-y").code == 0
        one.members = ("n0", "n1")
        assert one.run("clean", "-y").code == 0


def test_the_old_node_is_named_first(lab: RunningLab, site: Site) -> None:
    site.members = ("n0", NEW.name)
    ran = site.run("serve", "-y", *QUICK)
    assert ran.code == 1
    assert f"{site.name('n1')} ({site.address('n1')}) left the inventory" in ran.err
    assert f"forget={site.name('n1')}" in ran.err
    assert lab.exec("n0", "docker ps -q").strip(), "nothing was touched"


def test_the_new_node_takes_the_rank_and_the_old_one_joins_nobody(lab: RunningLab, site: Site) -> None:
    ran = site.run("serve", "-y", "--data", f"forget={site.name('n1')}", *QUICK)
    assert ran.code == 0, ran.err
    assert all(outages.answers(lab, site, rank) for rank in (0, 1))
    time.sleep(15)
    left = lab.exec("n1", f"cat {outages.folder(site)}/state; docker ps -q")
    assert "state=waiting" in left, left
    assert len(left.splitlines()) == 1, "no container runs there"
    assert all(outages.answers(lab, site, rank) for rank in (0, 1))
    before = max(outages.generations(lab, site))
    lab.exec(NEW.name, f"docker kill {outages.unit(site)}")
    outages.back(lab, site, before, seconds=60)
    assert lab.exec("n1", "docker ps -q") == "", "nor in the next generation"
