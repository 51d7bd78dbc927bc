"""Is the endpoint as good as promised, now, from outside? Changes nothing.

pyinfra INVENTORY deploy/verify.py [--data soak=10m]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from roles.run import start
from roles.verify import role as verify

start.verb("verify").end(verify.verify)
