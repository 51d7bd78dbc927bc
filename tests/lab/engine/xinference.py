"""python -m tests.lab.engine.xinference: an image with a real Xinference in the lab's registry, a layer on vLLM's environment."""

from __future__ import annotations

import sys

from tests.lab.engine import build
from tests.lab.engine.wheels import xinference_pins, xinference_wheels
from tests.lab.image import digest, have_image
from tests.lab.place import LabError, Place, Step, say

NAME = "bringup/xinference-cpu:v4.1.0"
REFERENCE = f"registry.lab:5000/{NAME}"  # as nodes call it
IMAGE = "bringup-lab-xinference"
SCRIPT = "xinference.sh"
CHANGES = ("ENV PATH=/opt/engine/bin:/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 PYTHONUNBUFFERED=1", 'CMD ["/bin/bash"]')


def xinference(place: Place) -> str:
    """The image's reference in the nodes; what exists already is neither built nor pushed again."""
    with build.alone(place):
        image = f"{IMAGE}:{digest(build.environment_image(), build.text(SCRIPT), *xinference_pins(), *CHANGES)}"
        if not have_image(place, image):
            _make(place, image)
        build.push(place, image, NAME)
        build.drop(place, (IMAGE,), NAME, image)
        build.models(place)
    return REFERENCE


def _make(place: Place, image: str) -> None:
    build.make_environment(place)
    exactly, folder = xinference_pins(), xinference_wheels(place)
    with Step(f"installing {len(exactly)} packages of Xinference beside vLLM's (about 20 s)"):
        build.install(place, image, build.environment_image(), SCRIPT, exactly, folder, *CHANGES)


def main() -> int:
    try:
        say(f"lab: {xinference(Place())}")
    except LabError as e:
        say(f"lab: {e}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
