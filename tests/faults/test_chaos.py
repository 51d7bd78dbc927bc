"""make chaos N=200 SEED=...: faults come and go, verbs run, and after each step the promises that hold always are looked at."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator

import pytest

from tests.faults.menu import MENU
from tests.faults.results import told
from tests.faults.test_faults import filled
from tests.faults.trouble import Trouble
from tests.faults.world import World
from tests.lab.conftest import RunningLab
from tests.lab.double_image import double_image
from tests.lab.verbs import Ran, Site

pytestmark = [pytest.mark.lab, pytest.mark.long]
VERBS = ("check", "serve", "serve", "serve", "status", "verify", "doctor", "stop", "clean", "prepare")
CHANGING = ("serve", "stop", "clean", "prepare")
AT_ONCE = 2
FIT = [t for t in MENU if t.make != ":" and not t.at and not t.data and not t.host and t.recipe == "lab/a2-dual-tp1"]
"""Faults that happen on a node by themselves and can be taken away again."""


@pytest.fixture(scope="module")
def world(lab: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    double_image(lab.place)
    one = World.made(lab, Site(lab.place, tmp_path_factory.mktemp("chaos"), cluster="chaos"))
    yield one
    one.up()
    assert one.site.run("clean", "-y").code == 0
    one.leave()


def test_a_random_walk_breaks_no_promise(world: World) -> None:
    seed, steps = int(os.environ.get("SEED", random.randrange(10**6))), int(os.environ.get("N", "20"))
    dice, active, said = random.Random(seed), list[Trouble](), list[str]()
    print(f"SEED={seed} N={steps}")
    try:
        for step in range(steps):
            what = walk(world, dice, active)
            said.append(what)
            print(f"{step:3d}  {what}")
            wrong = broken(world)
            assert not wrong, f"SEED={seed}, step {step}: {wrong}\n" + "\n".join(said)
    finally:
        for one in active:
            world.exec(one.node, filled(world, one.mend))
        world.up()
    last = world.serve()
    told({"walk": steps, "seed": seed, "verbs": sum(w[0] not in "+-" for w in said), "held": last.code == 0})
    assert last.code == 0, f"SEED={seed}: every fault is gone and serve does not converge\n{last.err[-3000:]}"


def walk(world: World, dice: random.Random, active: list[Trouble]) -> str:
    """One step: a fault comes, one goes, or a verb runs."""
    turn = dice.random()
    if turn < 0.25 and len(active) < AT_ONCE:
        one = dice.choice([t for t in FIT if t not in active and not any(t.group == a.group for a in active)])
        world.exec(one.node, filled(world, one.make))
        active.append(one)
        return f"+ {one.name} on {one.node}"
    if turn < 0.5 and active:
        one = active.pop(dice.randrange(len(active)))
        world.exec(one.node, filled(world, one.mend))
        return f"- {one.name} on {one.node}"
    verb = dice.choice(VERBS)
    began = time.monotonic()
    ran = world.site.run(verb, *(("-y", "--data", "soak=0") if verb == "serve" else ("-y",) if verb in CHANGING else ()), seconds=300)
    sane(verb, ran)
    return f"{verb}: {ran.code} after {time.monotonic() - began:.0f} s, with {', '.join(t.name for t in active) or 'nothing wrong'}"


def sane(verb: str, ran: Ran) -> None:
    """Every verb ends with a status of the contract, a report, and no traceback."""
    assert ran.code in (0, 1), f"{verb} ended with {ran.code}\n{ran.err[-2000:]}"
    assert "Traceback" not in ran.out + ran.err, f"{verb}\n{ran.err[-3000:]}"
    assert ran.report["exit"] == ran.code


def broken(world: World) -> str:
    """What must hold after every step: never half a replica for long, and strangers as they were."""
    if world.touched():
        return f"a stranger was touched: {world.strangers} -> {world.seen()}"
    end = time.monotonic() + 90
    while len(set(world.running())) > 1:
        if time.monotonic() > end:
            return f"half a replica runs: {world.running()}"
        time.sleep(2)
    return ""
