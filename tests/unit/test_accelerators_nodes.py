"""Nodes that lack a tool, a driver or a peer, and fixes that cure what they are printed for."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from roles.plan.plan import Plan
from roles.run.seen import Seen
from tests.unit.sources import plan
from tests.unit.test_accelerators_faults import DUAL, N1, N2, WARN, brief, n2, wrong
from tests.unit.test_accelerators_probe import Site, judged, look


@pytest.fixture(scope="module")
def made() -> Plan:
    return plan(DUAL)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory, made: Plan) -> Seen:
    site = Site(tmp_path_factory.mktemp("well") / "n1", "a2", "--node", "1")
    site.prepare()
    return look({N1: site}, made)[N1]


def test_tools_that_are_not_there_are_named(tmp_path: Path, healthy: Seen, made: Plan) -> None:
    site = Site(tmp_path / "n", "a2", "--node", "2")
    site.prepare()
    (site.root / "usr/local/bin/npu-smi").unlink()
    (site.root / "usr/local/Ascend/driver/tools/hccn_tool").unlink()
    (site.root / "usr/bin/hccn_tool").unlink()
    found = wrong(judged(made, {N1: healthy, **look({N2: site}, made)}))
    assert [(f.check, f.observed) for f in found] == [("ascend.answers", "npu-smi: not found"), ("ascend.answers", "hccn_tool: not found")]


def test_no_driver_at_all_is_said(tmp_path: Path, healthy: Seen, made: Plan) -> None:
    site = Site(tmp_path / "n", "a2", "--node", "2")
    site.prepare()
    shutil.rmtree(site.root / "usr/local")
    (site.root / "usr/bin/hccn_tool").unlink()
    found = brief(judged(made, {N1: healthy, **look({N2: site}, made)}))
    assert found == n2("answers!", "driver!")


def test_tls_that_is_on_everywhere_is_only_a_warning(tmp_path: Path, made: Plan) -> None:
    both = {N1: Site(tmp_path / "n1", "a2", "--node", "1"), N2: Site(tmp_path / "n2", "a2", "--node", "2")}
    for site in both.values():
        site.set("tls.*=1")
        site.prepare()
    assert brief(judged(made, look(both, made))) == [("n1", "ascend.tls", WARN), ("n2", "ascend.tls", WARN)]


CURES = ["link.3=DOWN link.5=DOWN", "tls.2=1", "netdetect.1=none", "netmask.3=255.255.255.0", "install=directory"]


@pytest.mark.parametrize("change", CURES)
def test_the_printed_fix_cures_it(tmp_path: Path, healthy: Seen, made: Plan, change: str) -> None:
    site = Site(tmp_path / "n", "a2", "--node", "2")
    real = {t: (site.root / t).readlink() for t in ("usr/local/bin/npu-smi", "usr/local/Ascend/driver/tools/hccn_tool")}
    site.set(*change.split())
    site.prepare()
    (found,) = wrong(judged(made, {N1: healthy, **look({N2: site}, made)}))
    for tool, target in real.items():
        (site.root / tool).unlink()
        (site.root / tool).symlink_to(target)
    command = found.fix.replace("; if it stays down: optical module, cable, switch port", "").replace("/etc/", f"{site.root}/etc/")
    command = command.partition("; then run")[0]
    done = subprocess.run(["sh", "-c", command], env=site.env(), capture_output=True, text=True)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    site.prepare()
    after = wrong(judged(made, {N1: healthy, **look({N2: site}, made)}))
    assert [f.observed for f in after] == (["/etc/ascend_install.info is not found"] if "install" in change else [])


def test_a_peer_that_was_not_reached_is_not_judged(healthy: Seen, made: Plan) -> None:
    assert wrong(judged(made, {N1: healthy, N2: Seen(N2, problem="no route")})) == []


def test_a_recipe_for_the_other_family_is_named_with_the_ones_that_fit(tmp_path: Path) -> None:
    site = Site(tmp_path / "a3", "a3")
    site.prepare()
    made = plan("vllm-ascend/a2-single")
    (found,) = wrong(judged(made, look({N1: site}, made)))
    assert found.check == "ascend.family"
    assert found.observed == "Ascend910, two chips a card"
    assert found.fix == 'set "recipe" to vllm-ascend/a3 or vllm-ascend/a3-long-context or vllm-ascend/a3-low-latency'
    other = Site(tmp_path / "a2", "a2")
    other.prepare()
    made = plan("vllm-ascend/a3")
    (found,) = wrong(judged(made, look({N1: other}, made)))
    assert (found.check, found.observed) == ("ascend.family", "910B3")
    assert found.fix == 'set "recipe" to vllm-ascend/a2-single'
