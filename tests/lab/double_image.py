"""python -m tests.lab.double_image: the engines' double as an image in the lab's registry; only tests serve it."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from tests.lab.engine import build
from tests.lab.image import digest, have_image, make_base
from tests.lab.place import HERE, LabError, Place, Step, docker, locked, say

NAME = "bringup/engine-double"
OPTIONS = HERE.parents[1] / "files" / "engines" / "options" / "vllm.yaml"
NOT_IN_IT = ("__pycache__", "image", "README.md", "running.py")


def double_image(place: Place, version: str = "0.32.0") -> str:
    """The reference in the nodes of a double that says it is this release; what exists is neither built nor pushed again."""
    parts = (f"{p.parent.name}/{p.name}\n{p.read_text(encoding='utf-8')}" for p in _parts())
    made = f"bringup-lab-double:{version}-{digest(build.base_image(), *parts)}"
    pushed = f"{place.registry}/{NAME}:v{version}"
    with locked(place.cache / "engine" / "lock"):
        if not have_image(place, made):
            _make(place, made, version)
        if _id(place, made) != _id(place, pushed):
            docker(place, "tag", made, pushed)
            with Step(f"pushing {NAME}:v{version}"):
                docker(place, "push", "-q", pushed)
        _drop_older(place, made, version)
    return f"registry.lab:5000/{NAME}:v{version}"


def _parts() -> list[Path]:
    files = (p for p in (HERE / "double").rglob("*") if p.is_file() and p.suffix != ".pyc" and p.name not in NOT_IN_IT)
    return [*sorted(files), OPTIONS]


def _make(place: Place, image: str, version: str) -> None:
    base = build.base_image()
    if not have_image(place, base):
        make_base(place, base, build.base_packages())
    with tempfile.TemporaryDirectory() as work, Step(f"building the double of vLLM {version}"):
        folder = Path(work)
        shutil.copytree(HERE / "double", folder / "double", ignore=shutil.ignore_patterns(*NOT_IN_IT), symlinks=True)
        shutil.copytree(HERE / "double" / "image", folder / "image")
        (folder / "options").mkdir()
        shutil.copy(OPTIONS, folder / "options")
        docker(
            place, "build", "-q", "--network=none", "--build-arg", f"BASE={base}", "--build-arg", f"VERSION={version}", "-t", image,
            "-f", folder / "image" / "Dockerfile", folder,
        )  # fmt: skip


def _drop_older(place: Place, kept: str, version: str) -> None:
    """What the same release's double was before; a nameless image is what the pushed name was."""
    made = docker(place, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", f"bringup-lab-double:{version}-*").split()
    nameless = docker(place, "image", "ls", "-q", "--filter", "dangling=true", f"{place.registry}/{NAME}").split()
    for image in (*(m for m in made if m != kept), *nameless):
        docker(place, "image", "rm", image, check=False)


def _id(place: Place, image: str) -> str:
    return docker(place, "image", "inspect", "--format", "{{.Id}}", image, check=False).strip()


def main() -> int:
    try:
        say(f"lab: {double_image(Place())}")
    except LabError as e:
        say(f"lab: {e}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
