"""python -m tests.bench.verbs check|serve: what the verbs cost over the bare thing; ratios of one run on the lab's first two nodes."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from roles.image.parse import script as parse
from roles.plan.node import NodePlan
from roles.plan.plan import Plan, make
from roles.plan.source import read_inventory
from roles.run.look import probe_script
from roles.run.remote import BOOT
from roles.run.seen import sections
from tests.lab import nodes
from tests.lab.double_image import double_image
from tests.lab.engine import pair
from tests.lab.place import Place
from tests.lab.verbs import DOUBLE, Ran, Site

LOOK = {"FABRIC": "off", "PARSE": 1}
"""As the verb looks with fabric=off."""


def seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def verb(site: Site, name: str, *words: str) -> Ran:
    """A verb that did what was asked: how long one took that stopped at a finding says nothing."""
    ran = site.run(name, *words)
    assert ran.code == 0, f"{name} ended with {ran.code}, expected 0:\n{ran.out}\n{ran.err}"
    return ran


def pulled(place: Place, site: Site) -> Plan:
    """The plan, its image on all nodes: neither side is to wait for a registry, or to go without the image's part of the probe."""
    plan = make(read_inventory(site.write()))
    for name, part in zip(site.members, plan.nodes, strict=True):
        nodes.ssh(place, nodes.named(place, name), f"docker pull -q {part.image}")
    return plan


def fed(plan: Plan, node: NodePlan) -> str:
    """All that the verb says to a node: its script after the script's length, and the answer to what the probe asks at its end."""
    script = probe_script(plan, node, **LOOK)
    return f"{len(script.encode())}\n{script}{parse(plan, node, {})}\n"


def plain(place: Place, site: Site, plan: Plan) -> None:
    """The same probe by one plain ssh to each node, side by side."""

    def one(name: str, node: NodePlan) -> None:
        address = place.ssh_address(nodes.named(place, name).number)
        words = ["ssh", *nodes.ssh_options(place), f"root@{address}", f"sh -c {shlex.quote(BOOT)}"]
        done = subprocess.run(words, input=fed(plan, node), encoding="utf-8", capture_output=True, check=True)
        assert {"image.parse", "end"} <= set(sections(done.stdout)), f"{name} did not answer all of the probe:\n{done.stdout[-500:]}"

    with ThreadPoolExecutor() as pool:
        list(pool.map(one, site.members, plan.nodes))


def check(place: Place, site: Site, repeat: int) -> None:
    """check of two nodes that are ready, over the same script by plain ssh."""
    plan = pulled(place, site)
    bare, whole = [], []
    for _ in range(repeat):
        bare.append(seconds(lambda: plain(place, site, plan)))
        whole.append(seconds(lambda: verb(site, "check", "--data", "fabric=off")))
    ratio = median(whole) / median(bare)
    print(f"check: {median(whole):.2f} s, the same script by plain ssh {median(bare):.2f} s: {ratio:.2f} x ({repeat} rounds)")


def serve(place: Place, site: Site, repeat: int) -> None:
    """serve from prepared nodes to a proven endpoint without a soak, over the same two containers started by hand at the right moments."""
    plan = pulled(place, site)
    members = [(nodes.named(place, name), node) for name, node in zip(site.members, plan.replicas[0].nodes, strict=True)]
    bare, whole, again = [], [], []
    for _ in range(repeat):
        verb(site, "clean", "-y")
        bare.append(seconds(lambda: pair.up(place, plan, members)))
        pair.down(place, members)
        whole.append(seconds(lambda: verb(site, "serve", "-y", "--data", "soak=0")))
        again.append(seconds(lambda: verb(site, "serve", "-y")))
    verb(site, "clean", "-y")
    more, ratio = median(whole) - median(bare), median(whole) / median(bare)
    text = f"serve: {median(whole):.1f} s, by hand to /health {median(bare):.1f} s: {ratio:.2f} x, {more:+.1f} s"
    print(f"{text}; again, nothing to do: {median(again):.1f} s ({repeat} rounds)")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.verbs", description=__doc__)
    parser.add_argument("what", choices=("check", "serve"))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--real", action="store_true", help="serve: the real engine (lab/a2-dual) instead of the double")
    args = parser.parse_args()
    place = Place()
    double_image(place)
    with tempfile.TemporaryDirectory() as folder:
        data = {"auth": "off"} if args.real else {"auth": "off", "image": DOUBLE}
        site = Site(place, Path(folder), ("n0", "n1"), "lab/a2-dual" if args.real else "lab/a2-dual-tp1", data, "bench")
        {"check": check, "serve": serve}[args.what](place, site, args.repeat)
    return 0


if __name__ == "__main__":
    sys.exit(main())
