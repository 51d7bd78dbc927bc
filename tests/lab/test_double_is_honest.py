"""The double and the real engine, started by the same plan on the same two nodes, look the same from outside."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from roles.plan.plan import Plan
from tests.lab.conftest import RunningLab
from tests.lab.deaths import DEATHS, Death, watch
from tests.lab.double_image import double_image
from tests.lab.engine import build, pair
from tests.lab.place import Place
from tests.lab.seen import Outside, Seen, look, merged

pytestmark = pytest.mark.lab


def planned(place: Place, **changes: Any) -> tuple[Plan, pair.Pair]:
    plan = pair.the_plan(place, recipe="lab/a2-dual-tp1", **changes)
    return plan, pair.members(place, plan)


@dataclass(frozen=True)
class Both:
    """What was seen of each."""

    real: Seen
    double: Seen


@pytest.fixture(scope="module")
def both(lab: RunningLab) -> Both:
    """One after the other, since both want the same nodes, ports and names."""
    build.build(lab.place)
    doubled = planned(lab.place, image=double_image(lab.place))
    return Both(double=observed(lab.place, *doubled), real=observed(lab.place, *planned(lab.place)))


def observed(place: Place, plan: Plan, members: pair.Pair) -> Seen:
    outside = Outside(place, plan, members)
    waiting: dict[str, Any] = {}

    def alone() -> None:
        time.sleep(2)  # the port listens a moment before the engine core is started
        waiting.update(ports=outside.listening(0), stages=outside.stages(0), processes=len(outside.processes(0)))

    pair.down(place, members)
    try:
        pair.up(place, plan, members, alone)
        seen = look(outside, waiting)
        began = time.monotonic()
        seen.end = watch(place, plan, members, DEATHS[0], before=8, after=12)
        seen.stopping = time.monotonic() - began - 20
    finally:
        pair.down(place, members)
    return seen


def test_the_command_is_the_same(lab: RunningLab) -> None:
    (real, _), (double, _) = planned(lab.place), planned(lab.place, image=double_image(lab.place))
    assert [n.serve_argv for n in real.nodes] == [n.serve_argv for n in double.nodes]
    assert [n.env for n in real.nodes] == [n.env for n in double.nodes]


def test_rank_0_alone_listens_on_the_rpc_port_of_its_address_and_has_come_as_far(both: Both) -> None:
    assert both.double.waiting == both.real.waiting
    assert both.real.waiting["ports"]["rpc"], "the gate of rank 1"


@pytest.mark.parametrize("rank", [0, 1])
def test_stages_show_in_the_same_order(both: Both, rank: int) -> None:
    assert both.double.stages[rank] == both.real.stages[rank]


@pytest.mark.parametrize("rank", [0, 1])
def test_the_plans_ports_listen_alike_when_ready(both: Both, rank: int) -> None:
    assert both.double.ports[rank] == both.real.ports[rank]
    assert not both.real.ports[rank]["rpc"], "the handshake is over"


@pytest.mark.parametrize("rank", [0, 1])
def test_processes_have_the_same_titles_and_hold_the_same_cards(both: Both, rank: int) -> None:
    assert both.double.processes[rank] == both.real.processes[rank]


# The lab's checkpoint calls its tool at once; the double thinks first, aloud.
WORDS = (".choices[].delta.content: only in the double",)
ANSWERS = ("health", "models", "version", "chat", "tool call", "tool by name", "tool required", "cut", "completion")
ERRORS = ("unknown model", "rank too high", "no tokens", "no messages", "no such path", "wrong method")


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_have_the_same_fields(both: Both, name: str) -> None:
    (status, double), (real_status, real) = both.double.answers[name], both.real.answers[name]
    assert status == real_status == 200
    assert differences(double, real) == []


@pytest.mark.parametrize("name", ERRORS)
def test_errors_have_the_same_status_fields_and_kind(both: Both, name: str) -> None:
    assert both.double.errors[name] == both.real.errors[name]


@pytest.mark.parametrize("name", ["chat", "tool call", "completion"])
def test_streams_have_the_same_first_middle_and_last_event(both: Both, name: str) -> None:
    for place, double, real in zip(("first", "middle", "last", "end"), both.double.streams[name], both.real.streams[name], strict=True):
        assert [d for d in differences(double, real) if d not in WORDS] == [], place


def test_the_doubles_metrics_are_real_ones_with_the_same_labels(both: Both) -> None:
    assert [m for m in sorted(both.double.metrics) if m not in both.real.metrics] == []
    used = ("generation_tokens_total", "num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")
    for name in used:
        assert {(f"vllm:{name}", f"engine={rank} model_name=minimax-lab") for rank in (0, 1)} <= both.double.metrics


@pytest.mark.parametrize("rank", [0, 1])
def test_the_header_moves_the_counter_of_its_rank_only(both: Both, rank: int) -> None:
    assert both.double.moved[rank] == both.real.moved[rank] == {str(rank)}


def test_a_clean_stop_of_rank_1_is_seen_alike(both: Both) -> None:
    assert both.double.end == both.real.end == DEATHS[0].seen
    assert max(both.double.stopping, both.real.stopping) < both.real.plan_stop


@pytest.fixture
def a_double(lab: RunningLab) -> Iterator[Callable[[Death], tuple[str, ...]]]:
    plan, members = planned(lab.place, image=double_image(lab.place))
    pair.down(lab.place, members)
    pair.up(lab.place, plan, members)
    yield lambda death: watch(lab.place, plan, members, death, before=2, after=3)
    pair.down(lab.place, members)


@pytest.mark.parametrize("death", [pytest.param(d, id=d.name, marks=pytest.mark.long if i > 1 else ()) for i, d in enumerate(DEATHS)])
def test_the_double_dies_as_the_table_of_real_deaths_says(a_double: Callable[[Death], tuple[str, ...]], death: Death) -> None:
    assert a_double(death) == death.seen


def differences(double: Any, real: Any, where: str = "") -> list[str]:
    """Where two shapes differ; what is null in one may have a value in the other, and the words themselves are not compared."""
    if "null" in (double, real) or double == real or [] in (double, real):
        return []
    if isinstance(double, dict) and isinstance(real, dict):
        odd = [f"{where}.{k}: only in the {'double' if k in double else 'real one'}" for k in sorted(double.keys() ^ real.keys())]
        return odd + [d for k in sorted(double.keys() & real.keys()) for d in differences(double[k], real[k], f"{where}.{k}")]
    if isinstance(double, list) and isinstance(real, list):
        return differences(merged(double), merged(real), f"{where}[]")
    return [f"{where}: {double} in the double, {real} in the real one"]
