"""Tests of the lab and its doubles themselves: they can only break when their own files change, and run in make test then.

What they last passed with is kept in tests/watched.json. `python -m tests.watched` tells which of them would run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "tests" / "watched.json"
ENGINE = ("tests/lab/engine/**/*", "tests/lab/image.py")
DOUBLE = ("tests/lab/double/**/*", "tests/lab/double_image.py")
WATCHED: dict[str, tuple[str, ...]] = {
    "tests/lab/test_deaths.py": (*ENGINE, "tests/lab/deaths.py"),
    "tests/lab/test_numerics.py": ENGINE,
    "tests/lab/test_double_is_honest.py": (*ENGINE, *DOUBLE, "tests/lab/seen.py", "tests/lab/deaths.py"),
    "tests/lab/test_xinference.py": (
        *ENGINE,
        "files/recipes/xinference/*",
        "files/recipes/lab/xinference.yaml",
        "files/engines/xinference.yaml",
    ),
    "tests/lab/test_wheelhouse.py": (*ENGINE, "tests/lab/apt.py"),
    "tests/lab/test_venv.py": (*ENGINE, "roles/venv/*", "files/recipes/lab/venv.yaml"),
}
"""Each module's files, besides itself."""


def digest(module: str) -> str:
    """Of all files that can break it."""
    files = {
        path for pattern in (module, *WATCHED[module]) for path in ROOT.glob(pattern) if path.is_file() and "__pycache__" not in path.parts
    }
    seen = hashlib.sha256()
    for path in sorted(files):
        seen.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return seen.hexdigest()


def recorded() -> dict[str, str]:
    found: dict[str, str] = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    return found


@cache
def resting() -> frozenset[str]:
    """Those whose files are as when they last passed."""
    known = recorded()
    return frozenset(module for module in WATCHED if known.get(module) == digest(module))


def at_rest(path: Path) -> bool:
    return path.is_relative_to(ROOT) and str(path.relative_to(ROOT)) in resting()


def passed(modules: Iterable[str]) -> None:
    """They passed as they are now; to be committed with what changed."""
    now = {**recorded(), **{m: digest(m) for m in modules if m in WATCHED}}
    if now != recorded():
        RECORD.write_text(json.dumps(dict(sorted(now.items())), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for name in WATCHED:
        print(f"{'at rest' if name in resting() else 'runs in make test'}: {name}")
