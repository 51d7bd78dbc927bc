"""The engines' logs of all ranks, by time. Changes nothing.

pyinfra INVENTORY deploy/logs.py [--data tail=200] [--data follow=true]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from roles.logs import role as logs
from roles.run import start

start.verb("logs").end(logs.read)
