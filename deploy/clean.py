"""Back to clean nodes: ours ended and removed, orphaned engines when asked, everybody else's named and left alone; then proven.

pyinfra INVENTORY deploy/clean.py [-y|--dry] [--data stale=true --data confirm=CLUSTER] [--data foreign=NODE:PID,...]
                                  [--data remove=image,weights] [--data revert=true]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from roles.clean import role as clean
from roles.firewall import role as firewall
from roles.preflight import role as preflight
from roles.run import start
from roles.serve import role as serve
from roles.tuning import role as tuning

run = start.verb("clean")

preflight.see(run, FABRIC="off", LOOK="light")
preflight.answered(run)
clean.survey(run)
serve.stop(run)
firewall.remove(run)
if run.options.get("revert"):
    tuning.revert(run)
clean.clean(run)
