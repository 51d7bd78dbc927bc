"""How one rank of the double takes the other's end: as the facts on real spawned engines say."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.lab.double.running import Running, free_port, until
from tests.unit.test_double import start_pair, start_single

FAST = {"DOUBLE": "pace=0.1"}


@pytest.fixture
def pair() -> Iterator[tuple[Running, Running]]:
    head, peer = start_pair(FAST)
    with head, peer:
        assert head.ready(), head.text() + peer.text()
        yield head, peer


def test_a_peer_that_leaves_is_missed_only_by_the_first_request_which_ends_rank_0_with_code_0(pair: tuple[Running, Running]) -> None:
    head, peer = pair
    peer.term()
    assert peer.code() == 0
    assert "Shutting down." in peer.text()
    assert until(lambda: not peer.processes(), 2)
    assert (head.status("/health"), head.chat().status) == (200, 500)
    assert head.code() == 0
    assert until(lambda: not head.processes(), 2)


def test_a_killed_launcher_leaves_orphans_that_go_on_serving(pair: tuple[Running, Running]) -> None:
    head, peer = pair
    peer.main.kill()
    peer.main.wait()
    time.sleep(0.1)
    assert {"VLLM::EngineCore_DP1", "VLLM::Worker_DP1_TP0_EP2", "VLLM::Worker_DP1_TP1_EP3"} <= set(peer.processes().values())
    assert (head.status("/health"), head.chat(headers={"X-data-parallel-rank": "1"}).status) == (200, 200)
    os.kill(peer.find("VLLM::EngineCore_DP1"), signal.SIGTERM)
    assert until(lambda: not peer.processes(), 2)
    assert (head.status("/health"), head.chat().status) == (200, 500)
    assert head.code() == 0


def test_a_killed_engine_core_is_missed_only_by_the_first_request(pair: tuple[Running, Running]) -> None:
    head, peer = pair
    os.kill(peer.find("VLLM::EngineCore_DP1"), signal.SIGKILL)
    assert peer.code() == 0, "the launcher returns as if all were well"
    assert until(lambda: not peer.processes(), 2)
    assert head.status("/health") == 200
    answer = head.chat(headers={"X-data-parallel-rank": "0"})
    assert (answer.status, "EngineCore encountered an issue" in answer.text) == (500, True)
    assert head.code() == 0


def test_a_killed_worker_ends_both_nodes() -> None:
    head, peer = start_pair({"DOUBLE": "pace=0.1,peer-code=7"})
    with head, peer:
        assert head.ready()
        os.kill(peer.find("VLLM::Worker_DP1_TP1_EP3"), signal.SIGKILL)
        assert until(lambda: head.status("/health") != 200, 2)
        assert head.code() == 7, "the knob peer-code"
        assert peer.code() == 0
        assert "Worker proc VllmWorker-1 died unexpectedly, shutting down executor." in peer.text()
        assert "EngineCore encountered a fatal error." in peer.text()


def test_rank_1_stays_when_rank_0_leaves(pair: tuple[Running, Running]) -> None:
    head, peer = pair
    before = peer.processes()
    head.term()
    assert head.code() == 0
    time.sleep(0.15)
    assert peer.processes() == before


def test_a_peer_that_dies_while_loading_ends_rank_0s_start() -> None:
    head, peer = start_pair({"DOUBLE": "pace=0.1,die@1=weights"})
    with head, peer:
        assert peer.code() == 0
        assert head.code() == 1
        assert "WorkerProc initialization failed" in peer.text()
        assert "Connection closed by peer [127.0.0.1:" in head.text()
        assert "Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore_DP0': 1}" in head.text()


def test_rank_0_alone_waits_without_an_engine_line() -> None:
    remote = ["--data-parallel-size", "2", "--data-parallel-size-local", "1", "--data-parallel-rpc-port", str(free_port())]
    with start_single(FAST, *remote) as head:
        assert head.says("Started DP Coordinator process")
        assert not until(lambda: "Initializing a V1 LLM engine" in head.text(), 0.15)
        head.term()
        assert head.code() == 130


def test_rank_1_without_rank_0_gives_up_and_still_exits_0() -> None:
    ranks = ["--headless", "--data-parallel-size", "2", "--data-parallel-size-local", "1", "--data-parallel-start-rank", "1"]
    with start_single({"DOUBLE": "handshake=0.2"}, *ranks, "--data-parallel-rpc-port", str(free_port())) as peer:
        assert peer.code() == 0
        assert "Did not receive response from front-end process within 5 minutes" in peer.text()


def test_a_slow_peer_is_waited_for_at_the_coordinator() -> None:
    head, peer = start_pair({"DOUBLE": "pace=0.01,stall@1=ready:0.25"})
    with head, peer:
        assert head.ready()
        assert "Waiting for READY message from DP Coordinator..." in head.text()


def test_start_rank_0_is_hybrid_from_0_28_on() -> None:
    rpc = str(free_port())
    ranks = ["--data-parallel-size", "2", "--data-parallel-size-local", "1", "--data-parallel-rpc-port", rpc]
    with (
        start_single({**FAST, "DOUBLE_VERSION": "0.28.0"}, *ranks, "--data-parallel-start-rank", "0") as first,
        start_single(FAST, *ranks, "--headless", "--data-parallel-start-rank", "1"),
    ):
        assert first.code() == 1
        assert "Remote engine 1 must not use --headless in external or hybrid dp lb mode" in first.text()
