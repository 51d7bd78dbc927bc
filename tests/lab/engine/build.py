"""python -m tests.lab.engine.build: the engine's image in the lab's registry, and the checkpoints it serves; all made once."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab import daemon
from tests.lab.engine import checkpoints
from tests.lab.engine.wheels import pins, wheels
from tests.lab.image import SUITE, digest, have_image, make_base
from tests.lab.place import LabError, Place, Step, docker, locked, say

HERE = Path(__file__).resolve().parent
NAME = "bringup/vllm-cpu:v0.32.0"
REFERENCE = f"registry.lab:5000/{NAME}"  # as nodes call it
BASE, ENVIRONMENT, ENGINE = "bringup-lab-engine-base", "bringup-lab-engine-env", "bringup-lab-engine"
INSTALLING = "bringup-lab-engine-installing"


def build(place: Place) -> str:
    """The image's reference in the nodes; what exists already is neither built nor pushed again."""
    with alone(place):
        base, environment, engine = base_image(), environment_image(), engine_image()
        if not have_image(place, engine):
            make_environment(place)
            _make_engine(place, engine, environment)
        push(place, engine, NAME)
        drop(place, (BASE, ENVIRONMENT, ENGINE), NAME, base, environment, engine)
        models(place)
        _stamp(place).write_text(engine)
    return REFERENCE


def built(place: Place) -> bool:
    """Whether the image of today's files is in the lab's registry."""
    return _stamp(place).exists() and _stamp(place).read_text() == engine_image()


def _stamp(place: Place) -> Path:
    return place.cache / "engine" / "pushed"


def engine_image() -> str:
    """The name of the whole image."""
    plugin = sorted(p for p in (HERE / "plugin").rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return f"{ENGINE}:{digest(environment_image(), text('Dockerfile'), *(p.name + p.read_text(encoding='utf-8') for p in plugin))}"


def base_image() -> str:
    """The name of the Debian below the engine's image."""
    return f"{BASE}:{digest(SUITE, text('packages.txt'))}"


def base_packages() -> list[str]:
    return text("packages.txt").split()


def environment_image() -> str:
    """The name of the image with vLLM and without the plugin."""
    return f"{ENVIRONMENT}:{digest(base_image(), text('install.sh'), *pins())}"


def make_environment(place: Place) -> None:
    if have_image(place, environment_image()):
        return
    if not have_image(place, base_image()):
        make_base(place, base_image(), base_packages())
    with Step(f"installing {len(pins())} packages, slimming and compiling them (about 90 s)"):
        install(place, environment_image(), base_image(), "install.sh", pins(), wheels(place))


def install(place: Place, image: str, below: str, script: str, exactly: list[str], folder: Path, *change: str) -> None:
    """`script` installs, slims and compiles in one container, so that the image has one layer of what is left."""
    with tempfile.TemporaryDirectory() as work:
        (Path(work) / "pins.txt").write_text("\n".join(exactly))
        shutil.copy(HERE / "image" / script, work)
        docker(place, "rm", "-f", INSTALLING, check=False)
        try:
            docker(
                place, "run", "--name", INSTALLING, "--network", "none", "-v", f"{folder}:/wheels:ro", "-v", f"{work}:/build:ro",
                below, "sh", f"/build/{script}",
            )  # fmt: skip
            docker(place, "commit", *(word for line in change for word in ("--change", line)), INSTALLING, image)
        finally:
            docker(place, "rm", "-f", INSTALLING, check=False)


def models(place: Place) -> Path:
    """The checkpoints' folder; nodes see it read-only at /opt/lab/shared/models."""
    folder = place.root / "shared" / "models"
    stamp = place.cache / "engine" / "checkpoints"
    made_of = digest(*(Path(f).read_text(encoding="utf-8") for f in checkpoints.FILES))
    if all((folder / name / "config.json").exists() for name in checkpoints.NAMES) and stamp.exists() and stamp.read_text() == made_of:
        return folder
    with Step(f"making checkpoints {' and '.join(checkpoints.NAMES)}"):
        checkpoints.make(folder)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(made_of)
    return folder


@contextmanager
def alone(place: Place) -> Iterator[None]:
    """Two builds at once would take each other's container."""
    if not daemon.running(place):
        raise LabError("the lab is down; python -m tests.lab up first, its Docker builds the image")
    with locked(place.cache / "engine" / "lock"):
        yield


def text(name: str) -> str:
    return (HERE / "image" / name).read_text(encoding="utf-8")


def _make_engine(place: Place, image: str, environment: str) -> None:
    with tempfile.TemporaryDirectory() as work, Step("adding the plugin"):
        shutil.copy(HERE / "image" / "Dockerfile", work)
        shutil.copytree(HERE / "plugin", Path(work) / "plugin", ignore=shutil.ignore_patterns("__pycache__"))
        docker(place, "build", "-q", "--network=none", "--build-arg", f"ENVIRONMENT={environment}", "-t", image, work)


def push(place: Place, image: str, name: str) -> None:
    size = int(docker(place, "image", "inspect", "--format", "{{.Size}}", image)) // 1_000_000
    pushed = f"{place.registry}/{name}"
    docker(place, "tag", image, pushed)
    with Step(f"pushing {name}, {size} MB"):
        docker(place, "push", "-q", pushed)


def drop(place: Place, families: Iterable[str], name: str, *kept: str) -> None:
    """What these images were before, and what the pushed name named before."""
    for family in families:
        for image in docker(place, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", family).split():
            if image not in kept:
                docker(place, "image", "rm", image, check=False)
    untagged = docker(place, "image", "ls", "-q", "--filter", "dangling=true", f"{place.registry}/{name.partition(':')[0]}").split()
    if untagged:
        docker(place, "image", "rm", *untagged, check=False)


def main() -> int:
    try:
        say(f"lab: {build(Place())}")
    except LabError as e:
        say(f"lab: {e}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
