"""Nodes for the doctor's tests: the real script on tools that answer as told, without any connection."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from roles.doctor import collect
from roles.run import key, look, remote
from roles.run.folder import Folder
from roles.run.run import Run
from tests.unit.doctor_bench import MADE, made

KEY = "0123456789abcdef-the-key"
STARTED = MADE - 1860  # 11:59 UTC
OOM = "RuntimeError: NPU out of memory. Tried to allocate 450.00 MiB (NPU 3; 60.96 GiB total capacity)"
STUBS = {
    "docker": """\
case "$*" in
*'.State.Running'*) echo false ;;
*'{{.Id}}'*) echo 77 ;;
*'{{.Image}}'*) echo sha256:4f4f ;;
*'State.Status'*) printf 'container=exited\\nexit=1\\noom=false\\n' ;;
*'json .State'*) printf '{"Status":"exited"}\\n' ;;
*'.Config.Env'*) printf 'HCCL_BUFFSIZE=512\\nVLLM_API_KEY=%s\\nPATH=/bin\\n' "$THE_KEY" ;;
'image inspect'*RepoDigests*) echo quay.io/x@sha256:4f4f ;;
logs*) printf '2026-11-20T12:00:00.5Z hello\\036there Authorization: Bearer %s\\n2026-11-20T12:00:05Z %s' "$THE_KEY" "$OOM" ;;
version*) echo 29.0 ;;
*) exit 1 ;;
esac
""",
    "systemctl": "printf 'ActiveState=failed\\nSubState=failed\\n'",
    "journalctl": "echo '1795176000.000001 n0 systemd[1]: started'",
    "npu-smi": """\
case "$*" in
info) echo '| 3     910B3               | Alarm         | 95.2        37                0     / 0             |' ;;
*) echo "Health Status : Alarm" ;;
esac
""",
    "dmesg": "echo '[   12.5] hello'",
    "ps": ":",
    "hccn_tool": """\
case "$3" in
-link)
  n=$(cat "$TURN" 2>/dev/null || echo 0)
  echo $((n + 1)) >"$TURN"
  [ "$n" != 0 ] && echo "link status: UP" || echo "hccn_tool is busy, please try again."
  ;;
-tls) echo "dev_id:$2, tls switch[$([ "$2" = 5 ] && echo 1 || echo 0)](0:disable, 1:enable), tls preconfigured[1]" ;;
-stat) echo "packet statistics" ;;
esac
""",
}  # fmt: skip


class Node:
    """One node's root, with tools that answer as told."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / "state"
        for name, body in STUBS.items():
            path = root / "usr/local/Ascend/driver/tools/hccn_tool" if name == "hccn_tool" else root / "bin" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"#!/bin/sh\n{body}\n")
            path.chmod(0o755)
        (root / "usr/local/Ascend/driver/version.info").write_text("Version=25.3.rc1\npackage_version=25.5.0\n")
        folder = self.state / "test/r0"
        (folder / "logs").mkdir(parents=True)
        (folder / "logs/3.log").write_text("an older one\n")
        (folder / "generation").write_text("4")
        os.utime(folder / "generation", (STARTED, STARTED))
        (folder / "ended").write_text("2026-11-20T12:00:06Z the engine ended with code 1\n")
        (folder / "ascend-log/debug/plog").mkdir(parents=True)
        (folder / "ascend-log/debug/plog/plog-12_2026.log").write_text("[ERROR] HCCL(12,python3):2026-11-20-12:00:04.000.000 [a.cc:1] x\n")

    def run(self, text: str) -> tuple[int, str]:
        env = {"PATH": f"{self.root}/bin:/usr/bin:/bin", "BRINGUP_PROBE_ROOT": str(self.root), "THE_KEY": KEY, "OOM": OOM,
               "TURN": str(self.root / "turn")}  # fmt: skip
        argv = ["sh", "-c", text, "bringup-doctor"]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, errors="replace", timeout=60)
        return done.returncode, done.stdout + done.stderr


def values(node: Node, **more: object) -> dict[str, object]:
    plan = made("vllm-ascend/a2-dual")
    plog = node.state / "test/r0/ascend-log"
    return {**look.values(plan, plan.replicas[0].nodes[0]), "STATE": str(node.state), "PLOG": str(plog), "NUMBERS": "0 5",
            "ENGINE_BYTES": 100000, "PLOG_BYTES": 100000, "QUICK": "", **more}  # fmt: skip


class Lab:
    """A run without hosts' connections: each node's answer is made by the script on stubs."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **missing: str) -> None:
        self.plan = made("vllm-ascend/a2-dual")
        self.nodes = {n.name: Node(tmp_path / n.name) for n in self.plan.nodes}
        path = tmp_path / "key"
        path.write_text(KEY + "\n")
        monkeypatch.setattr(key, "named_file", lambda plan: path)
        monkeypatch.setattr(remote, "run", self.answer)
        names = [n.name for n in self.plan.nodes if n.name not in missing]
        self.run = Run(
            "serve", self.plan, {}, SimpleNamespace(), {n: SimpleNamespace(name=n) for n in names}, dict(missing),  # type: ignore[arg-type]
            Folder(self.plan.cluster, "serve", str(tmp_path / "runs")), "pyinfra inventories/a2.py deploy/",
        )  # fmt: skip

    def answer(self, state: Any, host: Any, name: str, text: str, *, on_line: Any, **more: Any) -> remote.Done:
        node = self.nodes[host.name]
        found = values(node, NAME=host.name)
        code, out = node.run(remote.script(look.HEAD, collect.SCRIPT, values=found))
        for line in out.split("\n"):
            on_line(line, lambda _: None)
        return remote.Done(code)
