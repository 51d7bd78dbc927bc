"""A view of a start that breaks is opened again and ends nothing; only what the unit itself said is an end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from roles.run import remote
from roles.run.folder import Folder
from roles.run.proven import Proven
from roles.run.run import Run
from roles.serve import bring, deaths, gang, stop
from roles.serve.state import Decision, What
from tests.unit.sources import plan

PLAN = plan("vllm-ascend/a2-dual")
REPLICA = PLAN.replicas[0]
N0, N1 = (n.name for n in REPLICA.nodes)
HEALTHY = "\x1ehealth 200"


@dataclass
class Nodes:
    """What each node's follow stream says and how it ends, one turn after the other; the last one again and again."""

    streams: dict[str, list[tuple[list[str], int]]]
    turns: dict[str, int] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)

    def run(self, state: Any, host: Any, name: str, text: str, *, on_line: Any = None, cancel: Any = None, **_: Any) -> remote.Done:
        if name != "bringup-follow":
            return remote.Done(0)
        mine = self.streams[host.name]
        turn = self.turns[host.name] = self.turns.get(host.name, 0) + 1
        lines, code = mine[min(turn, len(mine)) - 1]
        for line in lines:
            on_line(line, lambda _: None)
        if code == 99:  # goes on, and says nothing
            cancel.wait(30)
            return remote.Done(remote.CANCELLED)
        return remote.Done(code, ("the stream broke",))


@pytest.fixture
def follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[str, Run, Nodes]]:
    """One start that is followed; the result of bring.up, the run, and what was asked of the nodes."""

    def follow(ready: int = 3600, what: What = "follow", **streams: list[tuple[list[str], int]]) -> tuple[str, Run, Nodes]:
        nodes = Nodes({N0: streams["n0"], N1: streams["n1"]})
        hosts = {n: SimpleNamespace(name=n, connector=SimpleNamespace()) for n in (N0, N1)}
        folder = Folder("t", "serve", str(tmp_path))
        run = Run("serve", PLAN, {}, SimpleNamespace(), hosts, {}, folder, "", False, True)  # type: ignore[arg-type]
        run.facts["decisions"] = {REPLICA.name: Decision(what, "test")}
        run.facts |= {"prove": lambda *_: Proven(), "on_failure": lambda *_: ""}
        monkeypatch.setattr(remote, "run", nodes.run)
        monkeypatch.setattr(stop, "stop", lambda run, replica, node: nodes.stopped.append(node.name) or "")
        monkeypatch.setattr(gang, "PAUSES", (0.02, 0.1))
        monkeypatch.setattr(deaths, "PATIENCE", 0.5)
        monkeypatch.setattr(gang, "BEYOND", 0.3)
        monkeypatch.setitem(PLAN.verify["timeouts"], "ready", ready)
        monkeypatch.setattr(bring.lock, "take", lambda run: True)
        monkeypatch.setattr(bring, "_moved", lambda run, replica: "")
        monkeypatch.setattr(bring, "_secret", lambda run, replica: "")
        return bring.up(run, REPLICA), run, nodes

    return follow


@pytest.mark.parametrize("code", [1, 2, 126, 127, 137, 143, remote.LOST, 0])
@pytest.mark.parametrize("who", ["n0", "n1"])
def test_a_stream_that_ends_without_the_units_word_is_opened_again(follows: Any, who: str, code: int) -> None:
    other = {"n0": "n1", "n1": "n0"}[who]
    last = {"n0": ([HEALTHY], 99), "n1": ([], 99)}
    why, run, nodes = follows(
        **{who: [(["loads"], code), (["loads"], code), last[who]], other: [([], 99) if other == "n1" else last["n0"]]}
    )
    assert (why, run.failures, nodes.stopped) == ("", [], [])
    if who == "n0":
        assert nodes.turns[N0] == 3


@pytest.mark.parametrize(("what", "stopped"), [("start", [N0, N1]), ("follow", [])])
def test_what_the_unit_said_is_an_end_of_a_start_that_this_run_made(follows: Any, what: What, stopped: list[str]) -> None:
    """What another began, its own units end."""
    end = ["loads", "\x1eended 2026-11-30T10:00:00Z the engine ended with code 3", "\x1ejournal "]
    why, run, nodes = follows(what=what, n0=[(end, 0)], n1=[([], 99)])
    assert "the engine ended with code 3" in why
    assert run.failures
    assert sorted(nodes.stopped) == stopped


def test_what_is_never_seen_again_is_left_as_it_is(follows: Any) -> None:
    why, run, nodes = follows(ready=1, n0=[(["loads"], 99)], n1=[([], remote.LOST)])
    assert nodes.stopped == []
    assert {f["node"] for f in run.failures if f["stage"] == "follow"} == {N1}
    assert "left running, unproven" in why
    assert "run serve again" in run.failures[0]["fix"]


def test_a_view_that_breaks_again_and_again_is_said_once(follows: Any, capsys: pytest.CaptureFixture[str]) -> None:
    follows(n0=[*[(["loads"], 2)] * 5, ([HEALTHY], 99)], n1=[([], 99)])
    said = capsys.readouterr()
    assert (said.out + said.err).count("its log is not seen any more") == 1
