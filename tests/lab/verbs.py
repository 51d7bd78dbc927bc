"""Verbs run as a user runs them: an inventory file, pyinfra, a run folder; for tests on the lab."""

from __future__ import annotations

import json
import os
import pprint
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab import nodes
from tests.lab.place import Place

ROOT = Path(__file__).parents[2]
DOUBLE = "registry.lab:5000/bringup/engine-double:v0.32.0"
KEYS = {"model": "MiniMax-M2-lab", "weights": "/opt/lab/shared/models/chain", "arch": "x86_64"}


@dataclass(frozen=True)
class Ran:
    """One verb that ended."""

    code: int
    out: str
    err: str
    folder: Path | None

    @property
    def report(self) -> dict[str, Any]:
        assert self.folder is not None, f"no run folder; it said:\n{self.out}\n{self.err}"
        found: dict[str, Any] = json.loads((self.folder / "report.json").read_text(encoding="utf-8"))
        return found

    @property
    def events(self) -> list[dict[str, Any]]:
        assert self.folder is not None
        return [json.loads(line) for line in (self.folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]

    @property
    def success(self) -> int:
        """pyinfra's own column of changes, over all operations."""
        for line in self.err.splitlines() + self.out.splitlines():
            if line.strip().startswith("Grand total"):
                number = line.split()[3]
                return 0 if number == "-" else int(number)
        raise AssertionError(f"no result table:\n{self.err}")

    @property
    def why(self) -> list[str]:
        return [f["why"] for f in self.report["failures"]]

    def failing(self) -> set[tuple[str, str]]:
        return {(f["node"], f["check"]) for f in self.report["findings"] if f["level"] == "fail"}


@dataclass
class Site:
    """Nodes of the lab as one user's cluster, with their inventory and run folders under one path."""

    place: Place
    path: Path
    members: Sequence[str] = ("n0", "n1")
    recipe: str = "lab/a2-dual-tp1"
    data: dict[str, Any] = field(default_factory=dict)
    cluster: str = "site"
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def inventory(self) -> Path:
        return self.path / f"{self.cluster}.py"

    @property
    def runs(self) -> Path:
        return self.path / "runs"

    def name(self, node: str) -> str:
        return self.place.ssh_address(int(node[1:]))

    def address(self, node: str) -> str:
        return self.place.address(int(node[1:]))

    def write(self) -> Path:
        keys = self.place.keys
        hosts = [
            (self.name(n), {"rank": i, "address": self.address(n), "nic": nodes.CLUSTER_NIC, **self.hosts.get(n, {})})
            for i, n in enumerate(self.members)
        ]
        ssh = {
            "ssh_user": "root", "ssh_key": str(keys / "id_ed25519"), "ssh_known_hosts_file": str(keys / "known_hosts"),
            "ssh_strict_host_key_checking": "yes",
        }  # fmt: skip
        data = {**KEYS, "recipe": self.recipe, **ssh, **self.data}
        self.path.mkdir(parents=True, exist_ok=True)
        self.inventory.write_text(f"{self.cluster} = {pprint.pformat((hosts, data), width=120)}\n", encoding="utf-8")
        return self.inventory

    def command(self, verb: str, *words: str) -> list[str]:
        pyinfra = str(Path(sys.executable).with_name("pyinfra"))
        return [pyinfra, str(self.write()), str(ROOT / "deploy" / f"{verb}.py"), "--data", f"runs={self.runs}", *words]

    def start(self, verb: str, *words: str, cwd: Path | None = None, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        """A verb that goes on while the test does something."""
        env = {**os.environ, "XDG_CONFIG_HOME": str(self.path / "config"), "PYTHONPATH": ""}
        return subprocess.Popen(
            self.command(verb, *words), cwd=cwd or self.path, env=env, text=True,
            stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def reached(self, process: subprocess.Popen[str], stage: str, before: Path | None, seconds: float = 60) -> bool:
        """Until the events of a run that goes on name the stage; false when it ended first. `before`: the folder of the run before it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and process.poll() is None:
            folder = self.last()
            events = folder / "events.jsonl" if folder is not None and folder != before else None
            if events is not None and events.exists() and f'"stage": "{stage}"' in events.read_text(encoding="utf-8"):
                return True
            time.sleep(0.1)
        return False

    def end(self, process: subprocess.Popen[str], seconds: float = 240) -> Ran:
        out, err = process.communicate(timeout=seconds)
        return Ran(process.returncode, out, err, self.last())

    def run(self, verb: str, *words: str, seconds: float = 240, cwd: Path | None = None) -> Ran:
        return self.end(self.start(verb, *words, cwd=cwd), seconds)

    def last(self) -> Path | None:
        folders = sorted((self.runs / self.cluster).glob("*"), key=lambda p: p.stat().st_mtime) if self.runs.exists() else []
        return folders[-1] if folders else None
