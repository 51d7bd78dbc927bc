"""Tests that only some files can break, and that cost much: they run in make test when one of those changed.

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
    "tests/lab/test_start_page.py": ("docs/start.md", "tests/lab/page.py", "inventories/lab.py", "deploy/*.py", "roles/run/options.py"),
    "tests/engines/test_judges.py": ("tests/engines/*", "tests/engines/judges/*", "roles/plan/*.py", "files/**/*.yaml"),
    "tests/engines/test_clients.py": ("tests/engines/*", "roles/bench/*", "roles/plan/bench.py", "roles/plan/scenarios.py"),
    "tests/engines/test_hub_double.py": ("tests/engines/*", "tests/lab/hub_double.py", "roles/weights/courier/*"),
    "tests/unit/test_image_parse.py": ("tests/engines/*", "roles/image/parse*", "files/recipes/**/*.yaml"),
    "tests/unit/test_report_browser.py": (
        "roles/run/report/*",
        "tests/browser.py",
        "tests/unit/report_runs.py",
        "tests/unit/test_report_page.py",
    ),
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
