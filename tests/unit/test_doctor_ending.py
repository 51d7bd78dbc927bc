"""The last words of a serve that fails before, or beside, its start: from what the run itself said, a few lines for each replica."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from roles.doctor import collect, role
from roles.doctor.analyse import Verdict, analyse
from roles.doctor.evidence import Evidence, read
from roles.doctor.rules import rules
from roles.doctor.say import printed
from roles.plan.finding import Finding
from roles.run import remote
from roles.run.run import Run
from tests.unit.doctor_bench import Case
from tests.unit.doctor_node import OOM, Lab

NIC = Finding("10.0.0.12", "network.nic", "fail", "enp67s0f0np0 is down", "up", "ip link set enp67s0f0np0 up")
LINK = Finding("10.0.0.11", "ascend.link", "fail", "card 3 is DOWN", "UP", "mend the cable")
GONE = Finding("10.0.0.12", "node.reached", "fail", "not reached by SSH", "an answer", "ssh to it by hand")
RUNS = "ActiveState=active\ncontainer=running\nhealth=200"


def failure(node: str, stage: str, why: str, fix: str = "") -> dict[str, str]:
    return {"node": node, "stage": stage, "why": why, "fix": fix}


def said(case: Case, findings: tuple[Finding, ...] = (), **more: Any) -> tuple[Evidence, Verdict, list[str]]:
    """As serve ends: no node was asked, nothing was started, unless it is told otherwise."""
    evidence = read(case.files(findings=findings, **{"verb": "serve", "asked": False, "started": False, **more}))[0]
    verdict = analyse(evidence, rules())
    return evidence, verdict, printed(evidence, verdict).splitlines()


def test_findings_that_fail_are_told_with_their_fixes_in_a_few_lines() -> None:
    failures = [failure(f.node, f"check {f.check}", f.observed, f.fix) for f in (LINK, NIC)]
    _, verdict, lines = said(Case(failures=failures), (LINK, NIC))
    assert verdict.what == "blocked"
    assert lines == [
        "doctor: replica r0: nothing of it was started: 2 checks fail: 10.0.0.11: ascend.link: card 3 is DOWN",
        "  do         mend the cable",
        "             ip link set enp67s0f0np0 up",
    ]


def test_one_finding_is_one_check() -> None:
    assert "1 check fails: 10.0.0.12: network.nic" in said(Case(), (NIC,))[2][0]


def test_a_finding_that_fails_is_told_also_while_the_replica_serves() -> None:
    case = Case().put(0, "unit", RUNS).put(1, "unit", RUNS)
    _, verdict, lines = said(case, (NIC,), verb="doctor", asked=True, started=True)
    assert verdict.what == "blocked"
    assert lines[0] == "doctor: replica r0: it serves, but 1 check fails: 10.0.0.12: network.nic: enp67s0f0np0 is down"


def test_a_failure_without_any_evidence_is_a_sentence_with_its_own_fix() -> None:
    _, verdict, lines = said(Case(failures=[failure("10.0.0.12", "check node.lock", "held by kim@pc", "wait for it")]))
    assert verdict.what == "failed"
    assert verdict.wrong
    assert lines == [
        "doctor: replica r0: nothing of it was started: 10.0.0.12: check node.lock: held by kim@pc",
        "  do         wait for it",
    ]


def test_a_failure_without_a_fix_says_what_to_run_next_and_how_many_more_there_are() -> None:
    failures = [failure("10.0.0.11", "docker", "daemon.json is not JSON"), failure("10.0.0.12", "docker", "so is this")]
    lines = said(Case(failures=failures))[2]
    assert lines[0].endswith("10.0.0.11: docker: daemon.json is not JSON (and 1 more)")
    assert lines[1] == "  do         mend that, then pyinfra INVENTORY deploy/serve.py: it goes on from where it is"


def test_a_start_that_failed_without_a_known_line_is_no_longer_nothing_wrong() -> None:
    failures = [failure("10.0.0.11", "launch", "model not known", "")]
    _, verdict, lines = said(Case(failures=failures), asked=True, started=True)
    assert verdict.what == "failed"
    assert lines[0] == "doctor: replica r0: it failed: 10.0.0.11: launch: model not known"


def test_the_doctors_own_verb_tells_of_the_last_serve_and_finds_nothing_wrong() -> None:
    _, verdict, lines = said(Case(failures=[failure("10.0.0.11", "rollback", "x", "")]), verb="doctor", asked=True, started=True)
    assert not verdict.wrong
    assert lines[0].endswith("nothing wrong was found; it does not serve now; the last serve failed: 10.0.0.11: rollback: x")


def test_a_node_that_was_not_reached_is_named_with_what_is_wrong_on_the_others() -> None:
    case = Case(problems={1: "not reached by SSH"}, failures=[failure("10.0.0.12", "whole", "replica r0 is not whole")])
    gone = "10.0.0.12 was not reached (not reached by SSH)"
    assert said(case, (GONE,))[2] == [
        f"doctor: replica r0: nothing of it was started: {gone}; nothing wrong was found on the others",
        "  do         reach 10.0.0.12 by ssh, then pyinfra INVENTORY deploy/serve.py",
    ]
    assert said(case, (GONE, LINK))[2][0].endswith(f"{gone}; on the others 1 check fails: 10.0.0.11: ascend.link: card 3 is DOWN")


def test_a_node_left_out_by_limit_is_no_node_to_reach() -> None:
    why = "replica r0 is not whole: 10.0.0.12 (left out by --limit)"
    _, verdict, lines = said(Case(problems={1: "left out by --limit"}, failures=[failure("10.0.0.12", "whole", why, "leave out --limit")]))
    assert verdict.what == "failed"
    assert lines[-1] == "  do         leave out --limit"


def test_a_failure_of_a_node_that_left_the_plan_counts_for_its_replica() -> None:
    lines = said(Case(failures=[failure("10.0.0.99", "whole", "10.0.0.99 left the inventory", "--data forget=10.0.0.99")]))[2]
    assert lines[0].endswith("nothing of it was started: 10.0.0.99: whole: 10.0.0.99 left the inventory")


@pytest.mark.parametrize(
    ("stage", "why", "rule"),
    [
        (
            "image",
            "x/y:1: manifest for x/y:1 not found: manifest unknown: manifest unknown; the registry has no such tag",
            "image-not-pulled",
        ),
        ("image", 'x/y:1: Get "https://x/v2/": dial tcp: lookup x on 10.0.0.1:53: no such host', "registry-unreached"),
        ("image", "x/y:1: failed to register layer: no space left on device; make room", "disk-full"),
        ("image", "x/y:1 is made for arm64, this node is x86_64", "exec-format"),
        ("weights", "its courier ended: the connection was lost", "connection-lost"),
    ],
)
def test_rules_speak_on_what_the_run_itself_said(stage: str, why: str, rule: str) -> None:
    _, verdict, lines = said(Case(failures=[failure("10.0.0.12", stage, why)]))
    assert verdict.match is not None
    assert (verdict.match.rule.id, verdict.match.node, verdict.match.count) == (rule, "10.0.0.12", 1)
    assert [line[:7].strip() for line in lines[1:4]] == ["seen", "why", "do"]
    assert len(lines) <= 3 + role.FEW


def test_findings_are_told_as_findings_and_not_by_a_rule() -> None:
    finding = replace(NIC, check="docker.running", observed="Cannot connect to the Docker daemon")
    failures = [failure("10.0.0.12", "check docker.running", "Cannot connect to the Docker daemon")]
    assert said(Case(failures=failures), (finding,))[1].what == "blocked"


def test_a_line_that_the_run_repeats_is_still_one_line() -> None:
    why = f"the accelerator's memory is full: {OOM}; no space left on device"
    case = Case(failures=[failure("10.0.0.11", "kv-cache", why)]).put(0, "engine", "OSError: [Errno 28] No space left on device: '/root'")
    match = said(case, asked=True, started=True)[1].match
    assert match is not None
    assert (match.rule.id, match.source, match.count) == ("disk-full", "engine", 1)


def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replicas: int = 1, **missing: str) -> Run:
    """A run whose nodes must not be asked, and that has forgotten the run before it."""
    one = Lab(tmp_path, monkeypatch, **missing)
    monkeypatch.setattr(remote, "run", lambda *a, **k: pytest.fail("a node was asked"))
    monkeypatch.setattr(collect, "last_failures", lambda run: pytest.fail("an older report was read"))
    plan = one.plan
    first = plan.replicas[0]
    more = [replace(first, name=f"r{i}", nodes=tuple(replace(n, name=f"n{i}.{n.rank}") for n in first.nodes)) for i in range(1, replicas)]
    one.run.plan = replace(plan, replicas=(first, *more))
    one.run.on_failure = role.ending
    one.run.state = SimpleNamespace(failed_hosts=set())  # type: ignore[assignment]
    return one.run


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("doctor:")]


def test_a_run_that_failed_ends_with_one_verdict_and_no_node_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = lab(tmp_path, monkeypatch)
    run.fail("10.0.0.12", "image", "x: manifest unknown")
    run.close(1)
    run.close(1)
    (line,) = told(capsys)
    assert line == "doctor: replica r0: 10.0.0.12 (rank 1): the image is not on the node and cannot be pulled (image-not-pulled)"
    assert run.report(1)["facts"]["report.doctor"]["r0"]["rule"] == "image-not-pulled"
    assert (run.folder.path / "doctor.r0.json").exists()
    assert (run.folder.path / "report.json").exists()


@pytest.mark.parametrize(("code", "cancelled"), [(0, False), (2, False), (130, False), (1, True)])
def test_what_did_not_fail_or_was_interrupted_has_no_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: int, cancelled: bool
) -> None:
    run = lab(tmp_path, monkeypatch)
    run.fail("10.0.0.12", "image", "x: manifest unknown")
    if cancelled:
        run.cancel.set()
    run.close(code)
    assert told(capsys) == []


def test_a_replica_whose_verdict_was_printed_is_not_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = Lab(tmp_path, monkeypatch)
    one.run.on_failure = role.ending
    assert role.verdict(one.run, one.plan.replicas[0]).startswith("doctor: replica r0")
    one.run.fail("10.0.0.12", "weights", "it died")
    one.run.close(1)
    assert told(capsys) == []


def test_three_replicas_are_told_and_the_rest_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = lab(tmp_path, monkeypatch, replicas=14)
    for replica in run.plan.replicas[1:]:
        run.fail(replica.nodes[0].name, "docker", "it does not start")
    run.close(1)
    *full, last = told(capsys)
    assert [line.split(":")[1].strip() for line in full] == ["replica r1", "replica r2", "replica r3"]
    names = "r4, r5, r6, r7, r8, r9, r10, r11 ..."
    assert last == f"doctor: 10 more failed ({names}); pyinfra inventories/a2.py deploy/doctor.py looks at each of them"


def test_a_failure_of_no_node_of_the_plan_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = lab(tmp_path, monkeypatch, replicas=3)
    run.fail("10.0.0.99", "whole", "10.0.0.99 left the inventory", "forget it")
    run.close(1)
    assert told(capsys) == ["doctor: replica r0: nothing of it was started: 10.0.0.99: whole: 10.0.0.99 left the inventory"]


def test_a_node_that_pyinfra_gave_up_without_a_word_of_ours_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = lab(tmp_path, monkeypatch)
    run.state = SimpleNamespace(failed_hosts=[run.hosts["10.0.0.12"]])  # type: ignore[assignment]
    run.close(1)
    assert "10.0.0.12: operation: pyinfra gave the node up" in told(capsys)[0]


def test_a_start_that_was_kept_is_explained_by_the_log_this_run_followed_and_by_no_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = lab(tmp_path, monkeypatch)
    run.folder.node_file("10.0.0.12", "engine.log").write_text(f"ERROR 11-20 12:00:00 [x.py:1] {OOM}\n")
    replica = run.plan.replicas[0]
    assert not [name for name in collect.said(run, replica, 0.0) if name.startswith("nodes/")]
    with run.stage("up", replica="r0") as stage:
        stage["ok"] = False
    run.fail("10.0.0.12", "kv-cache", "it died")
    run.close(1)
    assert "10.0.0.12 (rank 1)" in (line := told(capsys)[0])
    assert "npu-oom" in line


def test_last_words_that_stumble_are_no_second_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = lab(tmp_path, monkeypatch)
    run.fail("10.0.0.12", "image", "x")
    monkeypatch.setattr(role, "read", lambda files: 1 / 0)
    run.close(1)
    assert "no verdict, a fault of bringup itself: ZeroDivisionError" in told(capsys)[0]
    other = lab(tmp_path / "other", monkeypatch)
    other.on_failure = lambda run: 1 / 0  # type: ignore[assignment, return-value]
    other.close(1)
    assert "could not be said: ZeroDivisionError" in capsys.readouterr().err
    assert (other.folder.path / "report.json").exists()
