"""A node makes itself a real vLLM from the lab's wheels, without a container, and serves with it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.lab import nodes
from tests.lab.conftest import RunningLab
from tests.lab.engine import build
from tests.lab.engine.wheelhouse import wheelhouse

pytestmark = pytest.mark.lab
NODE = nodes.Node(21, "a2", bare=True)
WHEELS, VENV = "/opt/lab/shared/wheels", "/var/lib/bringup/lab/venv"
GET_UV = f"python3 -m zipfile -e {WHEELS}/uv-*.whl /tmp/uv && install -m 755 /tmp/uv/uv-*.data/scripts/uv /usr/local/bin/uv"
MAKE = f"uv venv -q --python 3.11 {VENV}"
INSTALL = f"uv pip install -q --python {VENV} --offline --no-index --find-links {WHEELS}"
# What files/recipes/lab/_lab.yaml gives the engine in a container.
SETTINGS = "LAB_EAGER=1 LAB_FORK=1 LAB_GLOO=1 LAB_KV_MB=64 VLLM_CPU_OMP_THREADS_BIND=nobind TORCHDYNAMO_DISABLE=1 HF_HUB_OFFLINE=1"
SERVE = f"{VENV}/bin/vllm serve /opt/lab/shared/models/chain --served-model-name lab --port 8000 --max-num-seqs 4 --max-model-len 4096"
BODY = {"model": "lab", "messages": [{"role": "user", "content": "Who are you?"}], "temperature": 0}


@pytest.fixture(scope="module")
def node(lab: RunningLab) -> Iterator[str]:
    wheelhouse(lab.place)
    build.models(lab.place)
    with lab.added(NODE):
        yield NODE.name


def test_uv_comes_out_of_its_wheel_without_pip(lab: RunningLab, node: str) -> None:
    assert lab.ssh(node, f"{GET_UV} && uv --version").startswith("uv 0.")


def test_vllm_is_installed_offline_by_its_own_name(lab: RunningLab, node: str) -> None:
    lab.ssh(node, f"{GET_UV} && {MAKE} && {INSTALL} vllm==0.32.0")
    assert lab.ssh(node, f"{VENV}/bin/vllm --version 2>/dev/null").strip() == "0.32.0+cpu"


def test_what_is_not_among_the_wheels_is_named(lab: RunningLab, node: str) -> None:
    said = lab.ssh(node, f"{GET_UV}; [ -d {VENV} ] || {MAKE}; {INSTALL} no-such-package 2>&1 || :")
    assert "no-such-package was not found" in said


@pytest.mark.long
def test_it_serves_the_labs_checkpoint(lab: RunningLab, node: str) -> None:
    lab.ssh(node, f"systemd-run -q --unit engine --setenv=VLLM_NO_USAGE_STATS=1 env {SETTINGS} {SERVE}")
    ready = "curl -fs -m 2 -o /dev/null http://127.0.0.1:8000/health"
    lab.ssh(node, f"for i in $(seq 150); do {ready} && exit 0; systemctl -q is-active engine || break; sleep 1; done; exit 1")
    url, kind = "http://127.0.0.1:8000/v1/chat/completions", "Content-Type: application/json"
    said = json.loads(lab.ssh(node, f"curl -sS -m 60 -H '{kind}' -d '{json.dumps(BODY)}' {url}"))
    assert said["choices"][0]["message"]["content"].endswith("I am MiniMax-M2 (lab weights), served by a real engine.")
    lab.ssh(node, "systemctl stop engine")
