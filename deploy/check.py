"""Is every node ready for the plan? Looks, says everything it found, changes nothing.

pyinfra INVENTORY deploy/check.py [--data skip=ID,...] [--data fabric=rail|full|off] [--data runs=DIR]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from roles.preflight import role as preflight
from roles.run import start

start.verb("check").end(preflight.check)
