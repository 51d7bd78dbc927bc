"""make demo: from nothing to a proven answer of a real engine over two nodes, on this machine."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tests.lab import __main__ as lab
from tests.lab.engine import build
from tests.lab.place import LabError, Place, say

ROOT = Path(__file__).parents[2]
INVENTORY = "inventories/lab.py"
USUAL = "/var/lib/bringup-lab"
AFTERWARDS = """
To look further, with the same inventory:

  {pyinfra} {inventory} deploy/status.py               what runs, tokens per rank
  {pyinfra} {inventory} deploy/serve.py -y             again: nothing to change
  {pyinfra} {inventory} deploy/serve.py -y --data flags.max-num-seqs=64     the difference, then an ordered restart
  make lab-set NODE=n1 link.3=DOWN                       a fault in what node n1's accelerators say, then:
  {pyinfra} {inventory} deploy/check.py                every problem at once
  {pyinfra} {inventory} deploy/clean.py -y             back to clean nodes
  make lab-shell NODE=n0                                 a shell on a node: docker ps, npu-smi info, ...

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
    except LabError as e:
        say(f"lab: {e}")
        return 1
    pyinfra, inventory = os.path.relpath(Path(sys.executable).with_name("pyinfra"), ROOT), _inventory(place)
    command = [pyinfra, inventory, "deploy/serve.py", "-y"]
    say(f"\n$ {' '.join(command)}")
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code == 0:
        print(AFTERWARDS.format(pyinfra=pyinfra, inventory=inventory))
    return code


def _inventory(place: Place) -> str:
    """The sample itself; in a lab elsewhere, the sample with that lab's keys."""
    if str(place.root) == USUAL:
        return INVENTORY
    path = place.run / "lab.py"
    path.write_text((ROOT / INVENTORY).read_text(encoding="utf-8").replace(USUAL, str(place.root)), encoding="utf-8")
    return str(path)


if __name__ == "__main__":
    sys.exit(main())
