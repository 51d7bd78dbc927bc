"""What serve decides from what it saw, and the texts it gives a node."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from roles.plan.plan import Plan, make
from roles.plan.source import read_inventory
from roles.run import remote
from roles.run.proven import Proven
from roles.run.seen import MARK, Seen, sections
from roles.serve import unit
from roles.serve.state import Decision, agreed, decide, departed
from tests.unit.test_imports import ROOT


def plan(**changes: object) -> Plan:
    return make(read_inventory(ROOT / "inventories" / "a2.py"), changes)


PLAN = plan()
REPLICA = PLAN.replicas[0]
UP = {"active": "active", "container": "running", "spec": REPLICA.spec, "generation": "3", "proven": "yes"}


def seen(node: str, state: Mapping[str, str], health: str = "", record: str = "") -> Seen:
    body = "".join(f"{k}={v}\n" for k, v in state.items())
    text = f"{MARK}unit 0\n{body}{MARK}health 0\n{health}\n" + (f"{MARK}recorded 0\n{record}\n" if record else "")
    return Seen(node, sections(text))


def both(first: Mapping[str, str], second: Mapping[str, str], health: str = "200", record: str = "") -> dict[str, Seen]:
    a, b = (n.name for n in REPLICA.nodes)
    return {a: seen(a, first, health, record), b: seen(b, second, "", record)}


@pytest.mark.parametrize(
    ("first", "second", "health", "answers", "what"),
    [
        ({}, {}, "", "", "start"),
        ({"generation": "3"}, {"generation": "3", "ended": "yesterday the engine ended with code 1"}, "", "", "start"),
        (UP, UP, "200", "", "nothing"),
        (UP, UP, "200", "rank 1 did not answer", "leave"),
        (UP, UP, "", "", "leave"),
        (UP, UP, "503", "", "leave"),
        (UP, {**UP, "container": "exited", "active": "failed"}, "200", "", "restart"),
        (UP, {**UP, "generation": "2"}, "200", "", "restart"),
        ({**UP, "proven": ""}, {**UP, "proven": ""}, "200", "", "follow"),
        ({**UP, "proven": ""}, {**UP, "proven": ""}, "", "", "follow"),
        ({**UP, "spec": "0ld"}, UP, "200", "", "restart"),
        ({**UP, "proven": ""}, {}, "", "", "restart"),
    ],
)
def test_what_is_done_follows_from_what_was_seen(
    first: Mapping[str, str], second: Mapping[str, str], health: str, answers: str, what: str
) -> None:
    assert decide(PLAN, REPLICA, both(first, second, health), Proven(answers)).what == what


@pytest.mark.parametrize(("word", "what"), [("starting", "follow"), ("serving", "nothing"), ("down", "follow"), ("", "leave")])
def test_what_the_units_say_counts_more_than_a_silent_health(word: str, what: str) -> None:
    found = both(UP, UP, health="")
    head = REPLICA.nodes[0].name
    said = f"\n{MARK}gang 0\nspec={REPLICA.spec} generation=3 state={word} why=\n" if word else ""
    found[head] = Seen(head, {**found[head].sections, **sections(said)})
    decision = decide(PLAN, REPLICA, found)
    assert decision.what == what
    assert what != "follow" or decision.generation == 3


KEY = Proven("rank 0 answered HTTP 401: Unauthorized", refused=True)


@pytest.mark.parametrize("record", [UP, {**UP, "spec": "0ld"}])
def test_another_key_in_force_is_never_a_restart_unless_asked_for(record: Mapping[str, str]) -> None:
    """A colleague's machine has another key than the one that brought the replica up: sites.md 9."""
    found = decide(PLAN, REPLICA, both(record, record), KEY)
    assert found.what == "leave"
    assert "another key than this machine has" in found.why
    assert decide(PLAN, REPLICA, both(record, record), KEY, rekey=True).what == "restart"


@pytest.mark.parametrize(
    ("gone", "state", "what"),
    [
        ({"container": ""}, "serving", "leave"),  # Docker hangs
        ({"active": ""}, "serving", "leave"),  # systemd does not answer
        ({"active": ""}, "", "leave"),
        ({"active": "", "container": ""}, "serving", "leave"),
        ({"active": "inactive", "container": ""}, "serving", "restart"),  # after a power cut: both have answered
        ({"active": "failed", "container": "exited"}, "serving", "restart"),
        ({"active": "active", "container": "exited"}, "serving", "restart"),
    ],
)
def test_what_systemd_or_docker_did_not_tell_is_no_end_of_an_engine(gone: Mapping[str, str], state: str, what: str) -> None:
    found, second = both(UP, {**UP, **gone}), REPLICA.nodes[1].name
    said = f"\n{MARK}gang 0\nspec={REPLICA.spec} generation=3 state={state} why=\n" if state else ""
    found[second] = Seen(second, {**found[second].sections, **sections(said)})
    assert decide(PLAN, REPLICA, found).what == what


def test_a_key_that_is_not_refused_is_not_given_anew() -> None:
    assert decide(PLAN, REPLICA, both(UP, UP), rekey=True).what == "nothing"


@pytest.mark.parametrize("silent", [Proven("no answer within 60 s"), Proven("HTTP 503"), KEY, Proven("garbled", refuted=True)])
@pytest.mark.parametrize("health", ["200", "", "503", "401"])
@pytest.mark.parametrize("word", ["serving", ""])
def test_nothing_that_is_seen_from_outside_restarts_what_its_units_call_running(silent: Proven, health: str, word: str) -> None:
    found = both(UP, UP, health=health)
    head = REPLICA.nodes[0].name
    said = f"\n{MARK}gang 0\nspec={REPLICA.spec} generation=3 state={word} why=\n" if word else ""
    found[head] = Seen(head, {**found[head].sections, **sections(said)})
    assert decide(PLAN, REPLICA, found, silent).what == "leave"


def test_a_restart_is_the_next_generation_and_an_adopted_start_is_not() -> None:
    assert decide(PLAN, REPLICA, both({**UP, "spec": "x"}, UP)).generation == 4
    assert decide(PLAN, REPLICA, both({**UP, "proven": ""}, {**UP, "proven": ""})).generation == 3


@pytest.mark.parametrize(
    ("old", "new", "agreed_to"),
    [
        (Decision("restart", ""), Decision("follow", ""), True),
        (Decision("restart", "", ("a",)), Decision("restart", "", ("a",)), True),
        (Decision("restart", "", ("a",)), Decision("nothing", ""), True),
        (Decision("follow", ""), Decision("restart", ""), False),
        (Decision("start", ""), Decision("restart", "", ("a",)), False),
        (Decision("restart", "", ("a",)), Decision("restart", "", ("b",)), False),
        (Decision("back", ""), Decision("nothing", ""), False),
    ],
)
def test_a_second_look_may_ask_for_less_and_not_for_more(old: Decision, new: Decision, agreed_to: bool) -> None:
    assert agreed(old, new) is agreed_to


def test_a_changed_plan_shows_its_difference() -> None:
    new = plan(**{"flags.max-num-seqs": 64})
    old = unit.record(PLAN, REPLICA)
    decision = decide(new, new.replicas[0], both(UP, UP, record=old))
    assert decision.what == "restart"
    assert any("--max-num-seqs: 128 -> 64" in line for line in decision.changes)


def test_a_node_that_left_the_inventory_is_named() -> None:
    old = json.loads(unit.record(PLAN, REPLICA))
    old["members"]["10.0.0.13"] = "10.0.0.13"
    assert departed(PLAN, both(UP, UP, record=json.dumps(old))) == {"10.0.0.13": "10.0.0.13"}
    assert departed(PLAN, both(UP, UP, record=unit.record(PLAN, REPLICA))) == {}
    forgotten = both(UP, UP, record=json.dumps(old) + f"\n{MARK}forgotten 0\n10.0.0.13")
    assert departed(PLAN, forgotten) == {}, "said once, it need not be said again"


def test_the_record_holds_what_a_restart_compares_and_a_way_back_needs() -> None:
    known = {"cluster", "recipe", "model", "engine", "version", "hash", "replicas", "members", "spec", "verify"}
    assert set(json.loads(unit.record(PLAN, REPLICA))) == known


@pytest.mark.parametrize("node", [0, 1])
def test_the_script_of_the_unit_carries_the_plans_argv_word_by_word(node: int, tmp_path: Path) -> None:
    part = REPLICA.nodes[node]
    text = unit.engine_script(PLAN, REPLICA, part)
    head = text[: text.index("# Start, watch and stop the engine")]
    script = tmp_path / "head"
    script.write_text(head + 'printf "%s\\0" "${ENGINE[@]}"\n', encoding="utf-8")
    words = subprocess.run(["bash", str(script)], capture_output=True, check=True).stdout.decode().split("\0")[:-1]
    assert words == [*part.run_argv[:2], *unit.LOGS, *part.run_argv[2:]]


@pytest.mark.parametrize("name", sorted(p.stem for p in unit.HERE.glob("*.sh")))
def test_the_scripts_are_shell(name: str) -> None:
    subprocess.run(["bash", "-n", str(unit.HERE / f"{name}.sh")], check=True)


def test_the_unit_runs_the_script_and_systemd_restarts_only_a_script_that_was_killed() -> None:
    text = unit.service(PLAN, REPLICA, REPLICA.nodes[1])
    assert "ExecStart=/etc/bringup/a2/r0.run\n" in text
    assert "Restart=on-abnormal\n" in text


def test_a_replica_of_one_node_listens_for_nobody() -> None:
    assert "ListenStream=10.0.0.12:27431\n" in unit.peers_texts(PLAN, REPLICA, REPLICA.nodes[1])["SOCKET_TEXT"]
    single = make(read_inventory(ROOT / "inventories" / "xinference.py"))
    assert set(unit.peers_texts(single, single.replicas[0], single.replicas[0].nodes[0]).values()) == {""}


def test_values_given_to_a_script_are_quoted() -> None:
    text = remote.script(values={"A": "x'; reboot #", "B": 3})
    assert shlex.split(text.splitlines()[0]) == ["A=x'; reboot #"]


def test_an_engine_with_a_second_step_is_not_adopted_half_way() -> None:
    made = make(read_inventory(ROOT / "inventories" / "xinference.py"))
    (node,) = made.replicas[0].nodes
    state = {**UP, "spec": made.replicas[0].spec, "proven": ""}
    assert decide(made, made.replicas[0], {node.name: seen(node.name, state, "200")}).what == "restart"
