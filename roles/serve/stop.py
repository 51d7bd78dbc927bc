"""The end of a replica's engine on its nodes, and what its log said before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from roles.plan.node import NodePlan
from roles.plan.plan import ReplicaPlan
from roles.run import remote
from roles.run.run import Run
from roles.serve import unit

HERE = Path(__file__).parent
STOP, LAST = HERE / "stop.sh", HERE / "last.sh"


def stop(run: Run, replica: ReplicaPlan, node: NodePlan) -> str:
    """End one node's unit and container; nothing, or why it still runs."""
    if node.name not in run.hosts:
        return "not reached"
    if not remote.answers(run.state, run.hosts[node.name]):
        run.folder.event("stopped", node=node.name, replica=replica.name, ok=False)
        return "it does not answer over SSH; its unit ends by itself when it finds rank 0 or its time gone"
    values = unit.values(run.plan, replica, node)
    limit = float(run.plan.verify["timeouts"]["stop"]) + 60
    done = run.call(run.hosts[node.name], "stop", remote.script(STOP, values=values), limit=limit, cancel=None)
    run.folder.event("stopped", node=node.name, replica=replica.name, ok=done.ok)
    return "" if done.ok else done.said


def kept(run: Run, replica: ReplicaPlan) -> None:
    """The end of every rank's log, in the run folder before a restart takes it away."""

    def one(node: NodePlan) -> None:
        text = remote.script(LAST, values=unit.values(run.plan, replica, node))
        done = remote.run(run.state, run.hosts[node.name], "bringup-last", text, limit=60, cancel=run.cancel)
        run.folder.keep(node.name, "before.log", "".join(remote.numbered(done.lines)), fresh=True)

    remote.together({n.name: (lambda n=n: one(n)) for n in replica.nodes if n.name in run.hosts})  # type: ignore[misc]


def stop_all(run: Run, replica: ReplicaPlan, say: Callable[[str, str], None] | None = None) -> dict[str, str]:
    """All nodes at once: clients see rank 0 go, and no rank waits for another. What still runs, by node."""
    tasks = {n.name: (lambda n=n: stop(run, replica, n)) for n in replica.nodes if n.name in run.hosts}
    left: dict[str, str] = remote.together(tasks)
    for name, why in left.items():
        if say:
            say(name, f"still runs: {why}" if why else "stopped")
    for name in [n for n, why in left.items() if not why]:
        run.undo.pop(name, None)
    return {n: why for n, why in left.items() if why}
