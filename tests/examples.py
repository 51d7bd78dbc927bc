"""How many examples a test draws: all in make test, a part of them in make quick."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import settings

QUICK = bool(os.environ.get("QUICK"))
PART = 6
LEAST = 8


def count(whole: int) -> int:
    return max(LEAST, whole // PART) if QUICK else whole


def examples(whole: int, **more: Any) -> settings:
    """For @given tests."""
    return settings(max_examples=count(whole), deadline=None, **more)
