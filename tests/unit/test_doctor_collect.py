"""The collecting script, run by a plain sh on stubs."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from roles.doctor import collect
from roles.run import look, remote
from roles.run.seen import sections
from tests.unit.doctor_bench import made
from tests.unit.doctor_node import KEY, OOM, Node, values


@pytest.fixture
def said(tmp_path: Path) -> dict[str, str]:
    node = Node(tmp_path)
    code, text = node.run(remote.script(look.HEAD, collect.SCRIPT, values=values(node)))
    assert code == 0, text
    return {name: "\n".join(s.lines) for name, s in sections(text).items()}


def test_one_run_tells_everything_and_ends(said: dict[str, str]) -> None:
    wanted = {
        "clock", "facts", "unit", "unit.ended", "journal", "docker", "inspect", "env", "engine", "old.3", "plog.debug.plog-12_2026",
        "dmesg", "processes", "host.disk", "host.memory", "host.ports", "npu-smi.info", "npu-smi.health.3", "hccn.link.0", "hccn.tls.5",
        "hccn.stat.5", "end",
    }  # fmt: skip
    assert wanted <= set(said)
    assert said["hccn.link.0"] == "link status: UP", "a busy tool is asked again"
    assert "hello" in said["engine"]
    assert OOM in said["engine"]
    assert said["unit.ended"].endswith("the engine ended with code 1")
    assert float(said["clock"]) == pytest.approx(time.time(), abs=60)


def test_facts_are_pairs_that_can_be_compared(said: dict[str, str]) -> None:
    facts = dict(line.split("=", 1) for line in said["facts"].splitlines())
    assert facts["driver"] == "25.5.0"
    assert facts["tls"] == "0 1"
    assert facts["tls_cards"] == "0:0 5:1"
    assert facts["image_id"] == "sha256:4f4f"
    assert facts["generation"] == "4"
    assert facts["generation_at"].isdigit()
    assert facts["boot"].isdigit()


def test_values_of_secret_variables_never_leave_the_node(said: dict[str, str]) -> None:
    assert "VLLM_API_KEY=***" in said["env"]
    assert "HCCL_BUFFSIZE=512" in said["env"]
    assert KEY not in said["env"]


def test_a_quick_look_leaves_the_counters_of_ports_alone(tmp_path: Path) -> None:
    node = Node(tmp_path)
    _, text = node.run(remote.script(look.HEAD, collect.SCRIPT, values=values(node, QUICK="1")))
    assert "hccn.stat.0" not in sections(text)
    assert "hccn.link.0" in sections(text)


def test_a_bare_node_has_an_answer_too(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    node = Node.__new__(Node)
    node.root, node.state = tmp_path, tmp_path / "nothing"
    code, text = node.run(remote.script(look.HEAD, collect.SCRIPT, values=values(node, VENDOR="nvidia", PLOG="", NIC="")))
    assert code == 0
    assert "end" in sections(text)
    assert sections(text)["engine"].lines == ()
    assert "tls" not in sections(text)["facts"].pairs


def test_logs_are_cut_to_their_limit_from_the_end(tmp_path: Path) -> None:
    node = Node(tmp_path)
    _, text = node.run(remote.script(look.HEAD, collect.SCRIPT, values=values(node, ENGINE_BYTES=40, PLOG_BYTES=0)))
    found = sections(text)
    assert len("\n".join(found["engine"].lines)) <= 40
    assert not [n for n in found if n.startswith("plog")]


def test_many_nodes_give_less_each() -> None:
    plan = made("vllm-ascend/a2-dual")
    few = SimpleNamespace(plan=plan)
    assert f"ENGINE_BYTES={4 << 20}\n" in collect.script(few, plan.nodes[0], quick=True)  # type: ignore[arg-type]
    many = SimpleNamespace(plan=made("vllm-ascend/a2-dual", replicas=100))
    assert f"ENGINE_BYTES={(256 << 20) // 400}\n" in collect.script(many, many.plan.nodes[0], quick=True)  # type: ignore[arg-type]
    assert "PLOG=/var/lib/bringup/test/r0/ascend-log\n" in collect.script(few, plan.nodes[0], quick=False)  # type: ignore[arg-type]
