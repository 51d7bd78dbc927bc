"""A deploy file that only says which plan it sees."""

from __future__ import annotations

import sys
from pathlib import Path

from pyinfra import host, inventory

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from roles.plan.plan import make
from roles.run.source import changes, from_pyinfra

print(f"plan {host.name} {make(from_pyinfra(inventory), changes(inventory), where='--data').hash}")  # type: ignore[arg-type]
