"""What counts as naming a fault, and that the page of faults and the menu are of one mind; nothing here needs the lab."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from roles.plan.pages.prose import prose
from tests.faults import results, table
from tests.faults.menu import MENU
from tests.faults.named import CHECK, Sentence, named, refused, sentences
from tests.faults.trouble import Trouble

N0, N1 = "10.78.0.11", "10.78.0.12"
WHO = {"n0": (N0, "10.77.0.11", "rank 0"), "n1": (N1, "10.77.0.12", "rank 1")}
BY_NAME = {t.name: t for t in MENU}
TAG = "manifest for registry.lab:5000/bringup/x:1 not found: manifest unknown: manifest unknown; the registry has no such tag"
DIED = "the engine core did not start (core-start): double.worker.Failed: the double was told to die at"
LEFT = "the engine ended with code 137; its last words: (EngineCore_DP1 pid=9) INFO 11-21 13:33:00 [x.py:1] all is well"
SAID = {
    "link down": (N1, "ascend.link: card 3: link status: DOWN"),
    "address twice": (N1, "ascend.duplicate: card 6: 10.30.0.16 is also the address of card 6 of 10.78.0.11"),
    "a registry that is not there": (N1, "image.registry: 10.77.0.250:5000/team/engine:v0.32.0: No route to host"),
    "an orphaned engine": (N0, "stale.orphans: 1 processes of a dead engine (pid 63856): VLLM::EngineCore 300"),
    "sshd is gone": (N1, "node.reached: not reached by SSH"),
    "image by a digest that nobody has": (N1, f"image: {TAG}"),
    "no room where Docker unpacks": (N1, "image: registry.lab:5000/x:1: write /var/lib/docker/tmp/y: no space left on device; make room"),
    "a byte of a shard is flipped": (N1, f"weights: model-00002-of-00003.safetensors is not the one of {N0} (SHA-256 0, 1 there)"),
    "NIC down": (N1, "network.nic: enp67s0f0np0 is down"),
    "address of another node, too": (N1, f"network.subnet: {N0} (10.77.0.11) is reached by lo"),
    "network cut while the engine loads": (N0, "weights: stalled: no log line, nothing read and no memory growth for 20 s"),
    "Docker hung": (N1, "docker.running: runs and does not answer: no answer in time"),
    "Docker killed while the engine loads": (N1, f"weights: {LEFT}"),
    "Docker restarted while the engine loads": (N1, f"weights: {LEFT}"),
    "node without power while the engine loads": (N1, "weights: it could not be seen any more (the connection was lost)"),
    "node without power before": (N1, f"whole: replica r0 is not whole: {N1} (not reached by SSH); nothing of it is started"),
    "unit stopped by somebody while the engine loads": (N1, "weights: the unit ended; its last words: Loading 50%"),
    "another controller holds the nodes": (N1, "check node.lock: held by kim@elsewhere (process 1), serve"),
    "rank 1 has the address of rank 0": ("", f'x.hosts[1] "{N1}": "address" is 10.77.0.11, which "{N0}" has too; expected a different one'),
    "two ranks 0": ("", f'x.hosts[1] "{N1}": "rank" is 0, which "{N0}" has too; expected every rank of replica r0 once'),
    "a recipe nobody knows": ("", """x: "recipe" is 'lab/a2-duel', expected a recipe of files/recipes (did you mean "lab/a2-dual"?)"""),
    "another host key": (N1, f"    [{N1}] SSH host key error (Host key for {N1} does not match.)"),
    "node cut off in start": (N1, "reach: the node was not heard any more over SSH (no answer in time)"),
    "node cut off in weights": (N1, "weights: it could not be seen any more (nothing was heard from the node for 45 s)"),
    "node cut off in proof": (N0, "proof ranks: rank 1 did not answer one short completion within 6 s"),
    "node cut off in look": (N1, "check node.reached: its probe stopped: the connection was lost"),
    "node cut off in kv-cache": (N1, "kv-cache: it could not be seen any more (nothing was heard from the node for 45 s)"),
    "node paused in kv-cache": (N1, "kv-cache: it could not be seen any more (nothing was heard from the node for 45 s)"),
    "node rebooted in look": (N1, "check node.reached: its probe stopped: the connection was lost"),
    "node rebooted before its start": (N1, "reach: the node was not heard any more over SSH (the connection was lost)"),
    "cluster network cut in start": (N1, "reach: 10.77.0.11:2347 did not answer within 20 s"),
    "cluster network cut in proof": (N0, "proof chat: no answer within 6 s, though the port accepts connections"),
    "a registry that takes and never answers": (N1, 'image: x: Get "http://x/v2/": net/http: request canceled (Client.Timeout exceeded)'),
    "node paused while the engine loads": (N1, "weights: it could not be seen any more (nothing was heard from the node for 45 s)"),
    "node paused before its start": (N1, "reach: the node was not heard any more over SSH (no answer in time)"),
    "node rebooted while the engine loads": (N1, "weights: it could not be seen any more (the connection was lost)"),
    "rank 0's node without power in the proof": (N0, "proof chat: the connection failed: Server disconnected without sending a response."),
    "a second controller while the first serves": (N0, "check node.lock: held by root@here (process 4711), serve, since 2026-11-21"),
    "edited: weights that are not there": (N1, "weights.present: /opt/lab/shared/models/none is not there"),
    "edited: a flag that the engine does not have": ("", 'x: "flags.no-such-flag" is not a flag of vllm 0.32.0; correct or remove it'),
    "edited: a port of another use": ("", 'x: "ports.rpc" is 20004, which collides with api (20004) on the same node; expected'),
    "edited: a node is left out": ("", "x: replica r0 has 1 node, expected exactly 2 for recipe lab/a2-dual-tp1"),
    "edited: an engine that dies": (N0, f"weights: {DIED} weights"),
    "edited: an image that nobody has": (N0, f"image: {TAG}"),
    "engine: die=container": (N0, "start: the engine ended with code 1; its last words: Failed: the double was told to die at container"),
    "engine: die@1=weights": (N1, f"weights: {DIED} weights"),
    "engine: stall=kv-cache": (N0, "kv-cache: stalled: no log line, nothing read and no memory growth for 8 s in stage kv-cache"),
    "engine: fatal": (N0, "engine: HCCL or HCCP reports an error (hccl): EI0006 Getting socket times out"),
    "engine: oom": (N0, "loaded: the accelerator's memory is full (npu-memory): NPU out of memory. Tried to allocate 2.00 GiB"),
    "engine: unrecognized=--max-num-seqs": (N0, "start: a flag (unknown-flag): vllm: error: unrecognized arguments: --max-num-seqs"),
    "engine: lie": (N0, "proof ranks: rank 0 answered HTTP 500: EngineCore encountered an issue."),
    "engine: models=other": (N0, "proof model: the model list has other, expected MiniMax-M2-lab"),
    "engine: garbled": (N0, "proof chat: the answer looks garbled: 78% of it repeat '!!!!'"),
    "engine: mute=1": (N0, "proof ranks: rank 1 did not answer one short completion within 6 s"),
    "engine: hang": (N0, "proof ranks: rank 0 did not answer one short completion within 6 s"),
    "engine: deaf": (N1, "ready: stalled: no log line, nothing read and no memory growth for 8 s in stage ready; its last line: x"),
}  # fmt: skip
"""Faults and a sentence of a run with each, from reports of the lab where they were kept, else from the code that says it."""
ALWAYS = [
    Sentence(N0, "tuning.governor: powersave on 2 of 2 CPU policies"),
    Sentence(N1, "node.memory: 22 of 24 GiB available"),
    Sentence(N1, "image.present: registry.lab:5000/bringup/engine-double:v0.32.0 is not here"),
    Sentence(N1, "network.speed: enp67s0f0np0: 1000 Mbit/s"),
    Sentence("", "nothing wrong was found; it does not serve now"),
    Sentence(N1, "prepare: 10.78.0.12 could not be prepared; nothing of the replica was started or stopped"),
    Sentence(N1, "weights: it did not work"),
]


def who(trouble: Trouble) -> tuple[str, ...]:
    return WHO[trouble.node] if trouble.names else ()


def test_every_sample_is_of_a_fault_of_the_menu_and_every_kind_of_fault_has_one() -> None:
    assert set(SAID) <= set(BY_NAME)
    lacking = {t.name for t in MENU if t.says and not CHECK.fullmatch(t.says)} - set(SAID)
    assert all(name.startswith("engine: die") for name in lacking), lacking


@pytest.mark.parametrize("name", SAID)
def test_what_a_run_says_of_a_fault_names_it(name: str) -> None:
    node, words = SAID[name]
    assert named(BY_NAME[name].says, who(BY_NAME[name]), [Sentence(node, words)])


@pytest.mark.parametrize("trouble", [t for t in MENU if t.says], ids=lambda t: t.name)
def test_what_runs_say_at_any_rate_names_no_fault(trouble: Trouble) -> None:
    assert not named(trouble.says, (), [s for s in ALWAYS if not s.words.startswith(f"{trouble.says}: ")])


@pytest.mark.parametrize("name", [n for n in SAID if BY_NAME[n].names and SAID[n][0]])
def test_the_right_cause_of_the_wrong_node_is_not_named(name: str) -> None:
    trouble = BY_NAME[name]
    other = WHO["n0" if trouble.node == "n1" else "n1"]
    words = re.sub(r"\b10\.7[78]\.0\.1[12]\b|rank \d", "some node", SAID[name][1])
    assert not named(trouble.says, who(trouble), [Sentence(other[0], words)])


def test_cause_and_node_must_stand_in_one_sentence() -> None:
    said = [Sentence(N0, "weights: the SSH connection was lost"), Sentence(N1, "weights: it ended")]
    assert not named("SSH connection was lost", WHO["n1"], said)
    assert named("SSH connection was lost", WHO["n0"], said)
    assert named("SSH connection was lost", (), said)
    assert named("was lost", WHO["n1"], [Sentence("", f"{N1}: the SSH connection was lost")])


def test_an_address_is_not_the_beginning_of_a_longer_one() -> None:
    assert not named("lost", ("10.77.0.1",), [Sentence("", "10.77.0.11 was lost")])
    assert not named("lost", ("10.77.0.1",), [Sentence("", "10.77.0.1.5 was lost")])
    assert named("lost", ("10.77.0.1",), [Sentence("", "lost: 10.77.0.1.")])
    assert not named("lost", ("rank 1",), [Sentence("", "rank 10 was lost")])


def test_a_check_is_named_by_its_own_finding_only() -> None:
    assert not named("network.nic", WHO["n1"], [Sentence(N1, "whole: see the check network.nic")])
    assert not named("network.nic", WHO["n1"], [Sentence(N0, "network.nic: down")])


def test_the_sentences_of_a_run_are_its_failures_findings_and_verdicts() -> None:
    report: dict[str, Any] = {
        "failures": [{"node": N1, "stage": "image", "why": "no tag", "fix": ""}],
        "findings": [{"node": N0, "check": "node.swap", "level": level, "observed": level} for level in ("fail", "warn", "pass", "skip")],
        "facts": {"report.doctor": {"r0": {"sentence": f"{N1} was not reached"}}},
        "nodes": [{"name": N0, "reached": True}, {"name": N1, "reached": False}],
    }
    err = f"[{N0}] Connected\n[{N1}] Host key for {N1} does not match\nreport: here"
    assert [(s.node, s.words) for s in sentences(report, err)] == [
        (N1, "image: no tag"), (N0, "node.swap: fail"), (N0, "node.swap: warn"), ("", f"{N1} was not reached"),
        (N1, f"[{N1}] Host key for {N1} does not match"),
    ]  # fmt: skip
    assert refused("one\ntwo") == [Sentence("", "one"), Sentence("", "two")]


def test_what_fails_is_named_and_ends_in_time() -> None:
    assert [t.name for t in MENU if t.code in (1, 2) and not t.says] == []
    assert [t.name for t in MENU if not 60 <= t.within <= 200] == []


def test_the_page_and_the_menu_name_the_same_faults() -> None:
    rows = re.findall(
        r"^\| ([a-z]+) \| (?:\*\*)?(.+?)(?:\*\*)? \| (?:yes|\*\*no|–|not run)", table.PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert rows == sorted((t.group, t.name) for t in MENU), "run: make faults"
    assert prose(table.HEAD) in table.PAGE.read_text(encoding="utf-8"), "run: python -m tests.faults.table .pytest_cache/faults.jsonl"


def test_walks_stay_when_the_faults_are_run_anew(tmp_path: Path) -> None:
    file = tmp_path / "faults.jsonl"
    results.fresh(file)
    assert file.read_text(encoding="utf-8") == ""
    file.write_text('{"fault": "NIC down"}\n{"walk": 3, "seed": 1}\n{"fault": "oom"}\n', encoding="utf-8")
    results.fresh(file)
    assert results.read(file) == [{"walk": 3, "seed": 1}]


def test_a_walk_that_broke_a_promise_stands_on_the_page_with_what_broke() -> None:
    walk = {
        "walk": 40,
        "seed": 7,
        "verbs": 3,
        "held": False,
        "broke": "step 4: half a | replica runs",
        "day": "2026-11-21",
        "commit": "abc",
    }
    assert "| 7 | 40 | 3 | **no**: step 4: half a / replica runs | 2026-11-21 | abc |" in table.page([walk])


def test_what_was_not_run_again_stands_on_the_page_as_before() -> None:
    text = table.PAGE.read_text(encoding="utf-8")
    assert table.page(table.kept(text)) == text
    new = {"fault": "NIC down", "named": False, "contained": True, "recovered": True, "seconds": 1.5, "day": "2027-01-01", "commit": "abc"}
    lines = table.page([*table.kept(text), new]).splitlines()
    assert "| network | **NIC down** | **no** | yes | yes | 1.5 | 2027-01-01 | abc |" in lines
    assert len(set(lines) - set(text.splitlines())) == 2, "that row, and the count of those with all three"
    walk = {"walk": 40, "seed": 7, "verbs": 3, "held": False, "broke": "half", "day": "2026-11-21", "commit": "abc to def"}
    assert table.kept(table.page([walk, walk])) == [walk]
