"""Some rooms of prepare by themselves, with their own parts of the probe: ROOMS="tuning docker image" pyinfra INVENTORY rooms.py -y"""

import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from roles.docker import role as docker
from roles.firewall import role as firewall
from roles.image import role as image
from roles.plan.node import NodePlan
from roles.plan.plan import Plan
from roles.run import look, remote, start
from roles.tuning import role as tuning

DO = {"tuning": tuning.tune, "docker": docker.engine, "image": image.pull, "firewall": firewall.close, "revert": tuning.revert}


def short(plan: Plan, node: NodePlan, **options: Any) -> str:
    rooms = sorted({room.replace("revert", "tuning") for room in names})
    files = [look.HEAD, *(look.ROLES / room / "probe.sh" for room in rooms)]
    files += [look.ROLES / "image/probe_last.sh"] if "image" in rooms else []
    return remote.script(*files, values={**look.values(plan, node), **options}) + "say end 0 ''\n"


names = os.environ["ROOMS"].split()
look.probe_script = short
run = start.verb("clean" if "revert" in names else "prepare")
run.seen = run.once("look", lambda: look.look(run.state, run.hosts.values(), run.plan, run.cancel, PARSE=os.environ.get("PARSE", "")))
for name in names:
    DO[name](run)
