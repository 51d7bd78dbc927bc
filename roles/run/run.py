"""One invocation of a verb: what is known, what was found, what happened. Roles read and fill it; they never call each other."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gevent.event import AsyncResult, Event
from pyinfra.api.host import Host
from pyinfra.api.state import State

from roles.plan.finding import Finding
from roles.plan.node import NodePlan
from roles.plan.plan import Plan, ReplicaPlan
from roles.run import about, remote
from roles.run.folder import Folder, now
from roles.run.redact import redact
from roles.run.seen import Seen

T = TypeVar("T")


@dataclass
class Run:
    """Shared by all hosts of one verb."""

    verb: str
    plan: Plan
    options: Mapping[str, Any]
    state: State
    hosts: dict[str, Host]
    """Reached, and within --limit."""
    missing: dict[str, str]
    """Nodes of the plan that are not among `hosts`, and why."""
    folder: Folder
    command: str = "pyinfra INVENTORY deploy/"
    """How the user runs verbs, for sentences that say what to run next."""
    dry: bool = False
    yes: bool = False
    seen: dict[str, Seen] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    stages: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    """What one role learns for the next, by a name both know."""
    cancel: Event = field(default_factory=Event)
    undo: dict[str, Callable[[], None]] = field(default_factory=dict)
    """What an interrupt must stop, by node: only what this run started."""
    on_failure: Callable[[Run], None] | None = None
    """Last words of a run that fails, said before its report is written."""
    closed: bool = False
    began: str = field(default_factory=now)
    _done: dict[str, AsyncResult] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.secrets = lambda: about.secrets(self.plan)

    def once(self, key: str, work: Callable[[], T]) -> T:
        """Done by whichever host comes first; the others wait for it and get its result."""
        result = self._done.get(key)
        if result is not None:
            value: T = result.get()
            return value
        result = self._done[key] = AsyncResult()
        try:
            value = work()
        except BaseException as e:
            result.set_exception(e if isinstance(e, Exception) else RuntimeError(f"{key} ended"))
            raise
        result.set(value)
        return value

    def end(self, work: Callable[[Run], int]) -> None:
        """A verb that only looks: the first host does all of it, and the process ends here."""

        def all_of_it() -> None:
            code = work(self)
            self.close(code)
            sys.exit(code)

        self.once("end", all_of_it)

    def node(self, host: Host | str) -> tuple[ReplicaPlan, NodePlan]:
        return self.plan.node(host if isinstance(host, str) else host.name)

    def call(self, host: Host, name: str, text: str, **more: Any) -> remote.Done:
        """A script on a host, ended when the run is cancelled; its lines are kept in the node's log."""
        more.setdefault("cancel", self.cancel)
        done = remote.run(self.state, host, f"bringup-{name}", text, **more)
        self.folder.keep(host.name, "log", "".join((f"--- {now()} {name}: code {done.code}\n", *remote.numbered(done.lines))))
        return done

    def fail(self, node: str, stage: str, why: str, fix: str = "") -> None:
        """Something asked for is not so. The first one counts; all are kept, without what an engine's words give away."""
        why = self.masked(why)
        self.failures.append({"node": node, "stage": stage, "why": why, "fix": fix})
        self.folder.event("failure", node=node, stage=stage, why=why, fix=fix)

    def masked(self, text: str) -> str:
        """Without the secrets this run knows, and without what looks like one."""
        return redact(text, self.folder.secrets())

    @contextmanager
    def stage(self, name: str, node: str = "", replica: str = "") -> Iterator[dict[str, Any]]:
        """A named step with its start and end, in the report and in events.jsonl."""
        entry: dict[str, Any] = {"stage": name, "node": node, "replica": replica, "start": now(), "end": None, "ok": None}
        self.stages.append(entry)
        self.folder.event("start", stage=name, node=node, replica=replica)
        try:
            yield entry
            entry["ok"] = entry["ok"] is not False
        except BaseException:
            entry["ok"] = False
            raise
        finally:
            entry["end"] = now()
            self.folder.event("end", stage=name, node=node, replica=replica, ok=entry["ok"])

    def report(self, code: int) -> dict[str, Any]:
        return {
            "ok": code == 0,
            "verb": self.verb,
            "cluster": self.plan.cluster,
            "recipe": self.plan.recipe,
            "plan_hash": self.plan.hash,
            "dry": self.dry,
            "exit": code,
            "began": self.began,
            "ended": now(),
            "command": about.typed(sys.argv),
            "versions": about.versions(),
            "nodes": [
                {"name": n.name, "address": n.address, "rank": n.rank, "replica": r.name, "reached": n.name in self.hosts,
                 **({"why": self.missing[n.name]} if n.name in self.missing else {})}
                for r in self.plan.replicas
                for n in r.nodes
            ],
            "findings": [f.data() for f in self.findings],
            "stages": self.stages,
            "failures": self.failures,
            "facts": {k: v for k, v in self.facts.items() if k.startswith("report.")},
            "warnings": list(self.plan.warnings),
        }  # fmt: skip

    def close(self, code: int) -> None:
        """Write the report once, whatever happened; a run that failed, and was not interrupted, has last words before it."""
        if not self.closed:
            self.closed = True
            if code == 1 and not self.cancel.is_set():
                self._last_words()
            secrets = about.secrets(self.plan)
            self.folder.report(about.without(self.report(code), secrets))
            self._page(secrets)

    def _last_words(self) -> None:
        """What goes wrong with them is said, and the report is written all the same."""
        try:
            if self.on_failure is not None:
                self.on_failure(self)
        except Exception as e:
            print(f"the last words of this run could not be said: {type(e).__name__}: {e}", file=sys.stderr, flush=True)

    def _page(self, secrets: list[str]) -> None:
        """report.html for people. What goes wrong with it is said, and changes nothing of what the verb did."""
        try:
            from roles.run.report import page  # only now is it wanted, and its plotting library with it

            print(f"report: {page.write(self.folder.path, secrets)}", file=sys.stderr, flush=True)
        except Exception as e:
            print(f"report.html could not be made, report.json has all of it: {type(e).__name__}: {e}", file=sys.stderr, flush=True)
