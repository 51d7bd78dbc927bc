"""What the verbs are measured against: the same script, the same image, and only verbs that did what was asked."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from roles.preflight import role as preflight
from roles.run import remote
from roles.run.look import probe_script
from roles.run.remote import BOOT
from roles.run.seen import sections
from tests.bench import verbs
from tests.lab.place import Place
from tests.lab.verbs import Ran, Site
from tests.unit.sources import plan

ROOT = Path(__file__).parents[2]
MADE = plan()


def test_the_plain_side_is_told_what_the_verb_tells_its_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, object] = {}
    run: Any = SimpleNamespace(findings=[])
    monkeypatch.setattr(preflight, "see", lambda _, **options: asked.update(options))
    monkeypatch.setattr(preflight, "show", lambda *_, **__: None)
    assert preflight.check(run) == 0
    assert {"FABRIC": "off", **asked} == verbs.LOOK
    length, _, rest = verbs.fed(MADE, MADE.nodes[0]).partition("\n")
    script = rest.encode()[: int(length)].decode()
    assert script == probe_script(MADE, MADE.nodes[0], **verbs.LOOK)
    assert rest.encode()[int(length) :].decode().startswith("image.parse ")


def test_a_probe_that_is_fed_so_has_its_question_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docker").write_text('#!/bin/sh\ncase $1 in inspect) echo false ;; run) echo \'BRINGUP-PARSE {"verdict": "ok"}\' ;; esac\n')
    (tmp_path / "docker").chmod(0o755)
    parts = (ROOT / "roles/run/probe.sh", ROOT / "roles/image/probe_last.sh")
    values = {"RUNTIME": "docker", "IMAGE": "x:v1", "UNIT": "u", **verbs.LOOK}
    monkeypatch.setattr(verbs, "probe_script", lambda *_, **__: remote.script(*parts, values=values) + "say end 0 ''\n")
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", BOOT], input=verbs.fed(MADE, MADE.nodes[0]), env=env, capture_output=True, text=True, check=True)
    assert sections(done.stdout)["image.parse"].first == '{"verdict": "ok"}'


def test_a_verb_that_was_blocked_is_no_figure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    site = Site(Place(tmp_path), tmp_path)
    monkeypatch.setattr(Site, "run", lambda *_, **__: Ran(1, "blocked: 1 finding", "", None))
    with pytest.raises(AssertionError, match="check ended with 1, expected 0:\nblocked: 1 finding"):
        verbs.verb(site, "check")


def test_the_image_is_on_the_nodes_before_anything_is_timed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done: list[str] = []
    site = Site(Place(tmp_path), tmp_path)
    monkeypatch.setattr(verbs.nodes, "named", lambda _, name: name)
    monkeypatch.setattr(verbs.nodes, "ssh", lambda _, node, script: done.append(f"{node}: {script}"))
    monkeypatch.setattr(verbs, "plain", lambda *_: done.append("plain"))
    monkeypatch.setattr(verbs, "verb", lambda _, name, *__: done.append(name))
    verbs.check(site.place, site, 1)
    image = verbs.make(verbs.read_inventory(site.inventory)).nodes[0].image
    assert done == [f"n0: docker pull -q {image}", f"n1: docker pull -q {image}", "plain", "check"]
