"""How a courier is started on a node: in the engine's image or, without containers, by the engine's own Python."""

from __future__ import annotations

import json
import posixpath
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roles.plan.container import STATE
from roles.plan.node import NodePlan
from roles.plan.plan import Plan

HERE = Path(__file__).parent
SENT = ("manifest", "courier.talk", "courier.shelf", "courier.copies", "courier.listing", "courier.hub", "courier.main")
PACKAGES = ("roles", "roles.weights", "roles.weights.courier")
BOOT = (
    "import json, sys, types\n"
    "for name, text in json.loads(sys.stdin.buffer.readline()):\n"
    "    module = sys.modules[name] = types.ModuleType(name)\n"
    "    module.__path__ = []\n"
    "    exec(compile(text, name, 'exec'), module.__dict__)\n"
    "sys.modules['roles.weights.courier.main'].main()\n"
)
"""The courier comes by stdin, as text, with its orders and any token: nothing is installed, nothing secret is in argv or environment."""


READY = """\
docker image inspect "$IMAGE" >/dev/null </dev/null || exit 1
n=0
while docker inspect "$MADE" >/dev/null 2>&1 </dev/null && [ "$n" -lt 20 ]; do
  docker rm -f "$MADE" >/dev/null 2>&1 </dev/null
  n=$((n + 1))
  sleep 0.5
done
"""
"""The image is here (a run would begin to pull it), and a courier that a dead controller left is gone."""


def name(plan: Plan) -> str:
    return f"bringup-{plan.cluster}-weights"


def script(plan: Plan, node: NodePlan, folder: str, record: str) -> str:
    """Ends with the courier in the shell's place; it lives until its input ends."""
    made = shlex.join(["mkdir", "-p", "--", folder, posixpath.dirname(record)])
    if node.runtime != "docker":
        return f"{made} && exec {shlex.join(in_venv(plan))}\n"
    assert node.image is not None
    values = f"MADE={shlex.quote(name(plan))}\nIMAGE={shlex.quote(node.image)}\n"
    return f"{values}{made} || exit 1\n{READY}exec {shlex.join(in_image(plan, node, folder, record))}\n"


def in_image(plan: Plan, node: NodePlan, folder: str, record: str) -> list[str]:
    """Ours by its label, gone when it ends, without a log of its own."""
    assert node.image is not None
    argv = ["docker", "run", "--rm", "-i", "--name", name(plan), "--label", f"bringup.cluster={plan.cluster}"]
    argv += ["--label", "bringup.role=weights", "--log-driver", "none", "--network", "host", "--user", "0"]
    for path in dict.fromkeys((folder, posixpath.dirname(record))):
        argv += ["--mount", f"type=bind,source={path},target={path}"]
    return [*argv, "--env", "HOME=/tmp", "--entrypoint", "python3", node.image, "-c", BOOT]


def in_venv(plan: Plan) -> list[str]:
    place = f"{STATE}/{plan.cluster}/venv/bin"
    return ["env", f"PATH={place}:/usr/local/bin:/usr/bin:/bin", f"{place}/python", "-c", BOOT]


def payload(order: Mapping[str, Any]) -> str:
    """Two lines: the courier's modules, and what it is there for."""
    modules = [(package, "") for package in PACKAGES]
    modules += [(f"roles.weights.{m}", (HERE / f"{m.replace('.', '/')}.py").read_text(encoding="utf-8")) for m in SENT]
    return f"{json.dumps(modules)}\n{json.dumps(order)}\n"
