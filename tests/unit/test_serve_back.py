"""Going back: which plan, of which replicas, and what a kept record must be to be used. And what counts as work in progress."""

from __future__ import annotations

import io
import json
from typing import Any, cast

import pytest
from gevent.event import Event

from roles.run import metrics
from roles.run.progress import Progress
from roles.run.run import Run
from roles.run.seen import MARK, Seen, sections
from roles.serve import back, bring, unit
from roles.serve.state import Decision
from roles.serve.state import back as decide_back
from roles.status.role import doing, history
from tests.unit.sources import plan

PLAN = plan("vllm-ascend/a2-dual", replicas=2)
FIRST, SECOND = PLAN.replicas
WELL = {"recorded_spec": "b", "kept": "b", "previous": "a", "generation": "4"}
FAILED = {"recorded_spec": "c", "kept": "b", "previous": "a", "generation": "5"}


def seen(first: dict[str, str], second: dict[str, str]) -> dict[str, Seen]:
    found = {}
    for replica, pairs in ((FIRST, first), (SECOND, second)):
        text = f"{MARK}unit 0\n" + "".join(f"{k}={v}\n" for k, v in pairs.items())
        found |= {n.name: Seen(n.name, sections(text)) for n in replica.nodes}
    return found


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        (WELL, WELL, [("back", "previous.plan"), ("back", "previous.plan")]),
        (FAILED, WELL, [("back", "proven.plan"), ("nothing", "")]),
        (FAILED, FAILED, [("back", "proven.plan"), ("back", "proven.plan")]),
        ({**WELL, "previous": ""}, WELL, [("back", ""), ("back", "previous.plan")]),
        ({}, {}, [("back", ""), ("back", "")]),
    ],
)
def test_what_failed_goes_back_to_what_was_proven_else_everything_one_plan_back(
    first: dict[str, str], second: dict[str, str], wanted: list[tuple[str, str]]
) -> None:
    decisions = [decide_back(PLAN, r, seen(first, second)) for r in PLAN.replicas]
    assert [(d.what, d.kept) for d in decisions] == wanted


def records(**changes: Any) -> dict[str, dict[str, Any]]:
    one = json.loads(unit.record(PLAN, FIRST))
    return {n.name: {**one, **changes} for n in FIRST.nodes}


def test_a_kept_record_becomes_the_very_plan_it_was_made_from() -> None:
    found = back.made(PLAN, FIRST, records(), "proven.plan")
    assert isinstance(found, back.Kept)
    assert found.replica.data()["nodes"] == FIRST.data()["nodes"]
    assert (found.replica.spec, found.plan.verify, found.plan.hash) == (FIRST.spec, PLAN.verify, PLAN.hash)
    script = unit.engine_script(found.plan, found.replica, found.replica.nodes[1])
    assert script == unit.engine_script(PLAN, FIRST, FIRST.nodes[1])


def test_a_record_that_fits_not_is_refused_with_the_reason() -> None:
    mixed = records()
    mixed[FIRST.nodes[1].name]["hash"] = "other"
    assert back.made(PLAN, FIRST, mixed, "proven.plan") == "its nodes keep different plans"
    assert "other nodes (10.0.0.13, 10.0.0.14)" in str(
        back.made(
            PLAN,
            FIRST,
            {n.name: records(replicas=[{"nodes": [m.data() for m in SECOND.nodes]}])[n.name] for n in FIRST.nodes},
            "proven.plan",
        )
    )
    assert "another version" in str(back.made(PLAN, FIRST, records(replicas=[]), "proven.plan"))


def test_requests_that_run_or_wait_are_counted_over_all_ranks() -> None:
    text = (
        'vllm:num_requests_running{engine="0"} 3.0\nvllm:num_requests_running{engine="1"} 1.0\nvllm:num_requests_waiting{engine="1"} 2.0\n'
    )
    assert metrics.busy(text) == 6
    assert metrics.busy("") == 0


def test_what_a_node_says_of_itself_is_read() -> None:
    def told(text: str) -> tuple[str, str]:
        return doing(Seen("n", sections(f"{MARK}gang 0\n{text}\n")))

    assert told("spec=ab12 generation=3 state=given-up why=it died") == ("given-up", "it died")
    assert told("spec=ab12 generation=3 state=serving why=") == ("serving", "")
    assert told("") == ("", "")


def test_the_histories_of_all_nodes_are_one_in_the_order_of_time() -> None:
    one = Seen("n0", sections(f"{MARK}history 0\n2026-11-21T09:00:02Z g1 later\n"))
    other = Seen("n1", sections(f"{MARK}history 0\n2026-11-21T09:00:01Z g1 first\n\n"))
    assert history({"n0": one, "n1": other}) == ["2026-11-21T09:00:01Z  n1  g1 first", "2026-11-21T09:00:02Z  n0  g1 later"]


class Told:
    """A run as `after` sees it."""

    def __init__(self, **options: object) -> None:
        self.options, self.cancel = options, Event()


CHANGED = Decision("restart", "runs another plan", ("~ --max-num-seqs: 128 -> 64",), 3)


@pytest.mark.parametrize(
    ("options", "decision", "said"),
    [
        ({}, CHANGED, f"; its plan before ({PLAN.hash}) is back and proven"),
        ({"rollback": "never"}, CHANGED, ""),
        ({"rollback": "ask"}, CHANGED, "; not rolled back: --data rollback=now goes back to the plan before"),
        ({"keep": True}, CHANGED, ""),
        ({}, Decision("restart", "does not answer", (), 3), ""),
        ({}, Decision("start", "is not running", (), 1), ""),
    ],
)
def test_only_a_change_that_failed_is_rolled_back_and_only_if_wanted(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, object], decision: Decision, said: str
) -> None:
    monkeypatch.setattr(back, "kept", lambda run, replica, where: back.made(PLAN, replica, records(), where))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert back.after(cast(Run, Told(**options)), FIRST, decision, lambda run, found, generation: "") == said


def test_an_interrupt_while_requests_are_waited_for_leaves_the_replica_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    run, stopped = Told(), list[str]()

    def interrupted(*_: object) -> str:
        run.cancel.set()
        return ""

    monkeypatch.setattr(bring.stop, "kept", lambda *_: None)
    monkeypatch.setattr(bring.stop, "stop_all", lambda run, replica, say: stopped.append(replica.name) or {})
    monkeypatch.setattr(bring.drain, "drain", interrupted)
    assert bring._stopped(cast(Run, run), FIRST, cast(Progress, None), drained=True) == "interrupted"
    assert stopped == []


def test_a_way_back_that_fails_too_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(back, "kept", lambda run, replica, where: back.made(PLAN, replica, records(), where))
    said = back.after(cast(Run, Told()), FIRST, CHANGED, lambda run, found, generation: "n0: weights: gone")
    assert said.endswith("failed, too: n0: weights: gone")
    monkeypatch.setattr(back, "kept", lambda run, replica, where: "n1 keeps no plan to go back to")
    assert back.after(cast(Run, Told()), FIRST, CHANGED, lambda *_: "") == "; there is no way back: n1 keeps no plan to go back to"
