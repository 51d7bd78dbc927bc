"""Before a replica that serves is stopped: its running requests may end, for a while."""

from __future__ import annotations

import time

import gevent
import httpx2

from roles.plan.plan import ReplicaPlan
from roles.run import api, key, metrics
from roles.run.follow import duration
from roles.run.progress import Progress
from roles.run.run import Run

QUIET = 2
"""Looks in a row without a request; one alone may fall between two of a client's."""


def drain(run: Run, replica: ReplicaPlan, progress: Progress) -> str:
    """Waits until no request is left or time is up; says what was cut off. The engine itself stops taking them when it gets TERM."""
    limit = int(run.plan.verify["timeouts"]["drain"])
    node = replica.nodes[0].name
    if not limit or run.seen[node]["health"].first != "200":
        return ""
    end, quiet, busy = time.monotonic() + limit, 0, 0
    with run.stage("drain", node, replica.name), api.opened(run, replica) as way:
        while not run.cancel.is_set():
            found = _busy(run, way)
            if found is None:
                progress.say(node, "running requests cannot be counted (no metrics): they are not waited for")
                return ""
            busy, quiet = found, 0 if found else quiet + 1
            if quiet >= QUIET:
                return ""
            if time.monotonic() > end:
                break
            if busy:
                progress.show(node, f"waits for {busy} requests")
            gevent.sleep(0.5)
    if run.cancel.is_set():
        return ""
    cut = f"{busy} requests were still at work after {duration(limit)} (timeouts.drain) and are cut off"
    progress.say(node, cut)
    return cut


def _busy(run: Run, way: api.Api) -> int | None:
    secret = key.known(run)
    try:
        answer = way.client.get(
            way.url + run.plan.verify["paths"]["metrics"], headers={"Authorization": f"Bearer {secret}"} if secret else {}, timeout=10
        )
    except httpx2.HTTPError:
        return None
    return metrics.busy(answer.text) if answer.status_code == 200 else None
