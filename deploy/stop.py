"""End the engine on every node, gracefully; what was prepared stays.

pyinfra INVENTORY deploy/stop.py [-y|--dry]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from roles.clean import role as clean
from roles.preflight import role as preflight
from roles.run import start
from roles.serve import role as serve

run = start.verb("stop")

preflight.see(run, FABRIC="off", LOOK="light")
preflight.answered(run)
serve.stop(run)
clean.freed(run)
