"""A proven replica of the real engine, in stock processes, comes back by itself after each outage: no controller is there."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

import pytest

from tests.lab import outages
from tests.lab.conftest import RunningLab
from tests.lab.outages import OUTAGES, Outage
from tests.lab.real import RealPair
from tests.lab.verbs import Site

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def site(real_pair: RealPair) -> Site:
    return real_pair.up()


def recovered(lab: RunningLab, site: Site, outage: Outage) -> float:
    before = max(outages.generations(lab, site))
    began = time.monotonic()
    outage.happens(lab, site)
    spent = time.monotonic() - began
    seconds = outages.back(lab, site, before)
    print(f"{outage.name}: back after {seconds:.0f} s (the outage itself took {spent:.0f} s)")
    return seconds


@pytest.mark.parametrize("outage", [pytest.param(o, id=o.name, marks=() if o.often else pytest.mark.long) for o in OUTAGES])
def test_it_comes_back_and_every_rank_answers(
    lab: RunningLab, site: Site, outage: Outage, record_property: Callable[[str, object], None]
) -> None:
    ended = max(outages.generations(lab, site))
    record_property(f"seconds until {outage.name} is over", recovered(lab, site, outage))
    for node in site.members:
        kept = lab.exec(node, f"wc -c <{outages.folder(site)}/logs/{ended}.log")
        assert int(kept) > 0, f"what {node} said in generation {ended}"


@pytest.mark.long
def test_ten_outages_in_a_row_in_any_order(lab: RunningLab, site: Site) -> None:
    seed = int(os.environ.get("SEED", random.randrange(10**6)))
    print(f"SEED={seed}")
    for outage in random.Random(seed).choices(OUTAGES, k=10):
        recovered(lab, site, outage)


def test_status_tells_what_happened_and_serve_leaves_it_alone(site: Site) -> None:
    """After a power cut the lab's nodes have lost their sysctls (no systemd-sysctl there), which serve sets again."""
    ran = site.run("status")
    assert ran.code == 0, ran.out
    assert "serves after" in ran.out, "the history of the units is shown"
    again = site.run("serve", "-y")
    assert again.code == 0, again.err
    assert "replica r0 serves: left alone" in again.err
