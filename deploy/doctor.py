"""What is wrong, where, and what to do: logs and settings of all ranks gathered, judged, kept as one file. Changes nothing.

pyinfra INVENTORY deploy/doctor.py            python -m roles.doctor BUNDLE says it again, offline
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from roles.doctor import role as doctor
from roles.run import start

start.verb("doctor").end(doctor.doctor)
