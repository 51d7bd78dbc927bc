"""python -m tests.bench.verbs check|serve: what the verbs cost over the bare thing; ratios of one run on the lab's first two nodes."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from roles.plan.plan import make
from roles.plan.source import read_inventory
from roles.run.look import probe_script
from tests.lab import nodes
from tests.lab.double_image import double_image
from tests.lab.engine import pair
from tests.lab.place import Place
from tests.lab.verbs import DOUBLE, Site


def seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def plain(place: Place, site: Site) -> None:
    """The same probe by one plain ssh to each node, side by side."""
    plan = make(read_inventory(site.write()))

    def one(name: str, script: str) -> None:
        node = nodes.named(place, name)
        words = ["ssh", *nodes.ssh_options(place), f"root@{place.ssh_address(node.number)}", "sh -s"]
        subprocess.run(words, input=script, text=True, capture_output=True, check=True)

    with ThreadPoolExecutor() as pool:
        list(pool.map(one, site.members, [probe_script(plan, n, FABRIC="off") for n in plan.nodes]))


def check(place: Place, site: Site, repeat: int) -> None:
    """check of two nodes that are ready, over the same script by plain ssh."""
    bare, verb = [], []
    for _ in range(repeat):
        bare.append(seconds(lambda: plain(place, site)))
        verb.append(seconds(lambda: site.run("check", "--data", "fabric=off")))
    ratio = median(verb) / median(bare)
    print(f"check: {median(verb):.2f} s, the same script by plain ssh {median(bare):.2f} s: {ratio:.2f} x ({repeat} rounds)")


def serve(place: Place, site: Site, repeat: int) -> None:
    """serve from prepared nodes to a proven endpoint without a soak, over the same two containers started by hand at the right moments."""
    plan = make(read_inventory(site.write()))
    members = [(nodes.named(place, name), node) for name, node in zip(site.members, plan.replicas[0].nodes, strict=True)]
    bare, verb, again = [], [], []
    for _ in range(repeat):
        site.run("clean", "-y")
        bare.append(seconds(lambda: pair.up(place, plan, members)))
        pair.down(place, members)
        verb.append(seconds(lambda: site.run("serve", "-y", "--data", "soak=0")))
        again.append(seconds(lambda: site.run("serve", "-y")))
    site.run("clean", "-y")
    more, ratio = median(verb) - median(bare), median(verb) / median(bare)
    text = f"serve: {median(verb):.1f} s, by hand to /health {median(bare):.1f} s: {ratio:.2f} x, {more:+.1f} s"
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
