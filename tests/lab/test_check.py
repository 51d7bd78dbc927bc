"""check on two real nodes: clean when all is well, one exec per host, and every fault found by the check it is for."""

from __future__ import annotations

import re

import pytest

from tests.lab.conftest import RunningLab
from tests.lab.double_image import double_image
from tests.lab.engine import build
from tests.lab.faults import BATCHES, CARDS, Fault
from tests.lab.verbs import DOUBLE, Ran, Site

pytestmark = pytest.mark.lab
SSHD = "/etc/ssh/sshd_config.d/lab.conf"
CURED_LATER = re.compile(r"tuning\.|image\.present|node\.swap|firewall\.|image\.command")


@pytest.fixture(scope="module")
def base(lab: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Site:
    double_image(lab.place)
    with build.alone(lab.place):
        build.models(lab.place)
    for node in ("n0", "n1"):
        lab.exec(node, f"docker image inspect {DOUBLE} >/dev/null 2>&1 || docker pull -q {DOUBLE}")
    return Site(lab.place, tmp_path_factory.mktemp("check"), recipe="lab/a2-dual", data={"image": DOUBLE})


def troubles(ran: Ran, site: Site) -> set[tuple[str, str, str]]:
    """(node, check, level) of all that is not well; prepare's own warnings apart."""
    names = {site.name(n): n for n in site.members}
    found = ran.report["findings"]
    return {
        (names[f["node"]], f["check"], f["level"]) for f in found if f["level"] in ("fail", "warn") and not CURED_LATER.match(f["check"])
    }


def execs(lab: RunningLab, node: str) -> int:
    return int(lab.exec(node, "journalctl -u ssh -q --no-pager | grep -c 'Starting session: command' || :").strip() or 0)


def test_two_healthy_nodes_pass_every_check(base: Site) -> None:
    ran = base.run("check")
    assert troubles(ran, base) == set(), ran.out
    assert ran.code == 0
    levels = [f["level"] for f in ran.report["findings"]]
    assert levels.count("pass") > 80
    assert "ascend.ping" in ran.out


def test_check_makes_one_exec_per_host(lab: RunningLab, base: Site) -> None:
    for node in base.members:
        lab.exec(node, f"grep -q LogLevel {SSHD} || {{ echo LogLevel VERBOSE >> {SSHD}; systemctl reload ssh; }}")
    before = {n: execs(lab, n) for n in base.members}
    assert base.run("check").code == 0
    assert {n: execs(lab, n) - before[n] for n in base.members} == {"n0": 1, "n1": 1}


def test_check_changes_nothing_on_a_node(lab: RunningLab, base: Site) -> None:
    look = "find /etc /var/lib/bringup /root /tmp -xdev -newer /lab/mark -type f 2>/dev/null | grep -v /etc/mtab || :"
    lab.exec("n0", "touch /lab/mark")
    assert base.run("check").code == 0
    assert lab.exec("n0", look) == ""


LATER = ("command",)
"""It pulls the real engine's image; tests/lab/test_engine.py has a flag refused every time."""


@pytest.mark.parametrize("batch", [pytest.param(b, marks=pytest.mark.long if b in LATER else ()) for b in BATCHES])
def test_every_fault_is_found_on_its_node_and_nothing_else_is(lab: RunningLab, base: Site, batch: str) -> None:
    faults = BATCHES[batch]
    recipe = base.recipe if batch in CARDS else "lab/a2-dual-tp1"
    site = Site(base.place, base.path / re.sub(r"\W", "-", batch), recipe=recipe, data={**base.data}, hosts={})
    for f in faults:
        site.data |= f.data
        if f.host:
            site.hosts[f.node] = {**site.hosts.get(f.node, {}), **f.host}
    try:
        for f in faults:
            lab.exec(f.node, f.make)
        ran = site.run("check", "-y")
        found = troubles(ran, site)
        wanted = {(f.node, f.check) for f in faults if f.check} | {pair for f in faults for pair in f.also}
        must = {(f.node, f.check) for f in faults if f.check}
        named = {(n, c) for n, c, _ in found} | {
            (node_of(site, x), x["check"])
            for x in ran.report["findings"]
            if x["check"] in ("image.command", "firewall.rules") and x["level"] == "fail"
        }
        assert must <= named, f"not found: {must - named}\n{ran.out}"
        assert named <= wanted, f"found besides: {named - wanted}\n{ran.out}"
        for f in faults:
            levels = {level for n, c, level in found if (n, c) == (f.node, f.check)}
            assert not levels or f.level == "any" or f.level in levels, (f.name, levels)
        assert ran.code == (1 if any(x["level"] == "fail" for x in ran.report["findings"]) else 0)
        for f in faults:
            cured(lab, site, ran, f)
    finally:
        for f in reversed(faults):
            lab.exec(f.node, f"{f.mend} || :")


def node_of(site: Site, finding: dict[str, str]) -> str:
    return {site.name(n): n for n in site.members}[finding["node"]]


def cured(lab: RunningLab, site: Site, ran: Ran, fault: Fault) -> None:
    """Where the fix is a command, running it on the node takes the finding away; else it names what a person does."""
    mine = [
        x
        for x in ran.report["findings"]
        if x["node"] == site.name(fault.node) and x["check"] == fault.check and x["level"] in ("fail", "warn")
    ]
    for x in mine:
        assert x["observed"]
        assert x["expected"]
        assert x["fix"], x
    if fault.cure:
        lab.ssh(fault.node, f"export PATH=$PATH:/usr/local/Ascend/driver/tools; {mine[0]['fix'].partition(';')[0]}")
        again = site.run("check")
        left = [
            x
            for x in again.report["findings"]
            if x["node"] == mine[0]["node"] and x["check"] == fault.check and x["level"] == mine[0]["level"]
        ]
        assert left == [], left


def test_a_fault_of_the_inventory_is_said_before_any_connection(base: Site) -> None:
    ran = base.run("check", "--data", "nic=eth0")
    assert ran.code == 2
    ran = base.run("check", "--data", "skp=node.swap")
    assert ran.code == 2
    assert 'did you mean "skip"' in ran.err


def test_a_skipped_check_is_recorded(base: Site) -> None:
    ran = base.run("check", "--data", "skip=node.swap,network.speed", "--data", "fabric=off")
    skipped = {f["check"] for f in ran.report["findings"] if f["observed"] == "skipped as asked"}
    assert skipped == {"node.swap", "network.speed"}
