"""The image: on all nodes at once, with its progress; then proof that a replica's nodes have the same one."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

import gevent
from pyinfra.api.command import FunctionCommand
from pyinfra.api.host import Host
from pyinfra.api.operation import operation
from pyinfra.api.state import State, StateStage
from pyinfra.context import ctx_host

from roles.image.present import Image, different, read
from roles.image.progress import Progress
from roles.image.why import why
from roles.image.work import decide, stays, work
from roles.run import change, remote
from roles.run.change import Change
from roles.run.checks import Case
from roles.run.run import Run

SCRIPT = Path(__file__).with_name("pull.sh")
IMAGES = "image.images"
IDS = "image.id"
"""The facts of a run: by node, the image it has, and that image's id."""


def pull(run: Run) -> None:
    """The plan's image on every node, the same on all nodes of a replica."""
    host: Host = ctx_host.get()  # type: ignore[no-untyped-call]
    here = stays(change.case(run, host))
    if here:
        _note(run, host.name, here)
    change.step(run, "image", decide, _pull)
    _proven(run=run, name="image: the same on all nodes")


def _note(run: Run, node: str, found: Image) -> None:
    run.facts.setdefault(IMAGES, {})[node] = found
    run.facts.setdefault(IDS, {})[node] = found.id


def _pull(run: Run, host: Host, case: Case, changes: Sequence[Change]) -> str:
    todo = work(case)
    text = remote.script(SCRIPT, values={"IMAGE": case.node.image or "", "ARCHIVE": todo.archive, "SOURCES": " ".join(todo.sources)})
    progress: Progress = run.facts.setdefault("image.progress", Progress())
    progress.start(host.name, f"loading {todo.archive}" if todo.archive else "asking the registry")
    ticking = gevent.spawn(_ticking, progress)
    try:
        done = run.call(host, "image", text, on_line=lambda line, _: progress.line(host.name, line), tied=True)
    finally:
        ticking.kill()
        progress.end(host.name)
    line = next((text[6:] for text in done.lines if text.startswith("image sha256:")), "")
    if not done.ok or not line:
        return why(done.lines) if done.code > 0 else f"{case.node.image} could not be fetched: {done.said}"
    found = read(line)
    _note(run, host.name, found)
    machine = next((text[5:] for text in done.lines if text.startswith("arch ")), found.arch)
    return "" if found.arch == machine else f"{case.node.image} is made for {found.arch}, this node is {machine}"


def _ticking(progress: Progress) -> None:
    while True:
        gevent.sleep(1)
        progress.tick()


@operation(is_idempotent=False)
def _proven(run: Run) -> Generator[FunctionCommand, None, None]:
    """Yields nothing where all is well: a proof is no change."""
    host: Host = ctx_host.get()  # type: ignore[no-untyped-call]
    if run.state.current_stage is StateStage.Execute and (reason := differing(run, host.name)):
        yield FunctionCommand(_refuse, (run, reason), {})


def differing(run: Run, name: str) -> str:
    """Which two nodes of this node's replica ended up with different images."""
    replica, node = run.node(name)
    have = run.facts.get(IMAGES, {})
    pair = different([(n.name, have[n.name]) for n in replica.nodes if n.name in have])
    if not pair:
        return ""
    (a, one), (b, other) = pair
    return f"{node.image} is {one.short} on {a} and {other.short} on {b}; pin it by digest in the inventory: image@sha256:..."


def _refuse(state: State, host: Host, run: Run, reason: str) -> bool:
    run.fail(host.name, "image", reason)
    return change.refuse(host, f"image: {reason}")
