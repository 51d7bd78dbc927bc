"""The environment on every node: made once, again when python or packages differ, the same everywhere."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from pyinfra.api.host import Host

from roles.plan import container
from roles.plan.settings import filled
from roles.run import change, remote
from roles.run.change import Change
from roles.run.checks import Case
from roles.run.run import Run

MAKE = Path(__file__).with_name("make.sh")
LIMIT = 3600.0


def environment(run: Run) -> None:
    """Nothing where the engine runs in a container."""
    change.step(run, "environment", decide, _make)


def wanted(case: Case) -> tuple[str, tuple[str, ...]]:
    """Python's version and the requirements, as the plan's step names them."""
    venv = case.known.recipe.venv
    assert venv is not None
    return venv.python, tuple(str(filled(p, case.known.names, case.known.place)) for p in venv.packages)


def made(case: Case) -> dict[str, str]:
    return case.seen["venv.made"].pairs


def decide(case: Case) -> list[Change]:
    if case.node.runtime != "venv" or case.known.hardware.system != "linux":
        return []
    python, packages = wanted(case)
    found = made(case)
    if found.get("python") == python and found.get("packages") == shlex.join(packages):
        return []
    return [Change(f"make {container.STATE}/{case.plan.cluster}/venv with uv: python {python}, {', '.join(packages)}")]


def _make(run: Run, host: Host, case: Case, changes: Sequence[Change]) -> str:
    python, packages = wanted(case)
    keys = case.known.keys
    values = {
        "STATE": container.STATE, "CLUSTER": run.plan.cluster, "PYTHON": python, "PACKAGES": shlex.join(packages),
        "WHEELS": keys.wheels or "", "PROXY": keys.proxy or "",
    }  # fmt: skip
    done = run.call(host, "venv", remote.script(MAKE, values=values), limit=LIMIT, tied=True)
    if not done.ok:
        return done.said
    digest = done.said.removeprefix("made ")
    others = run.facts.setdefault("venv.digest", {n.name: made_there(run, n.name) for n in case.replica.nodes if n.name != host.name})
    different = sorted(n for n, d in others.items() if d and d != digest and n in {m.name for m in case.replica.nodes})
    others[host.name] = digest
    return f"other versions than on {different[0]} came out of the same requirements: pin them" if different else ""


def made_there(run: Run, name: str) -> str:
    seen = run.seen.get(name)
    return seen["venv.made"].pairs.get("digest", "") if seen else ""
