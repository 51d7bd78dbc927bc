"""The other systems of the vendor pages by the engines' double: their own container options, command, log stages, second step, proof."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import nodes
from tests.lab.conftest import RunningLab
from tests.lab.double_image import double_image
from tests.lab.verbs import DOUBLE, Site

pytestmark = pytest.mark.lab
GPU = {"a3": nodes.Node(50, "a3"), "rocm": nodes.Node(51, "rocm"), "nvidia": nodes.Node(52, "nvidia")}
# docker --gpus looks for NVIDIA's hook and runs it; here it is one that does nothing, since nothing is to be injected.
HOOK = (
    "printf '#!/bin/sh\\nexit 0\\n' | tee /usr/bin/nvidia-container-runtime-hook /usr/bin/nvidia-ctk >/dev/null; "
    "chmod 755 /usr/bin/nvidia-*; systemctl restart docker"
)
NOT_THERE = "weights.config,weights.index,weights.present,image.command,nvidia.driver,nvidia.memory,nvidia.toolkit"

SGLANG = {"version": "0.5.23", "env": {"DOUBLE_OPTIONS": "", "DOUBLE_VERSION": "0.5.23"}}  # the image refuses what its vLLM does not know

SYSTEMS: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "vllm-ascend/a3": ("a3", {"model": "MiniMax-M2.5-w8a8-QuaRot"}, ["container", "weights"]),
    "sglang/mi300x-tp4": ("rocm", {"model": "MiniMax-M2.1", "auth": "off", **SGLANG}, ["container", "weights"]),
    "vllm/rocm-mi300x": ("rocm", {"model": "MiniMax-M2.1"}, ["container", "weights"]),
    "vllm/nvidia-tp4": ("nvidia", {"model": "MiniMax-M2.1"}, ["container", "weights"]),
    "sglang/nvidia-tp4": ("nvidia", {"model": "MiniMax-M2.1", "auth": "off", **SGLANG}, ["container", "weights"]),
    "xinference/awq": ("nvidia", {"model": "MiniMax-M2", "auth": "off"}, ["container", "launch"]),
}


@pytest.fixture(scope="module")
def gpus(lab: RunningLab) -> Iterator[RunningLab]:
    double_image(lab.place)
    with lab.added(*GPU.values()):
        lab.exec(GPU["nvidia"].name, HOOK)
        for node in GPU.values():
            lab.exec(node.name, f"until docker info >/dev/null 2>&1; do sleep 0.2; done; docker pull -q {DOUBLE}")
        yield lab


OFTEN = ("vllm-ascend/a3", "sglang/mi300x-tp4", "xinference/awq")
"""One for each engine and each kind of accelerators; all of them in make test-long."""


@pytest.mark.parametrize("recipe", [pytest.param(s, marks=() if s in OFTEN else pytest.mark.long) for s in SYSTEMS])
def test_a_system_of_the_pages_is_served_proven_and_cleaned(
    gpus: RunningLab, tmp_path_factory: pytest.TempPathFactory, recipe: str
) -> None:
    family, keys, stages = SYSTEMS[recipe]
    node = GPU[family].name
    data = {"image": DOUBLE, "weights": "/opt/lab/shared/models/chain", **keys}
    site = Site(gpus.place, tmp_path_factory.mktemp("other"), [node], recipe, data, "other")
    skip = ["--data", f"skip={NOT_THERE}"]
    try:
        ran = site.run("serve", "-y", "--data", "soak=1s", *skip)
        assert ran.code == 0, ran.err + ran.out
        assert {s["stage"] for s in ran.report["stages"] if s["node"]} >= {"start", "proof", *stages}
        again = site.run("serve", "-y", *skip)
        assert (again.code, again.success) == (0, 0), again.err
    finally:
        cleaned = site.run("clean", "-y")
    assert cleaned.code == 0, cleaned.err
    assert gpus.ssh(node, "docker ps -aq") == ""
