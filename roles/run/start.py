"""How every verb begins: the plan, the options, who was reached. A mistake ends here with a sentence, nothing touched."""

from __future__ import annotations

import shlex
import sys
from typing import NoReturn

from pyinfra.api.state import State
from pyinfra.context import ctx_state

from roles.plan.errors import PlanError
from roles.plan.plan import make
from roles.run import checks, guard, key, scenarios, terminal, tls
from roles.run.folder import Folder
from roles.run.options import CHANGING, split
from roles.run.run import Run
from roles.run.source import changes, from_pyinfra

_RUNS: dict[tuple[int, str], Run] = {}
_BEGUN: set[tuple[int, str]] = set()


def verb(name: str) -> Run:
    """The run of this verb: made by the first host that comes here, shared by all."""
    now: State = ctx_state.get()  # type: ignore[no-untyped-call]
    key = (id(now), name)
    if key not in _RUNS:  # nothing in _begin yields to another host
        if key in _BEGUN:  # refused, and said by the host before
            sys.exit(2)
        _BEGUN.add(key)
        _RUNS[key] = _begin(now, name)
    return _RUNS[key]


def _begin(now: State, name: str) -> Run:
    terminal.ready()
    try:
        inventory = now.inventory
        options, keys = split(name, changes(inventory))
        plan = make(from_pyinfra(inventory), keys, where="--data")
        checks.skipped(options.get("skip"))
        key.given(plan)
        tls.given(plan)
        if name == "bench":
            scenarios.chosen(plan, options)
    except PlanError as e:
        usage(*e.problems)
    dry, yes = "--dry" in sys.argv, not now.check_for_changes
    if name in CHANGING and not (dry or yes or sys.stdin.isatty()):
        usage(f"{name} changes nodes and there is no terminal to ask at: add -y to go on, or --dry to see what it would do")
    reached = {h.name: h for h in now.inventory.get_active_hosts()}
    missing = {
        n.name: "not reached by SSH" if now.is_host_in_limit(now.inventory.get_host(n.name)) else "left out by --limit"
        for n in plan.nodes
        if n.name not in reached
    }
    hosts = {n.name: reached[n.name] for n in plan.nodes if n.name in reached}
    folder = Folder(plan.cluster, name, options.get("runs"))
    run = Run(name, plan, options, now, hosts, missing, folder, _command(name), dry, yes)
    try:
        folder.plan(plan.data())
    except OSError as e:
        usage(f"{folder.unwritable(e)}; nothing was changed; name another folder: --data runs=DIR")
    guard.watch(run)
    run.folder.event("run", verb=name, plan_hash=plan.hash, nodes=list(hosts), missing=missing, dry=dry)
    return run


def _command(verb: str) -> str:
    """`pyinfra inventories/a2.py deploy/`, as it was typed."""
    for before, word in zip(sys.argv, sys.argv[1:], strict=False):
        if word.endswith(f"{verb}.py") and before.endswith(".py"):
            return f"pyinfra {shlex.quote(before)} {shlex.quote(word[: -len(f'{verb}.py')])}"
    return "pyinfra INVENTORY deploy/"


def usage(*sentences: str) -> NoReturn:
    """Exit status 2: one sentence per mistake."""
    for sentence in sentences:
        print(sentence, file=sys.stderr, flush=True)
    sys.exit(2)
