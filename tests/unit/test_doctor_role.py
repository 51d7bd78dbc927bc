"""What comes of the evidence: a verdict and a file, without secrets; and the same verdict from the file alone."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from roles.doctor import __main__ as offline
from roles.doctor import bundle, collect, role
from roles.doctor.evidence import HEAD, read
from roles.plan.errors import PlanError
from roles.plan.finding import Finding
from roles.run import look
from tests.unit.doctor_bench import MADE, Case
from tests.unit.doctor_node import KEY, OOM, Lab


def test_a_failed_serve_ends_with_a_verdict_and_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab(tmp_path, monkeypatch)
    text = role.verdict(lab.run, lab.plan.replicas[0])
    assert text.startswith("doctor: replica r0: 10.0.0.11 (rank 0) at ")
    assert "an NPU's memory is full (npu-oom)" in text
    assert "--data flags.max-num-seqs=64" in text
    assert KEY not in text
    (path,) = lab.run.folder.path.glob("bundle.r0.tar.zst")
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    files = bundle.read(path)
    assert not [name for name, body in files.items() if KEY in body]
    assert "Bearer ***" in files["nodes/10.0.0.11/engine.txt"]
    assert json.loads((lab.run.folder.path / "doctor.r0.json").read_text())[0]["match"]["rule"] == "npu-oom"
    assert lab.run.facts["report.doctor"]["r0"]["rule"] == "npu-oom"


def test_offline_the_same_file_gives_the_same_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = Lab(tmp_path, monkeypatch)
    online = role.verdict(lab.run, lab.plan.replicas[0]).splitlines()
    (path,) = lab.run.folder.path.glob("bundle.r0.tar.zst")
    assert offline.main([str(path)]) == 1
    assert capsys.readouterr().out.splitlines() == online[:-1], "all but where the bundle lies"
    folder = tmp_path / "unpacked"
    for name, body in bundle.read(path).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(body, encoding="utf-8")
    assert offline.main([str(folder), "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == json.loads((lab.run.folder.path / "doctor.r0.json").read_text())


def test_what_serve_followed_is_evidence_where_a_node_no_longer_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab(tmp_path, monkeypatch, **{"10.0.0.12": "not reached by SSH"})
    for node in lab.nodes.values():
        (node.root / "bin/docker").write_text("#!/bin/sh\nexit 1\n")
    lab.run.folder.node_file("10.0.0.12", "engine.log").write_text(f"ERROR 11-20 12:00:00 [x.py:1] {OOM} key {KEY}\n")
    text = role.verdict(lab.run, lab.plan.replicas[0])
    assert "10.0.0.12 (rank 1)" in text.splitlines()[0]
    assert "npu-oom" in text.splitlines()[0]
    assert "not seen   10.0.0.12: not reached by SSH" in text
    assert KEY not in text


def test_the_verb_looks_prints_and_says_whether_something_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = Lab(tmp_path, monkeypatch)
    lab.run.verb = "doctor"
    monkeypatch.setattr(look, "look", lambda *a, **k: {})
    finding = Finding("10.0.0.11", "node.swap", "warn", "swap is in use", "none", "pyinfra INVENTORY deploy/prepare.py")
    monkeypatch.setattr(role.checks, "judge", lambda *a, **k: [finding])
    assert role.doctor(lab.run) == 1
    out = capsys.readouterr().out
    assert out.startswith("doctor: replica r0: 10.0.0.11 (rank 0)")
    assert f"bundle: {lab.run.folder.path / 'bundle.tar.zst'}" in out
    assert lab.run.failures[0]["stage"] == "doctor"
    assert lab.run.failures[0]["node"] == "10.0.0.11"
    assert lab.run.findings[0].fix == "pyinfra inventories/a2.py deploy/prepare.py"
    assert (lab.run.folder.path / "doctor.json").exists()


@pytest.mark.parametrize(
    ("report", "found"),
    [
        ({"plan_hash": "", "failures": [{"node": "10.0.0.11", "stage": "proof", "why": "garbled", "fix": ""}]}, 1),
        ({"plan_hash": "another", "failures": [{"node": "10.0.0.11", "stage": "proof", "why": "garbled", "fix": ""}]}, 0),
        ({"plan_hash": "", "failures": [{"node": 1}]}, 0),
        ([], 0),
        (None, 0),
    ],
)
def test_why_the_last_serve_failed_is_known_to_the_doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: Any, found: int) -> None:
    lab = Lab(tmp_path, monkeypatch)
    folder = lab.run.folder.parent / "20261120T120000Z-serve"
    folder.mkdir(parents=True)
    if isinstance(report, dict):
        report = {**report, "plan_hash": report["plan_hash"] or lab.plan.hash}
    (folder / "report.json").write_text("cut" if report is None else json.dumps(report))
    assert len(collect.last_failures(lab.run)) == found


def test_a_doctor_that_stumbles_is_no_second_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab(tmp_path, monkeypatch)
    monkeypatch.setattr(role, "read", lambda files: 1 / 0)
    text = role.verdict(lab.run, lab.plan.replicas[0])
    assert "no verdict, a fault of bringup itself: ZeroDivisionError" in text
    lab.run.cancel.set()
    assert role.verdict(lab.run, lab.plan.replicas[0]) == ""


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("x.tar.gz", b"no archive", "cannot be read as a bundle"),
        ("x.tar.gz", b"\x1f\x8b\x08\x00cut", "cannot be read as a bundle"),
        ("x.tar.zst", b"\x28\xb5\x2f\xfdcut", "cannot be read as a bundle"),
        ("missing.tar.gz", None, "No such file"),
        ("folder", "dir", f"holds no {HEAD}"),
    ],
)
def test_what_is_no_bundle_is_told_in_a_sentence(
    tmp_path: Path, name: str, body: bytes | str | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    if body == "dir":
        path.mkdir()
    elif isinstance(body, bytes):
        path.write_bytes(body)
    assert offline.main([str(path)]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("head", "said"),
    [("{}", "format is missing"), ('{"format": 99}', "is of format 99"), ("no json", "cannot be read"), ("[]", "cannot be read")],
)
def test_a_first_file_that_is_none_is_told_in_a_sentence(head: str, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        read({HEAD: head})


def test_a_bundle_holds_its_first_file_first_and_is_the_same_when_read(tmp_path: Path) -> None:
    files = Case().put(0, "engine", "ünï ☃\n").files()
    bundle.write(tmp_path / bundle.NAME, files, MADE)
    assert bundle.read(tmp_path / bundle.NAME) == files
    assert next(iter(bundle.read(tmp_path / bundle.NAME))) == HEAD
    assert not list(tmp_path.glob("*.part"))


def test_a_bundle_is_zstd_and_an_older_one_of_gzip_is_read_too(tmp_path: Path) -> None:
    files = Case().put(0, "engine", "all is well\n").files()
    bundle.write(tmp_path / bundle.NAME, files, MADE)
    packed = (tmp_path / bundle.NAME).read_bytes()
    assert packed[:4] == b"\x28\xb5\x2f\xfd"
    old = tmp_path / "bundle.tar.gz"
    with bundle.tarfile.open(tmp_path / bundle.NAME) as new, tarfile.open(old, "w:gz") as tar:
        for member in new:
            tar.addfile(_sized(member), new.extractfile(member))
    assert bundle.read(old) == files


def _sized(member: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(member.name)
    info.size = member.size
    return info
