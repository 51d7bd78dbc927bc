"""What runs, how far it is, and whether it really serves. Changes nothing.

pyinfra INVENTORY deploy/status.py [--data watch=5]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from roles.accelerators.memory import memory
from roles.run import start
from roles.status import role as status
from roles.verify import role as verify

start.verb("status").end(lambda run: status.show(run, pulse=verify.short, memory=memory))
