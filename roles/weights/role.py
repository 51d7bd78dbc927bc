"""The weights, complete on every node: what is there stays, what is missing comes once from outside and then from node to node."""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra.api.host import Host

from roles.run import change
from roles.run.change import Change
from roles.run.checks import Case
from roles.run.run import Run
from roles.weights.errand import errands
from roles.weights.fetch import carry


def fetch(run: Run) -> None:
    """Called on every host while pyinfra prepares."""
    change.step(run, "weights", wanted, _fetch)


def wanted(case: Case) -> list[Change]:
    """This node's part, by folder; nothing where it has all of it, with its hashes on record."""
    if case.known.hardware.system != "linux":
        return []
    found = ((errand, errand.jobs.get(case.node.name)) for errand in errands(case.plan, case.all).values())
    return [Change(job.words, data=errand) for errand, job in found if job]


def _fetch(run: Run, host: Host, case: Case, changes: Sequence[Change]) -> str:
    """The first host does it for all of them: they need each other, whatever pyinfra's --parallel is."""
    for one in changes:
        why = run.once(f"weights {one.data.folder}", lambda errand=one.data: carry(run, errand)).get(host.name)  # type: ignore[misc]
        if why:
            return str(why)
    return ""
