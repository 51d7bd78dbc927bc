"""Tuning: what the hardware's pages ask of the host, set once and kept over reboots; and the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pyinfra.api.host import Host

from roles.run import change, remote
from roles.run.change import Change
from roles.run.checks import Case
from roles.run.run import Run
from roles.tuning.present import LIMITS, RECORD, SCRIPT, SYSCTL, UNIT
from roles.tuning.work import named, tuning, undoing

HERE = Path(__file__).parent
PLACES = {"SYSCTL_FILE": SYSCTL, "SCRIPT_FILE": SCRIPT, "UNIT_FILE": UNIT, "LIMITS_FILE": LIMITS, "RECORD_FOLDER": RECORD}
LIMIT = 60


def tune(run: Run) -> None:
    """The host settings, on every node."""
    change.step(run, "host settings", lambda case: tuning(case).changes, _tune)


def revert(run: Run) -> None:
    """What was recorded before the first tuning goes back, and our files go."""
    change.step(run, "host settings back", lambda case: undoing(case).changes, _revert)


def _tune(run: Run, host: Host, case: Case, changes: Sequence[Change]) -> str:
    work = tuning(case)
    texts = {"SYSCTL": SYSCTL, "SCRIPT": SCRIPT, "UNIT": UNIT, "LIMITS": LIMITS}
    values = {
        **{name: work.files.get(path, "") for name, path in texts.items()},
        "KNOBS": lines(work.knobs),
        "RECORD": lines(work.record),
        "BOOT": "yes" if work.enable or {SCRIPT, UNIT} & work.files.keys() else "",
    }
    return _done(run, host, "tune", "apply.sh", values)


def _revert(run: Run, host: Host, case: Case, changes: Sequence[Change]) -> str:
    return _done(run, host, "untune", "revert.sh", {"KNOBS": lines(undoing(case).knobs)})


def _done(run: Run, host: Host, name: str, file: str, values: Mapping[str, str]) -> str:
    """A setting the kernel refuses is said, and is no reason to stop."""
    done = run.call(host, name, remote.script(HERE / file, values={**PLACES, **values}), limit=LIMIT)
    for line in done.lines:
        word, _, rest = line.partition(" ")
        if word == "refused":
            knob, _, value = rest.partition("=")
            change.tell(run, host, f"this kernel does not take {named(knob)}={value}; left as it is")
        elif word == "note":
            change.tell(run, host, rest)
    return "" if done.ok else f"the settings could not be written: {done.said}"


def lines(pairs: Mapping[str, str]) -> str:
    return "".join(f"{k}={v}\n" for k, v in pairs.items())
