"""Which death of several is named: the one that says most, and a peer of a mere echo is given time to tell its own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import gevent
import pytest
from gevent.event import Event as Flag

from roles.run.follow import Event, Follower
from roles.run.progress import Progress
from roles.run.redact import redact
from roles.run.run import Run
from roles.serve import deaths, gang
from roles.serve.stages import Stages
from roles.serve.state import Decision
from tests.unit.sources import plan

PLAN = plan("vllm-ascend/a2-dual")
ONE = PLAN.replicas[0]
HEAD, OTHER = ONE.nodes
ECHO = "RuntimeError: [pair.cc:554] Connection closed by peer [10.0.0.12:54674]"


class Told:
    """A start that hears what the test says, and keeps what it would fail with."""

    def __init__(self) -> None:
        self.failures: list[tuple[str, str]] = []
        double = SimpleNamespace(
            cancel=Flag(),
            fail=lambda node, stage, why, fix="": self.failures.append((node, why)),
            folder=SimpleNamespace(path="runs"),
            masked=redact,
        )
        self.gang = gang.Gang(cast(Run, double), ONE, Decision("start", "test"), "", cast(Progress, None))
        self.followers = {n.name: Follower(PLAN.verify["stages"], PLAN.verify["fatal"], n.rank, 600) for n in ONE.nodes}

    def wrapper(self, node: Any, cause: str) -> None:
        self.followers[node.name].words.append(cause)
        self.gang._fatal(node, self.followers[node.name], Event("fatal", "the engine core did not start", "line", wrapper=True))

    def ended(self, node: Any, cause: str) -> None:
        if cause:
            self.followers[node.name].words.append(cause)
        self.gang._told(node, self.followers[node.name], cast(Stages, None), Event("journal", ""))

    def first(self) -> tuple[str, str]:
        assert self.gang.failed.wait(5), "nothing was told"
        return self.failures[0]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deaths, "MOMENT", 0.02)
    monkeypatch.setattr(deaths, "PATIENCE", 0.8)


def test_a_peer_that_dies_slower_than_its_echo_is_still_the_cause() -> None:
    told = Told()
    told.wrapper(HEAD, ECHO)
    gevent.sleep(0.3)
    assert not told.failures
    told.ended(OTHER, "RuntimeError: no card 3")
    node, why = told.first()
    assert node == OTHER.name
    assert "no card 3" in why


def test_an_echo_is_told_in_the_end_when_its_peer_stays_silent() -> None:
    told = Told()
    told.wrapper(HEAD, ECHO)
    assert told.first() == (HEAD.name, f"the engine core did not start: {ECHO}")


def test_a_cause_of_its_own_waits_for_nobody() -> None:
    told = Told()
    told.wrapper(OTHER, "RuntimeError: no card 3")
    gevent.sleep(0.1)
    assert [n for n, _ in told.failures] == [OTHER.name]


def test_an_end_without_words_says_less_than_an_echo() -> None:
    told = Told()
    told.ended(OTHER, "")
    told.wrapper(HEAD, ECHO)
    assert told.first()[0] == HEAD.name


def test_what_an_engine_gives_away_in_its_last_words_is_not_told() -> None:
    told = Told()
    told.wrapper(OTHER, "RuntimeError: 401 for Authorization: Bearer abcdefgh12345678")
    assert "abcdefgh" not in told.first()[1] + told.gang.why
