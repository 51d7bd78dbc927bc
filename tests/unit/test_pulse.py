"""The pulse of what runs already: who is slow under load is not who hangs. With the engine's double."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from roles.run.api import Api
from roles.verify.proof import Proof
from tests.lab.double.running import Running, until
from tests.unit.sources import plan
from tests.unit.test_double import start_single


@pytest.fixture(scope="module", params=[2, 1], ids=["two ranks", "one rank"])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Running, dict[str, Any]]]:
    ranks = int(request.param)
    flags = ("--data-parallel-size", "2", "--api-server-count", "1") if ranks == 2 else ()
    with start_single({"DOUBLE": "pace=0.2"}, *flags) as one:
        assert one.ready(), one.text()
        known = plan("lab/a2-dual-tp1").verify
        model = one.ask("GET", "/v1/models").json["data"][0]["id"]
        yield one, {**known, "ranks": ranks, "model": model, "timeouts": {**known["timeouts"], "answer": 1}}


def pulse(one: Running, verify: dict[str, Any], lenient: bool) -> list[str]:
    """What does not hold."""
    with httpx2.Client(trust_env=False) as client:
        proof = Proof(Api(f"http://{one.host}:{one.port}", client, "direct"), verify, "", lenient=lenient)
        return [r.said for r in proof.pulse() if not r.ok]


@contextmanager
def load(one: Running, model: str, ranks: int) -> Iterator[None]:
    """One long request at work on every rank."""
    open_ones = []
    for rank in range(ranks):
        connection = http.client.HTTPConnection(one.host, one.port, timeout=60)
        body = {"model": model, "messages": [{"role": "user", "content": "count"}], "max_tokens": 500, "ignore_eos": True}
        connection.request(
            "POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json", "X-data-parallel-rank": str(rank)}
        )
        open_ones.append(connection)
    try:
        yield
    finally:
        for connection in open_ones:
            connection.close()


def test_a_slow_rank_lives_while_its_counter_moves(served: tuple[Running, dict[str, Any]]) -> None:
    one, verify = served
    one.knobs("token=0.7")
    try:
        with load(one, verify["model"], verify["ranks"]):
            assert until(lambda: sum(one.metric("vllm:generation_tokens_total").values()) > 0, 5)
            assert pulse(one, verify, lenient=True) == []
            assert "within 1 s" in pulse(one, verify, lenient=False)[0], "a proof wants an answer in time all the same"
    finally:
        one.knobs("")


def test_a_rank_that_hangs_is_told_though_health_is_good(served: tuple[Running, dict[str, Any]]) -> None:
    one, verify = served
    one.knobs("hang")
    try:
        assert "within 1 s" in pulse(one, verify, lenient=True)[0]
    finally:
        one.knobs("")
    assert until(lambda: pulse(one, verify, lenient=True) == [], 10)
