"""The units of a replica without a controller: any death is an end of all, and all begin again in order; or it is given up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.double.running import until
from tests.unit.gang_nodes import Pair

pytestmark = pytest.mark.slow


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with Pair(tmp_path) as both:
        both.up()
        yield both


@pytest.mark.parametrize(
    ("rank", "title"),
    [(0, "main"), (0, "VLLM::EngineCore"), (0, "VLLM::Worker"), (1, "main"), (1, "VLLM::EngineCore"), (1, "VLLM::Worker")],
)
def test_any_death_on_any_rank_ends_in_a_new_generation_that_answers(pair: Pair, rank: int, title: str) -> None:
    pair.nodes[rank].kill("--data-parallel-size-local" if title == "main" else title)
    assert pair.serves(45, generation=2), pair.nodes[0].history + pair.nodes[1].history
    assert "begins again in 1 s (restart 1 of 3)" in pair.nodes[0].history
    assert "after its end" in pair.nodes[0].history


def test_a_rank_that_hangs_is_restarted_with_its_evidence(pair: Pair) -> None:
    pair.nodes[1].knobs("hang")
    assert until(lambda: "hung: rank 1" in pair.nodes[0].history, 30), pair.nodes[0].history
    pair.nodes[1].knobs("")
    assert pair.serves(30, generation=2), pair.nodes[0].history
    assert "strike 2 of 2: rank 1: no token within 2 s" in pair.nodes[0].history


def test_a_slow_engine_is_left_alone(pair: Pair) -> None:
    pair.nodes[1].knobs("token=2.5")
    with pair.load(rank=1):
        assert not until(lambda: "hung: rank" in pair.nodes[0].history or pair.nodes[0].generation > 1, 20), pair.nodes[0].history
    assert "probe: slow, not hung: 1:no token within 2 s" in pair.nodes[0].history
    pair.nodes[1].knobs("")


def test_both_nodes_without_power_come_back_by_themselves(pair: Pair) -> None:
    for node in pair.nodes:
        node.crash()
    pair.nodes[1].begin(asked=False)
    assert until(lambda: "waits for rank 0" in pair.nodes[1].history, 10)
    pair.nodes[0].begin(asked=False)
    assert pair.serves(30, generation=2), pair.nodes[0].history + pair.nodes[1].history
    for node in pair.nodes:
        assert "weights" in (node.folder / "logs" / "1.log").read_text(), "what the dead engine had said"


def test_rank_0_waits_until_a_node_that_left_is_back(pair: Pair) -> None:
    pair.nodes[1].crash()
    assert until(lambda: "waits for the others: n1 is absent" in pair.nodes[0].history, 30), pair.nodes[0].history
    assert not pair.nodes[0].engine()
    pair.nodes[1].begin(asked=False)
    assert pair.serves(30, generation=2), pair.nodes[0].history + pair.nodes[1].history


def test_a_rank_that_dies_while_the_gang_begins_again_is_not_waited_for(pair: Pair) -> None:
    pair.nodes[1].knobs("die=weights")
    pair.nodes[0].kill("VLLM::EngineCore")
    assert until(lambda: pair.nodes[1].history.count("the engine ended with code") >= 2, 30), pair.nodes[1].history
    pair.nodes[1].knobs("")
    assert pair.serves(30, generation=3), pair.nodes[0].history + pair.nodes[1].history


def test_what_dies_again_and_again_is_given_up_on_both_nodes(pair: Pair) -> None:
    for node in pair.nodes:
        node.knobs("die=weights")
    pair.nodes[0].kill("VLLM::EngineCore")
    assert until(lambda: all(n.does("given-up") for n in pair.nodes), 90), pair.nodes[0].history + pair.nodes[1].history
    assert "given up after 3 restarts in a row" in pair.nodes[0].history
    assert [n.main.wait(10) for n in pair.nodes if n.main] == [77, 77]
    assert not any(n.engine() for n in pair.nodes)


def test_a_replica_that_was_never_proven_ends_and_stays_down(tmp_path: Path) -> None:
    with Pair(tmp_path) as both:
        for node in both.nodes:
            node.begin()
        assert both.serves(20)
        both.nodes[1].kill("VLLM::Worker")
        assert until(lambda: all(n.main is not None and n.main.poll() == 1 for n in both.nodes), 40), both.nodes[0].history
        assert not any(n.engine() for n in both.nodes)


def test_restart_never_means_never(tmp_path: Path) -> None:
    with Pair(tmp_path, restart="never") as both:
        both.up()
        both.nodes[0].kill("VLLM::EngineCore")
        assert until(lambda: all(n.main is not None and n.main.poll() == 1 for n in both.nodes), 40), both.nodes[0].history


def test_a_stop_ends_both_and_nothing_begins_again(pair: Pair) -> None:
    for node in pair.nodes:
        assert node.main is not None
        node.main.terminate()
    assert [n.main.wait(15) for n in pair.nodes if n.main] == [0, 0]
    assert not any(n.engine() for n in pair.nodes)
