"""An engine without a container: uv makes its environment from the lab's wheels, the same unit runs it, real vLLM answers."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest

from roles.plan.plan import make
from roles.plan.source import read_inventory
from tests.lab.conftest import RunningLab
from tests.lab.engine import build
from tests.lab.engine.wheelhouse import wheelhouse
from tests.lab.verbs import Site

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def site(lab: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    wheelhouse(lab.place)
    build.models(lab.place)
    one = Site(lab.place, tmp_path_factory.mktemp("venv"), ["n1"], "lab/venv", {"wheels": "/opt/lab/shared/wheels"}, "bare")
    yield one
    assert one.run("clean", "-y", "--data", "revert=true").code == 0
    lab.exec("n1", "rm -rf /var/lib/bringup")


def test_a_node_without_containers_serves_a_real_engine(lab: RunningLab, site: Site) -> None:
    ran = site.run("serve", "-y", "--data", "soak=1s")
    assert ran.code == 0, ran.err + ran.out
    assert lab.ssh("n1", "docker ps -q") == ""
    assert "/var/lib/bringup/bare/venv/bin/vllm" in lab.ssh("n1", "ps -eo args | grep '[v]llm serve'")


def test_a_second_run_changes_nothing(site: Site) -> None:
    again = site.run("serve", "-y")
    assert (again.code, again.success) == (0, 0), again.err


def test_other_packages_are_another_environment_and_what_cannot_be_had_leaves_the_old_one(lab: RunningLab, site: Site) -> None:
    lab.exec("n1", "mv /var/lib/bringup/bare/venv/bringup.made /root/made; echo python=3.11 > /var/lib/bringup/bare/venv/bringup.made")
    site.data["wheels"] = "/opt/lab/shared/models"
    ran = site.run("prepare", "-y")
    assert ran.code == 1
    assert "none of uv" in ran.out or "could not" in ran.err + ran.out or "not found" in ran.err
    assert lab.ssh("n1", "ls /var/lib/bringup/bare/venv/bin/vllm").strip()
    site.data["wheels"] = "/opt/lab/shared/wheels"
    lab.exec("n1", "mv /root/made /var/lib/bringup/bare/venv/bringup.made")


def test_stop_ends_every_process_of_it(lab: RunningLab, site: Site) -> None:
    assert site.run("stop", "-y").code == 0
    assert lab.ssh("n1", "ps -eo args | grep -cE '[V]LLM::|[v]llm serve' || :").strip() == "0"
    assert site.run("status").code == 1


def engines(lab: RunningLab) -> list[str]:
    return lab.exec("n1", "ps -eo pid,args | awk '/VLLM::|vllm serve/ && !/awk/'").splitlines()


def test_orphans_of_a_real_engine_started_by_hand_are_found_and_ended_when_asked(lab: RunningLab, site: Site) -> None:
    """The page's own command in a shell, and its first process killed: what most clusters are found with."""
    (node,) = make(read_inventory(site.inventory)).nodes
    page, health = shlex.join(node.run_argv), f"http://{node.address}:{node.ports['api']}/health"
    wait = f"for i in $(seq 120); do curl -fsS -m 1 {health} >/dev/null 2>&1 && exit 0; sleep 1; done; tail -n 5 /tmp/by-hand.log; exit 1"
    lab.exec("n1", f"setsid -f {page} </dev/null >/tmp/by-hand.log 2>&1; {wait}")
    lab.exec("n1", "kill -9 $(ps -eo pid,args | awk '/vllm serve/ && !/awk/ {print $1}' | head -n 1)")
    assert any("VLLM::EngineCore" in line for line in engines(lab)), "the engine's processes outlive their launcher"
    listed = site.run("clean", "-y", "--limit", site.name("n1"))
    assert listed.code == 0, listed.err
    assert "orphan" in listed.out
    assert any("VLLM::" in line for line in engines(lab)), "unasked, they are only named"
    ran = site.run("clean", "-y", "--data", "stale=true", "--data", "confirm=bare")
    assert ran.code == 0, ran.err + ran.out
    assert engines(lab) == []
    assert lab.exec("n1", "npu-smi info").count("No running processes") == 8
