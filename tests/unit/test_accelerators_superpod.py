"""A3: one node, and two of a super pod; and replicas of many nodes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from roles.accelerators.fabric import pings, targets
from roles.plan.library import FILES, Library
from roles.plan.plan import Plan, make
from roles.run.seen import Seen, sections
from tests.unit.sources import plan, source
from tests.unit.test_accelerators_faults import N1, N2, brief, wrong
from tests.unit.test_accelerators_probe import Site, judged, look

PINGED = {N1: 2, N2: 1}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """No recipe of the library spreads over two A3; one might."""
    root = tmp_path_factory.mktemp("library")
    shutil.copytree(FILES, root / "files")
    (root / "files/recipes/a3-dual.yaml").write_text("extends: vllm-ascend/a2-dual\nhardware: atlas-a3\n")
    return make(source("a3-dual", nodes=2, weights="/m"), lib=Library(root / "files"))


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Site]:
    root = tmp_path_factory.mktemp("a3")
    both = {N1: Site(root / "n1", "a3", "--node", "1"), N2: Site(root / "n2", "a3", "--node", "2")}
    for name, site in both.items():
        site.prepare(PINGED[name])
    return both


@pytest.fixture
def ill(sites: dict[str, Site]) -> Iterator[Site]:
    yield sites[N2]
    sites[N2].sim("reset")


def test_one_healthy_a3_has_only_passes(tmp_path: Path) -> None:
    site = Site(tmp_path / "n", "a3")
    site.prepare()
    found = judged(plan("vllm-ascend/a3"), look({N1: site}, plan("vllm-ascend/a3")))
    assert {f.check.removeprefix("ascend."): f.level for f in found} == dict.fromkeys(
        ("driver", "firmware", "install", "answers", "devices", "count", "family", "health", "idle", "holders", "hccp"), "pass"
    )


def test_the_chips_of_a_card_are_told_apart(tmp_path: Path) -> None:
    site = Site(tmp_path / "n", "a3")
    site.set("health.5=Alarm", "errors.5=80E01801", "hbm_lost.15=9000")
    site.holder(4711, "davinci9")
    site.prepare()
    found = wrong(judged(plan("vllm-ascend/a3"), look({N1: site}, plan("vllm-ascend/a3"))))
    assert [f.observed.partition(":")[0].partition(" held")[0] for f in found] == ["card 5", "card 9", "card 15"]
    assert "code 80E01801" in found[0].observed
    assert "npu-smi info -t health -i 2 -c 1" in found[0].fix


BOTH = [("n1", "ascend.superpod", "fail"), ("n2", "ascend.superpod", "fail")]
PODS: list[tuple[str, list[tuple[str, str, str]], str]] = [
    ("", [], ""),
    ("vnic_link.3=DOWN", [("n2", "ascend.vnic", "fail")], "chip 3: vnic link status: DOWN"),
    ("loss.192.168.1.196=100", [("n2", "ascend.hccs-ping", "fail")], "card 3 to the same of 10.0.0.11: 0 of 3 packets came back (check"),
    ("loss.10.30.1.13=100", [("n2", "ascend.ping", "fail")], "card 3 to the same of 10.0.0.11: 0 of 3"),
    ("spod.id=7", BOTH, "super pod 7, but 10.0.0.11 is in super pod 0"),
    ("spod.server_index=1", BOTH, "server 1 of super pod 0, as 10.0.0.11"),
]


@pytest.mark.parametrize(("change", "expected", "seen"), PODS, ids=[p[0] or "healthy" for p in PODS])
def test_a_fault_of_the_super_pod_is_found_by_its_own_check(
    ill: Site, sites: dict[str, Site], made: Plan, change: str, expected: list[tuple[str, str, str]], seen: str
) -> None:
    if change:
        ill.set(change)
    ill.prepare(PINGED[N2])
    found = judged(made, look(sites, made, FABRIC="rail"))
    assert brief(found) == expected
    assert not seen or any(seen in f.observed for f in wrong(found))


def card(number: int, last: int) -> str:
    return f"\x1ehccn.ip.{last} 0\nipaddr:10.{30 + number // 250}.{number % 250}.{10 + last}\nnetmask:255.0.0.0\n"


def seen_of(made: Plan, fabric: str = "rail") -> dict[str, Seen]:
    names = [n.name for n in made.nodes]
    text = {n: "".join(card(i, c) for c in range(8)) + f"\x1efabric.mode 0\n{fabric}\n" for i, n in enumerate(names)}
    return {n: Seen(n, sections(t)) for n, t in text.items()}


def test_a_pair_pings_rail_by_rail_and_all_pairs_when_asked() -> None:
    made = plan("vllm-ascend/a2-dual")
    first = made.nodes[0]
    assert pings(made, first, seen_of(made)).split("\n") == [*(f"ping {c} 10.30.1.{10 + c}" for c in range(8)), "end"]
    assert len(pings(made, first, seen_of(made, "full")).split("\n")) == 65


def test_a_node_that_did_not_ask_is_not_pinged() -> None:
    made = plan("vllm-ascend/a2-dual")
    seen = seen_of(made)
    assert pings(made, made.nodes[0], {made.nodes[0].name: seen[made.nodes[0].name]}) == "end"
    assert pings(made, made.nodes[0], {}) == "end"
    asked_something_else = Seen("10.0.0.12", {k: v for k, v in seen["10.0.0.12"].sections.items() if k != "fabric.mode"})
    assert pings(made, made.nodes[0], {**seen, "10.0.0.12": asked_something_else}) == "end"


@pytest.mark.parametrize(("nodes", "peers"), [(9, 8), (10, 2), (200, 2)])
def test_in_a_large_replica_every_node_pings_its_next_two(nodes: int, peers: int) -> None:
    made = plan("vllm-ascend/a2-multi", nodes=nodes)
    last = made.nodes[-1]
    found = targets([*made.nodes], last, full=False)
    assert len(found) == peers
    assert found[0] is made.nodes[0]
    pinged = [t.name for n in made.nodes for t in targets([*made.nodes], n, full=False)]
    assert all(pinged.count(n.name) == peers for n in made.nodes)


def test_a_hundred_nodes_are_judged_in_seconds(tmp_path: Path) -> None:
    site = Site(tmp_path / "n", "a2")
    site.prepare()
    made = plan("vllm-ascend/a2-multi", nodes=100)
    first = made.nodes[0].name
    one = look({first: site}, made)[first]
    seen = {n.name: Seen(n.name, {**one.sections, **seen_of_one(i)}) for i, n in enumerate(made.nodes)}
    start = time.monotonic()
    assert wrong(judged(made, seen)) == []
    assert time.monotonic() - start < 20


def seen_of_one(number: int) -> dict[str, object]:
    return dict(sections("".join(card(number, c) for c in range(8))))
