"""Every fault of the menu: named (right node, right cause), contained (no half replica, no stranger touched), recovered (same command)."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from tests.faults import named as words
from tests.faults.menu import MENU
from tests.faults.results import good, known, told
from tests.faults.trouble import Trouble
from tests.faults.world import NODES, World
from tests.lab.conftest import RunningLab
from tests.lab.double_image import double_image
from tests.lab.place import docker
from tests.lab.verbs import Ran, Site

pytestmark = pytest.mark.lab
TIME = 300.0
UNREADY = ("disk", "image", "weights", "host", "cards", "docker")
"""Faults of a node that is not ready: its replica is not started at all."""


@pytest.fixture(scope="module")
def world(lab: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    double_image(lab.place)
    one = World.made(lab, Site(lab.place, tmp_path_factory.mktemp("faults"), cluster="trouble"))
    yield one
    one.plain()
    one.up()
    assert one.site.run("clean", "-y").code == 0
    one.leave()


def test_the_menu_has_sixty_different_faults() -> None:
    assert len({t.name for t in MENU}) == len(MENU) >= 60
    assert sum(t.often for t in MENU) >= 5, "tests/lab/test_serve_faults.py has the others' like every time"
    assert [t.name for t in MENU if t.code == 1 and not t.says] == [], "what fails is named"


@pytest.mark.parametrize("trouble", [pytest.param(t, id=t.name, marks=() if t.often else pytest.mark.long) for t in MENU])
def test_it_is_named_contained_and_recovered(world: World, trouble: Trouble) -> None:
    if any(good(r) for r in known() if r.get("fault") == trouble.name):
        pytest.skip("in the results already")
    world.plain()
    before = world.seen()
    result = {"fault": trouble.name, "group": trouble.group, "named": False, "contained": False, "recovered": False}
    began = time.monotonic()
    try:
        try:
            ran, after = happened(world, trouble)
            result["seconds"], result["after"] = round(time.monotonic() - began, 1), round(after, 1)
            said = sentences(trouble, ran)
            in_time = ran.code == 0 or after <= trouble.within
            result["named"] = in_time and named(world, trouble, ran, said)
            result["contained"] = contained(world, trouble, ran)
        finally:
            mended(world, trouble)
        world.plain()
        again = world.serve()
        result["recovered"] = again.code == 0
        result["contained"] &= world.seen() == before or trouble.lab in ("power", "reboot")
        assert again.code == 0, again.err[-3000:]
    finally:
        told(result)
        world.arrive()
        world.site.run("stop", "-y")
    assert in_time, f"{after:.1f} s from the fault to the end of the run, expected {trouble.within:.0f} s at most"
    assert result["named"], (
        f"expected {trouble.says!r} of {who(world, trouble)}; it ended with {ran.code} and said\n{told_of(said)}\n{ran.err[-2000:]}"
    )
    assert result["contained"], f"running {world.running()}, strangers {before} -> {world.seen()}"
    assert ran.code == trouble.code or trouble.code is None, ran.err[-2000:]


def happened(world: World, trouble: Trouble) -> tuple[Ran, float]:
    """serve, with the fault before it or in the middle of it; and the seconds from the fault to its end."""
    site = world.site
    if trouble.serves:
        first = world.serve()
        assert first.code == 0, first.err[-2000:]
    site.recipe, site.members = str(trouble.data.get("recipe", trouble.recipe)), trouble.members
    for key, value in trouble.data.items():
        if key != "recipe":
            site.data[key] = {**site.data.get(key, {}), **value} if isinstance(value, dict) else value
    if trouble.host:
        site.hosts = {trouble.node: dict(trouble.host)}
    if not trouble.at:
        strike(world, trouble)
        struck = time.monotonic()
        ran = world.serve()
        return ran, time.monotonic() - struck
    last = site.last()
    process = site.start("serve", "-y", "--data", "soak=0")
    assert site.reached(process, trouble.at, last), f"stage {trouble.at} did not come"
    struck = time.monotonic()
    if trouble.lab == "second":
        second = world.serve()
        after = time.monotonic() - struck
        first = site.end(process, TIME)
        assert first.code == 0, first.err[-2000:]
        return second, after
    if trouble.signal:
        process.send_signal(getattr(signal, f"SIG{trouble.signal}"))
    else:
        strike(world, trouble)
    ran = site.end(process, TIME)
    return ran, time.monotonic() - struck


def strike(world: World, trouble: Trouble) -> None:
    for node in NODES if trouble.both else ():
        world.exec(node, trouble.both)
    if trouble.lab in ("power", "reboot"):
        docker(world.lab.place, "kill", trouble.node)
        if trouble.lab == "reboot":
            world.up()
    elif trouble.lab == "pause":
        docker(world.lab.place, "pause", trouble.node)
    else:
        world.exec(trouble.node, filled(world, trouble.make))


def mended(world: World, trouble: Trouble) -> None:
    if trouble.lab == "pause":
        docker(world.lab.place, "unpause", trouble.node)
    if trouble.lab == "power":
        world.up()
    for node in NODES if trouble.both else (trouble.node,):
        world.exec(node, filled(world, trouble.mend))


def filled(world: World, script: str) -> str:
    return script.replace("{cluster}", world.site.cluster).replace("{image}", str(world.site.data.get("image")))


def sentences(trouble: Trouble, ran: Ran) -> list[words.Sentence]:
    """All that may name the fault; an inventory that is refused has no run folder, and the last one is another run's."""
    if ran.code == words.REFUSED:
        return words.refused(ran.err)
    whole = ran.folder is not None and (ran.folder / "report.json").exists()  # a controller that was killed wrote none
    return list(words.sentences(ran.report, ran.err)) if whole else []


def who(world: World, trouble: Trouble) -> tuple[str, ...]:
    """The names of the node to blame: as the inventory has it, as the engines do."""
    if not trouble.names:
        return ()
    return world.site.name(trouble.node), world.site.address(trouble.node), f"rank {trouble.members.index(trouble.node)}"


def named(world: World, trouble: Trouble, ran: Ran, said: list[words.Sentence]) -> bool:
    """Its cause, of its node, in one sentence; a fault that serve gets over, or that its user made, needs no name."""
    return "Traceback" not in ran.out + ran.err and (not trouble.says or words.named(trouble.says, who(world, trouble), said))


def told_of(said: list[words.Sentence]) -> str:
    return "\n".join(f"  {s.node or '-'}: {s.words[:300]}" for s in said)


def contained(world: World, trouble: Trouble, ran: Ran) -> bool:
    """After a failure nothing of the replica runs; a killed controller's units end or serve, but never half; what served serves."""
    if trouble.serves:
        if ran.code != 0:
            world.plain()
        return world.running() == [True, True] and world.site.run("verify", "--data", "soak=0").code == 0
    if trouble.left and ran.code == 1:
        return world.running() == [True, True]
    if trouble.group in UNREADY and not trouble.at and ran.code == 1 and any(e.get("stage") == "start" for e in ran.events):
        return False
    gone = trouble.node if trouble.lab in ("power", "pause") else ""
    limit = time.monotonic() + (90 if trouble.cut or trouble.signal == "KILL" or ran.code == 0 else 15)
    while time.monotonic() < limit:
        now = [up for node, up in zip(NODES, world.running(), strict=True) if node != gone]
        if not any(now) or (all(now) and not gone and (ran.code == 0 or trouble.signal == "KILL")):
            return True
        time.sleep(1)
    return False
