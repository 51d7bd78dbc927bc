"""A second lab beside the first, for tests that want no real engine, so that both kinds run side by side.

It has the first one's addresses in a network namespace of its own, and its own Docker, registry, keys and nodes. Folders of what is costly
to make, and the registry's files, are the first one's; what only a network can bring is made before, for the second has no way out.
"""

from __future__ import annotations

from tests.lab import __main__ as cli
from tests.lab import apt, daemon, image, machine, session
from tests.lab.begin import begin_clean
from tests.lab.double_image import double_image
from tests.lab.engine import build
from tests.lab.place import LabError, Place, locked

COMMON = ("cache", "registry", "shared")


def alone_on_the_net(command: list[str]) -> list[str]:
    """The command in a new network namespace that ends with it; only its loopback is up."""
    return ["unshare", "--net", "--", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]


def ready(first: Place) -> Place:
    """The second lab's place, with all there that its tests cannot make."""
    with session.alone(first) as cut_off:
        machine.prepare(first, yes=True)
        begin_clean(first, cut_off)
        _bring(first)
    place = first.second
    place.root.mkdir(exist_ok=True)
    for name in COMMON:
        (first.root / name).mkdir(exist_ok=True)
        if not (place.root / name).is_symlink():
            (place.root / name).symlink_to(f"../{name}")
    return place


def _bring(first: Place) -> None:
    tars = [image.tar(first, name) for name in (image.base_image(), build.base_image())]
    if not (all(tar.exists() for tar in tars) and apt.made(first) and build.built(first)):
        was_up = daemon.running(first)
        if cli.main(["up", "--yes"]):
            raise LabError("lab-up failed; its sentence stands above")
        double_image(first)
        build.build(first)
        apt.apt_folder(first)
        if not was_up:
            cli.main(["down"])
    with locked(first.cache / "engine" / "lock"):
        build.models(first)
