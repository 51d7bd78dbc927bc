"""The question to the image's own engine: the container that asks it, and its answer."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from roles.plan.container import STATE, unit
from roles.plan.node import NodePlan
from roles.plan.plan import Plan
from roles.run.look import answers
from roles.run.seen import Seen

CODE = Path(__file__).with_name("parse_engine.py")
SECONDS = 120


@dataclass(frozen=True)
class Verdict:
    """What the image said of the plan's command."""

    verdict: str
    why: str = ""
    release: str = ""
    jemalloc: str | None = None
    """Why jemalloc cannot be preloaded; "" where it can, None where nobody could ask."""
    asked: bool = True


@answers("image.parse")
def script(plan: Plan, node: NodePlan, seen: Mapping[str, Seen]) -> str:
    """The shell line of the container, in one word after the question's name, for a probe that asks."""
    return "image.parse " + base64.b64encode(container(plan, node).encode()).decode()


def container(plan: Plan, node: NodePlan) -> str:
    """The container as shell lines: driver files where the node has them, and nothing of it left when its time is over."""
    mounts = "".join(
        f'[ ! -e {shlex.quote(source)} ] || set -- "$@" --mount {shlex.quote(f"type=bind,source={source},target={target},readonly")}\n'
        for source, target in _files(plan, node)
    )
    remove = f"docker rm -f {shlex.quote(_name(plan, node))} >/dev/null 2>&1"
    run = f'timeout -k 5 {SECONDS} {shlex.join(options(plan, node))} "$@" {shlex.join(asked(plan, node))}'
    return f"set --\n{mounts}{remove}\n{run}\ncode=$?\n[ $code -lt 124 ] || {remove}\n(exit $code)\n"


def _name(plan: Plan, node: NodePlan) -> str:
    return f"{unit(plan.cluster, plan.node(node.name)[0].name)}-parse"


def options(plan: Plan, node: NodePlan) -> list[str]:
    """docker run as the plan would, but without network, devices, privileges and weights."""
    argv = ["docker", "run", "--rm", "--name", _name(plan, node), "--network", "none"]
    argv += ["--label", f"bringup.cluster={plan.cluster}", "--label", "bringup.role=parse"]
    for key, value in node.env.items():
        argv += ["--env", f"{key}={value}"] if key != "LD_PRELOAD" else []
    image = plan.known.recipe.image
    return [*argv, "--entrypoint", ""] if image and image.entrypoint == "none" else argv


def asked(plan: Plan, node: NodePlan) -> list[str]:
    """Image and command: our question to the engine's own parser."""
    question = {
        "engine": plan.known.recipe.engine,
        "commands": [c for c in (node.serve_argv, node.after_ready_argv) if c],
        "jemalloc": node.env.get("LD_PRELOAD", ""),
        "seconds": SECONDS - 10,
    }
    return [str(node.image), "python3", "-c", CODE.read_text(encoding="utf-8"), json.dumps(question)]


def _files(plan: Plan, node: NodePlan) -> list[tuple[str, str]]:
    """The hardware's own files that the plan mounts read-only: some engines do not import without them."""
    own = {m.split(":")[0] for m in plan.known.hardware.mounts if m.endswith(":ro") and not m.startswith(("${", STATE))}
    pairs = [mount.split(":")[:2] for mount in node.mounts]
    return [(source, target) for source, target in pairs if source in own]


def verdict(seen: Seen) -> Verdict | None:
    """Read from the section of roles/image/probe_last.sh; none where nobody asked."""
    if "image.parse" not in seen:
        return None
    section = seen["image.parse"]
    if section.first == "running":
        return Verdict("unknown", "it runs, so it was accepted", asked=False)
    line = next((text for text in section.lines if text.startswith("{")), "")
    if not line:
        return Verdict("unknown", section.why_not)
    data = json.loads(line)
    return Verdict(data["verdict"], data.get("why", ""), data.get("release", ""), data.get("jemalloc", ""))
