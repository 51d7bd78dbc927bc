"""What began between look and lock is looked at again; serve goes on when that asks for no more than was agreed to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from roles.run.folder import Folder
from roles.run.run import Run
from roles.run.seen import MARK, Seen, sections
from roles.serve import bring
from roles.serve.state import Decision
from tests.unit.sources import plan

PLAN = plan("vllm-ascend/a2-dual", auth="off")
REPLICA = PLAN.replicas[0]
FIRST, SECOND = (n.name for n in REPLICA.nodes)
SERVES = f"active=active\ncontainer=running\nspec={REPLICA.spec}\ngeneration=4\nproven=yes\n"
ELSE = SERVES.replace(REPLICA.spec, "0ther")
OLD = Decision("restart", "does not run on n0", (), 4)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    hosts: dict[str, Any] = {n.name: SimpleNamespace(name=n.name) for n in PLAN.nodes}
    one = Run("serve", PLAN, {}, SimpleNamespace(), hosts, {}, Folder(PLAN.cluster, "serve", str(tmp_path)))  # type: ignore[arg-type]
    one.facts["decisions"] = {REPLICA.name: OLD}
    one.facts["lock.moved"] = [SECOND]
    return one


@pytest.fixture
def nodes_say(run: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def say(unit: str, problem: str = "") -> None:
        text = f"{MARK}unit 0\n{unit}{MARK}health 0\n200\n"
        seen = {n.name: Seen(n.name, sections(text), problem if n.name == SECOND else "") for n in REPLICA.nodes}
        monkeypatch.setattr(bring.look, "look", lambda *_, **__: seen)

    return say


def test_nothing_is_asked_where_nothing_moved(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.facts["lock.moved"] = []
    monkeypatch.setattr(bring.look, "look", lambda *_, **__: pytest.fail("no second look"))
    assert bring._moved(run, REPLICA) == ""
    assert run.facts["decisions"] == {REPLICA.name: OLD}


def test_what_serves_again_is_left_alone(run: Run, nodes_say: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    nodes_say(SERVES)
    assert run.once("lock", lambda: True), "it is held"
    assert bring.up(run, REPLICA) == ""
    assert run.facts["decisions"][REPLICA.name].what == "nothing"
    assert f"replica {REPLICA.name} serves, seen again" in capsys.readouterr().err
    assert run.failures == []


def test_another_plan_that_was_started_meanwhile_is_not_stopped(run: Run, nodes_say: Callable[..., None]) -> None:
    nodes_say(ELSE)
    why = bring._moved(run, REPLICA)
    assert why.startswith(f"{SECOND}: another controller, or the unit itself, began a start since this run looked")
    assert [(f["node"], f["stage"]) for f in run.failures] == [(SECOND, "lock")]
    assert run.facts["decisions"] == {REPLICA.name: OLD}


def test_a_node_that_does_not_answer_the_second_look_is_named(run: Run, nodes_say: Callable[..., None]) -> None:
    nodes_say(SERVES, "its probe stopped: the connection was lost")
    assert bring._moved(run, REPLICA) == f"{SECOND}: its probe stopped: the connection was lost"
    assert [(f["node"], f["stage"]) for f in run.failures] == [(SECOND, "look")]


def test_an_interrupt_during_the_second_look_is_no_failure_of_a_node(run: Run, nodes_say: Callable[..., None]) -> None:
    nodes_say(SERVES, "cancelled")
    run.cancel.set()
    assert bring._moved(run, REPLICA) == "interrupted"
    assert run.failures == []
