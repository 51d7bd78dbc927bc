"""hccn_tool's front: what was answered once is answered again without Python, while the state is the same."""

from __future__ import annotations

import os
from pathlib import Path

from tests.unit.test_sim import Lab
from tests.unit.test_sim_lab import called


def test_what_follows_from_the_state_is_answered_again_without_python_and_alike(tmp_path: Path) -> None:
    """The whole look of one card; and a changed state is told at once."""
    lab = Lab(tmp_path / "a2")
    path = "usr/local/Ascend/driver/tools/hccn_tool"
    asks = [
        ("-i", "3", c, "-g") for c in ("-link", "-ip", "-net_health", "-tls", "-lldp", "-netdetect", "-gateway", "-optical", "-process")
    ]
    first = {ask: called(lab, path, *ask) for ask in asks}
    assert {ask: done.stdout.decode() for ask, done in first.items()} == {ask: lab.run("hccn_tool", *ask).out for ask in asks}
    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\necho asked; exit 9\n")
    python.chmod(0o755)
    without = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    again = {ask: called(lab, path, *ask, **without) for ask in asks}
    assert [ask for ask in asks if again[ask].stdout != first[ask].stdout] == [("-i", "3", "-process", "-g")], "who uses it is looked up"
    lab.set("link.3=DOWN")
    assert called(lab, path, "-i", "3", "-link", "-g", **without).returncode == 9, "another state: what was kept does not hold"
    assert called(lab, path, "-i", "3", "-link", "-g").stdout == b"link status: DOWN\n"
    lab.set("link.3=UP", "hccn.garbage=true")
    assert called(lab, path, "-i", "3", "-link", "-g").stdout != b"link status: UP\n"
    assert not [p for p in lab.paths.state.parent.glob("*.answers-*") if p != lab.paths.beside(".answers").resolve()]
