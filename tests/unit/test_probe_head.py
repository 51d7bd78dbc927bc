"""The probe's head, run by a plain sh: a Docker that hangs is asked once, and one that answers each time."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from roles.run.look import HEAD
from roles.run.seen import sections

ASKS = """\
look docker.info 5 docker info
look docker.ps 5 docker ps
say other 0 "$(timeout 5 docker inspect x; echo $?)"
look plain 5 echo well
"""


@pytest.mark.parametrize(("hangs", "calls", "code"), [(True, 1, 124), (False, 4, 0)])
def test_docker_is_waited_for_once(tmp_path: Path, hangs: bool, calls: int, code: int) -> None:
    stub = tmp_path / "docker"
    stub.write_text(f"#!/bin/sh\necho asked >>{tmp_path}/calls\n{'exec sleep 60' if hangs else 'exit 0'}\n", encoding="utf-8")
    stub.chmod(0o755)
    text = HEAD.read_text(encoding="utf-8").replace("timeout -k 1 15", "timeout -k 1 1") + ASKS
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", text], env=env, capture_output=True, text=True, check=True)
    found = sections(done.stdout)
    assert (tmp_path / "calls").read_text(encoding="utf-8").count("asked") == calls
    assert (found["docker.info"].code, found["docker.ps"].code, found["other"].text.split()[-1]) == (code, code, str(code))
    assert (found["plain"].code, found["plain"].text.strip()) == (0, "well")
