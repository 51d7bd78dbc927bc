"""privileges: least, where the seed's page has --privileged: the engine's double starts, sees its cards, and is proven."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import nodes
from tests.lab.conftest import RunningLab
from tests.lab.double_image import double_image
from tests.lab.test_other_engines import NOT_THERE
from tests.lab.verbs import DOUBLE, Site

pytestmark = pytest.mark.lab
A, B, AMD = nodes.Node(67, "a2"), nodes.Node(68, "a2"), nodes.Node(69, "rocm")
SYSTEMS: dict[str, tuple[list[nodes.Node], dict[str, Any], list[str]]] = {
    "lab/a2-dual-tp1": ([A, B], {}, []),
    "vllm/rocm-mi300x": ([AMD], {"model": "MiniMax-M2.1", "weights": "/opt/lab/shared/models/chain"}, ["--data", f"skip={NOT_THERE}"]),
}


@pytest.fixture(scope="module")
def machines(lab: RunningLab) -> Iterator[RunningLab]:
    double_image(lab.place)
    with lab.added(A, B, AMD):
        for node in (A, B, AMD):
            lab.exec(node.name, f"until docker info >/dev/null 2>&1; do sleep 0.2; done; docker pull -q {DOUBLE}")
        yield lab


@pytest.mark.parametrize("recipe", SYSTEMS)
def test_without_privileges_it_is_served_and_proven(machines: RunningLab, tmp_path_factory: pytest.TempPathFactory, recipe: str) -> None:
    members, keys, skip = SYSTEMS[recipe]
    data = {"image": DOUBLE, "privileges": "least", "timeouts": {"stall": 15, "ready": 120}, **keys}
    site = Site(machines.place, tmp_path_factory.mktemp("least"), [n.name for n in members], recipe, data, "least")
    try:
        ran = site.run("serve", "-y", "--data", "soak=1s", *skip)
        assert ran.code == 0, ran.err + ran.out
        for node in members:
            (shown,) = json.loads(machines.ssh(node.name, "docker inspect bringup-least-r0"))
            assert shown["HostConfig"]["Privileged"] is False
            assert "CAP_SYS_ADMIN" not in (shown["HostConfig"]["CapAdd"] or [])
            assert shown["HostConfig"]["Devices"], "each device by its name"
    finally:
        cleaned = site.run("clean", "-y")
    assert cleaned.code == 0, cleaned.err
