"""make demo: from nothing to a proven answer of a real engine over two nodes, on this machine."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.lab import __main__ as lab
from tests.lab import machine, person
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
  make lab-set NODE=n1 health.2=Alarm                    a fault in what node n1's accelerators say, then:
  {pyinfra} {inventory} deploy/check.py                every problem at once; make lab-set NODE=n1 health.2=OK mends it
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
    say(
        "The first run downloads about 500 MB and takes some minutes; "
        f"it needs {machine.MEMORY_GIB} GiB of memory and {machine.DISK_GB} GB of disk."
    )
    try:
        machine.enough(place)
        code = lab.main(["up", *(["--yes"] if args.yes else [])])
        if code:
            return code
        build.build(place)
    except LabError as e:
        say(f"lab: {e}")
        return 1
    who = person.here()
    pyinfra, inventory = os.path.relpath(Path(sys.executable).with_name("pyinfra"), ROOT), _inventory(place)
    command = [pyinfra, inventory, "deploy/serve.py", "-y"]
    shown = hint(pyinfra, who, os.environ)
    say(f"\n$ {' '.join([shown, *command[1:]])}")
    code = subprocess.run(command, cwd=ROOT, check=False, **(who.session(os.environ) if who else {})).returncode
    if code == 0:
        print(AFTERWARDS.format(pyinfra=shown, inventory=inventory))
    return code


def hint(pyinfra: str, who: person.Person | None, environ: Mapping[str, str]) -> str:
    """How the reader runs it: as themselves, but with sudo where the runs and the key became root's."""
    return f"sudo {pyinfra}" if who is None and person.sudo_uid(environ) is not None else pyinfra


def _inventory(place: Place) -> str:
    """The sample itself; in a lab elsewhere, the sample with that lab's keys."""
    if str(place.root) == USUAL:
        return INVENTORY
    path = place.run / "lab.py"
    path.write_text((ROOT / INVENTORY).read_text(encoding="utf-8").replace(USUAL, str(place.root)), encoding="utf-8")
    path.chmod(0o644)
    return str(path)


if __name__ == "__main__":
    sys.exit(main())
