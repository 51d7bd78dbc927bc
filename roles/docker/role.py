"""Docker: installed where it is missing, told the inventory's settings, never restarted under somebody's containers unasked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pyinfra.api.host import Host

from roles.docker.daemon import DROPIN, FILE
from roles.docker.work import work
from roles.run import change, remote
from roles.run.change import Change
from roles.run.checks import Case
from roles.run.run import Run

SCRIPT = Path(__file__).with_name("apply.sh")
LIMIT = 900
"""Packages come over the site's line, after up to two minutes of waiting for another apt-get."""


def engine(run: Run) -> None:
    """Docker on every node, where the engine runs in a container."""
    allowed = bool(run.options.get("restart_docker"))
    change.step(run, "docker", lambda case: decide(case, allowed), partial(_apply, allowed=allowed))


def decide(case: Case, allowed: bool) -> Sequence[Change]:
    return work(case, allowed).changes if case.node.runtime == "docker" else ()


def _apply(run: Run, host: Host, case: Case, changes: Sequence[Change], allowed: bool) -> str:
    todo = work(case, allowed)
    if todo.problem:
        return todo.problem
    values = {
        "DAEMON_FILE": FILE,
        "DAEMON": todo.daemon or "",
        "DAEMON_CHANGES": "yes" if todo.daemon is not None else "",
        "PROXY_FILE": DROPIN,
        "PROXY": todo.proxy or "",
        "PROXY_CHANGES": "yes" if todo.proxy is not None else "",
        "INSTALL": todo.install.tool if todo.install else "",
        "PACKAGES": " ".join(todo.install.packages) if todo.install else "",
        "ENABLE": "yes" if todo.enable else "",
        "ACTION": todo.action,
        "EXPECT": " ".join(todo.expect),
    }
    done = run.call(host, "docker", remote.script(remote.APT, SCRIPT, values=values), limit=LIMIT)
    return "" if done.ok else why(done)


def why(done: remote.Done) -> str:
    """The script's own sentence; with apt's or dnf's first complaint, which is the cause of the others."""
    said = next((line[4:].strip() for line in done.lines if line.startswith("why ")), done.said)
    cause = next((line for line in done.lines if line.startswith(("E: ", "Error: "))), "")
    return f"{said} {cause}" if cause and cause not in said else said
