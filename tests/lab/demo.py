"""make demo: from nothing to an answer of a real engine over two nodes, on this machine."""

from __future__ import annotations

import argparse
import sys

from tests.lab import __main__ as lab
from tests.lab import nodes
from tests.lab.engine import build, pair
from tests.lab.place import LabError, Place, Step, say

AFTERWARDS = """
The endpoint answers at {url}/v1 (model {model}). To look further:

  curl -s {url}/v1/models
  make lab-shell NODE=n0                 a shell on a node: docker ps, npu-smi info, ...
  make lab-set NODE=n1 link.3=DOWN       a fault in what node n1's accelerators say
  make demo                              again: what is there already is not made again

To stop: make lab-down (make lab-purge removes its caches too, about 4 GB)"""


def main(argv: list[str] | None = None) -> int:
    """Each step says what it does and how long it took; a second run starts where the first one ended."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--yes", action="store_true", help="install missing packages without asking")
    args = parser.parse_args(argv)
    place = Place()
    say("Two nodes with simulated accelerators and a real engine (vLLM on CPU, a tiny MiniMax-M2), tp 8 + dp 2: 16 workers.")
    say("The first run downloads about 500 MB and takes some minutes; it needs 8 GiB of memory and 8 GB of disk.")
    code = lab.main(["up", *(["--yes"] if args.yes else [])])
    if code:
        return code
    try:
        build.build(place)
        plan = pair.the_plan(place)
        members = [(nodes.named(place, f"n{part.rank}"), part) for part in plan.replicas[0].nodes]
        if pair.healthy(place, plan, members):
            say("lab: the engine is up already")
        else:
            pair.down(place, members)
            with Step("the two-node engine"):
                pair.up(place, plan, members)
        pair.prove(place, plan, members)
    except LabError as e:
        say(f"lab: {e}")
        return 1
    print(AFTERWARDS.format(url=next(iter(plan.verify["endpoints"].values())), model=plan.verify["model"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
