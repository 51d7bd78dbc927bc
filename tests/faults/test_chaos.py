"""make chaos N=200 SEED=...: faults come and go, verbs run, and after each step the promises that hold always are looked at."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Sequence

import pytest

from tests.faults.menu import MENU
from tests.faults.results import told
from tests.faults.test_faults import TIME, mended, strike
from tests.faults.trouble import Trouble
from tests.faults.world import NODES, World
from tests.lab import nodes
from tests.lab.conftest import RunningLab
from tests.lab.double_image import double_image
from tests.lab.verbs import Ran, Site

pytestmark = [pytest.mark.lab, pytest.mark.long]
VERBS = ("check", "serve", "serve", "serve", "status", "verify", "doctor", "stop", "clean", "prepare")
CHANGING = ("serve", "stop", "clean", "prepare")
SERVE = ("-y", "--data", "soak=0")
AT_ONCE = 2
OUTAGES = ("power", "pause")
"""While one lasts, its node is neither asked nor counted."""
UNIT = "bringup-{cluster}-r0"
DEATHS = [
    Trouble("engine's container killed", "engine", "", f"docker kill {UNIT}"),
    Trouble("engine's core killed", "engine", "", f"kill -9 $(docker top {UNIT} -eo pid,args | awk '/VLLM::EngineCore/ {{print $1}}')"),
    Trouble("rank 0's container killed", "engine", "", f"docker kill {UNIT}", node="n0"),
]
"""Of an engine that serves; where none does, nothing happens."""


def fit(one: Trouble) -> bool:
    """Faults that happen on a node, by themselves or in the middle of a serve, and can be taken away again."""
    happens = one.make != ":" or one.lab in (*OUTAGES, "reboot")
    of_inventory = one.host or one.serves or one.signal or (one.data and not one.at) or one.recipe != "lab/a2-dual-tp1"
    return happens and not of_inventory


FIT = [*(t for t in MENU if fit(t)), *DEATHS]


@pytest.fixture(scope="module")
def world(lab: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    double_image(lab.place)
    one = World.made(lab, Site(lab.place, tmp_path_factory.mktemp("chaos"), cluster="chaos"))
    yield one
    one.plain()
    one.up()
    assert one.site.run("clean", "-y").code == 0
    one.leave()


def test_a_random_walk_breaks_no_promise(world: World) -> None:
    seed, steps = int(os.environ.get("SEED", random.randrange(10**6))), int(os.environ.get("N", "20"))
    active, said = list[Trouble](), list[str]()
    broke = "it was cut off"
    print(f"SEED={seed} N={steps}")
    try:
        wander(world, random.Random(seed), steps, active, said)
        broke = ""
    except Exception as e:
        broke = f"after step {len(said)}: {next(iter(str(e).splitlines()), '') or type(e).__name__}"
        raise AssertionError(f"SEED={seed} N={steps}, {broke}\n{e}\n" + "\n".join(said)) from e
    finally:
        told({"walk": steps, "seed": seed, "verbs": sum(w[0] not in "+-" for w in said), "held": not broke, "broke": broke[:200]})
        for one in active:  # left only where a promise broke: the lab is as it was for whoever comes next
            mended(world, one)


def wander(world: World, dice: random.Random, steps: int, active: list[Trouble], said: list[str]) -> None:
    """All steps; then without any fault, where serve must converge."""
    for step in range(steps):
        said.append(walk(world, dice, active))
        print(f"{step:3d}  {said[-1]}")
        assert not (wrong := broken(world, active)), wrong
    while active:
        goes(world, active, 0)
    world.up()
    last = world.serve()
    assert last.code == 0, f"every fault is gone and serve does not converge\n{last.err[-3000:]}"


def walk(world: World, dice: random.Random, active: list[Trouble]) -> str:
    """One step: a fault comes, one goes, or a verb runs."""
    turn = dice.random()
    if turn < 0.25 and len(active) < AT_ONCE:
        return comes(world, active, dice.choice([t for t in FIT if together(t, active)]))
    if turn < 0.5 and active:
        return goes(world, active, dice.randrange(len(active)))
    verb = dice.choice(VERBS)
    began = time.monotonic()
    ran = world.site.run(verb, *words(world, verb), seconds=TIME)
    sane(verb, ran)
    return f"{verb}: {ran.code} after {time.monotonic() - began:.0f} s, with {', '.join(t.name for t in active) or 'nothing wrong'}"


def words(world: World, verb: str) -> tuple[str, ...]:
    """A verb that only reads needs -y where pyinfra itself asks: when SSH does not reach a node."""
    if verb == "serve":
        return SERVE
    place = world.lab.place
    asked = verb in CHANGING or not all(nodes.answers(place, nodes.named(place, name)) for name in NODES)
    return ("-y",) if asked else ()


def together(one: Trouble, active: Sequence[Trouble]) -> bool:
    """Not two of a kind; and where a node is off, nothing else can be done to it, nor taken away."""
    return not any(one.group == a.group or (one.node == a.node and (one.lab or a.lab)) for a in active)


def comes(world: World, active: list[Trouble], one: Trouble) -> str:
    """In the middle of a serve where it belongs there; a serve that has nothing to do is over first, and it strikes what serves."""
    active.append(one)
    settled(world, active)
    if not one.at:
        strike(world, one)
    else:
        site = world.site
        last = site.last()
        process = site.start("serve", *SERVE)
        try:
            site.reached(process, one.at, last)
            strike(world, one)
        finally:
            ran = site.end(process, TIME)
        sane("serve", ran)
    if one.lab == "reboot":
        world.arrive()
    return f"+ {one.name} on {one.node}{f' in {one.at}' if one.at else ''}"


def goes(world: World, active: list[Trouble], which: int) -> str:
    one = active.pop(which)
    mended(world, one)
    if one.lab == "power":
        world.arrive()  # its stranger's process ended with the node
    settled(world, active)
    return f"- {one.name} on {one.node}"


def settled(world: World, active: Sequence[Trouble]) -> None:
    """The inventory with what the present faults need: an engine that is slow where they are to meet it."""
    world.plain()
    for one in active:
        for key, value in one.data.items():
            world.site.data[key] = {**world.site.data.get(key, {}), **value}


def sane(verb: str, ran: Ran) -> None:
    """Every verb ends with a status of the contract, a report, and no traceback."""
    assert ran.code in (0, 1), f"{verb} ended with {ran.code}\n{ran.err[-2000:]}"
    assert "Traceback" not in ran.out + ran.err, f"{verb} left a traceback\n{ran.err[-3000:]}"
    assert ran.report["exit"] == ran.code, f"{verb} ended with {ran.code}, its report says {ran.report['exit']}"


def broken(world: World, active: Sequence[Trouble]) -> str:
    """What must hold after every step: never half a replica for long, and strangers as they were."""
    off = [t.node for t in active if t.lab in OUTAGES]
    if world.touched(off):
        return f"a stranger was touched: {world.strangers} -> {world.seen()}"
    end = time.monotonic() + 90
    while half(world, off):
        if time.monotonic() > end:
            return f"half a replica runs: {world.running()}"
        time.sleep(2)
    return ""


def half(world: World, off: Sequence[str]) -> bool:
    """A node that is off runs nothing; one whose Docker does not answer cannot be asked."""
    now = {node: up for node, up in zip(NODES, world.running(), strict=True) if node not in off and world.answers(node)}
    return any(now.values()) if off else len(set(now.values())) > 1
