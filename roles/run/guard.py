"""The rules of a run: Ctrl-C stops what this run started, one failing replica does not stop another, the report is always written."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from types import FrameType
from typing import Any

import gevent
from pyinfra.api.state import BaseStateCallback, State

from roles.run import lock, remote, terminal
from roles.run.run import Run

GRACE = 20.0
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


def watch(run: Run) -> None:
    """Set the rules for this run; called once, while pyinfra prepares."""
    os.environ["PYINFRA_PROGRESS"] = "off"
    for host in run.hosts.values():
        remote.nodelay(host)
    run.state.should_raise_failed_hosts = lambda _: False
    run.state.add_callback_handler(_noting(run))  # type: ignore[no-untyped-call]
    interrupts = [0]

    def on_signal(number: int, frame: FrameType | None) -> None:
        interrupts[0] += 1
        code = CODES[signal.Signals(number)]
        if interrupts[0] > 1:  # at once: nothing is asked of any node any more
            _left_running(run)
            _record(run, code)
            terminal.BLOCK.end()
            os._exit(code)
        run.facts["interrupt"] = gevent.spawn(_interrupted, run, code)

    for number in CODES:
        signal.signal(number, on_signal)
    atexit.register(_close, run)


def _interrupted(run: Run, code: int) -> None:
    print("\ninterrupted: stopping what this run started (20 s at most; again: leave at once)", file=sys.stderr, flush=True)
    run.fail("", "interrupt", "interrupted by the user" if code == 130 else "ended by a signal")
    run.cancel.set()
    jobs = [gevent.spawn(undo) for undo in run.undo.values()]
    gevent.joinall(jobs, timeout=GRACE)
    if not all(job.ready() for job in jobs):
        _left_running(run)
    _leave(run, code)


def _left_running(run: Run) -> None:
    if run.undo:
        print(f"left as it is on {', '.join(sorted(run.undo))}; see it with the status verb, end it with stop", file=sys.stderr, flush=True)


def _leave(run: Run, code: int) -> None:
    lock.release(run)
    _record(run, code)
    if (report := run.folder.path / "report.json").exists():
        print(f"report: {report}", file=sys.stderr, flush=True)
    terminal.BLOCK.end()
    os._exit(code)


def _close(run: Run) -> None:
    """pyinfra ends the process by itself; what it knows about failed hosts is its exit status."""
    if "interrupt" in run.facts:
        run.facts["interrupt"].join()  # it stops what runs, and leaves with its own exit status
    lock.release(run)  # pyinfra's SSH connections are still open here
    _record(run, 1 if run.failures or run.state.failed_hosts else 0)


def _record(run: Run, code: int) -> None:
    """A report that cannot be written is said in one line; the exit status stays what it is."""
    try:
        run.close(code)
    except Exception as e:
        print(f"the report in {run.folder.parent} could not be written: {e}", file=sys.stderr, flush=True)


def _noting(run: Run) -> BaseStateCallback:
    """Operations in the events; pyinfra drops failed hosts from what follows by itself."""

    class Noting(BaseStateCallback):
        @staticmethod
        def operation_end(state: State, op_hash: Any) -> None:
            failed = sorted(h.name for h in state.failed_hosts if h.name in run.hosts)
            run.folder.event("operation", names=sorted(state.get_op_meta(op_hash).names), failed=failed)

    return Noting()
