"""The register of checks: pure functions from what was seen to what is wrong, each with a stable id."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import roles
from roles.plan.errors import PlanError, near
from roles.plan.finding import Finding
from roles.plan.node import NodePlan
from roles.plan.plan import Plan, ReplicaPlan
from roles.plan.resolve import Resolved
from roles.run.seen import Seen


@dataclass(frozen=True)
class Say:
    """A check's answer, before it is known where it was asked."""

    level: str
    observed: str
    expected: str = ""
    fix: str = ""


def fail(observed: str, expected: str, fix: str) -> Say:
    return Say("fail", observed, expected, fix)


def warn(observed: str, expected: str, fix: str) -> Say:
    return Say("warn", observed, expected, fix)


def skip(why: str) -> Say:
    return Say("skip", why)


def good(observed: str) -> Say:
    return Say("pass", observed)


@dataclass(frozen=True)
class Case:
    """One node of the plan, what was seen on it, and what was seen on all others."""

    plan: Plan
    replica: ReplicaPlan
    node: NodePlan
    seen: Seen
    all: Mapping[str, Seen] = field(default_factory=dict)

    @property
    def known(self) -> Resolved:
        """What the plan was made from: recipe, hardware, model, keys."""
        return self.plan.known

    @property
    def peers(self) -> list[NodePlan]:
        """The other nodes of this replica."""
        return [n for n in self.replica.nodes if n.name != self.node.name]

    @property
    def head(self) -> NodePlan:
        return self.replica.nodes[0]

    def of(self, node: NodePlan) -> Seen:
        return self.all.get(node.name) or Seen(node.name, problem="not looked at")


Answer = Say | Iterable[Say] | None
Test = Callable[[Case], Answer]


@dataclass(frozen=True)
class Check:
    """One question. `asks` is its title, `fix` its general remedy; both go into docs/checks.md."""

    id: str
    asks: str
    test: Test
    why: str = ""
    vendors: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = ()
    nodes: int = 1

    def applies(self, case: Case) -> bool:
        return (
            (not self.vendors or case.known.hardware.vendor in self.vendors)
            and (not self.runtimes or case.known.runtime in self.runtimes)
            and len(case.replica.nodes) >= self.nodes
        )


_CHECKS: dict[str, Check] = {}


def check(
    id: str, asks: str, *, why: str = "", vendors: tuple[str, ...] = (), runtimes: tuple[str, ...] = (), nodes: int = 1
) -> Callable[[Test], Test]:
    """Register a check. It may yield several answers; none at all means: nothing to say."""

    def register(test: Test) -> Test:
        assert id not in _CHECKS or _CHECKS[id].test.__module__ == test.__module__, f"check {id} is there twice"
        _CHECKS[id] = Check(id, asks, test, why, vendors, runtimes, nodes)
        return test

    return register


def every() -> dict[str, Check]:
    """All checks of all roles: a role's checks stand in its module or package `checks`."""
    for role in pkgutil.iter_modules(roles.__path__):
        for name in (f"roles.{role.name}.checks",):
            if importlib.util.find_spec(name) is None:
                continue
            module = importlib.import_module(name)
            for part in pkgutil.iter_modules(getattr(module, "__path__", [])):
                importlib.import_module(f"{name}.{part.name}")
    return dict(sorted(_CHECKS.items()))


def skipped(text: object) -> frozenset[str]:
    """`--data skip=a.b,c.d`; an unknown id is refused."""
    ids = [w for w in str(text or "").split(",") if w]
    known = every()
    unknown = [i for i in ids if i not in known]
    if unknown:
        raise PlanError(*(f'--data skip: "{i}" is no check{near(i, known)}; docs/checks.md lists them all' for i in unknown))
    return frozenset(ids)


def judge(plan: Plan, seen: Mapping[str, Seen], skips: Collection[str] = ()) -> list[Finding]:
    """Every check on every node that was looked at, all findings at once."""
    return [f for replica in plan.replicas for node in replica.nodes if node.name in seen for f in _node(plan, replica, node, seen, skips)]


def _node(plan: Plan, replica: ReplicaPlan, node: NodePlan, seen: Mapping[str, Seen], skips: Collection[str]) -> Iterator[Finding]:
    case = Case(plan, replica, node, seen[node.name], seen)
    unprivileged = case.seen["host"].pairs.get("uid", "0") != "0"
    for one in every().values():
        if not one.applies(case) or (case.seen.problem and one.id != "node.reached"):
            continue
        if one.id in skips:
            yield Finding(node.name, one.id, "skip", "skipped as asked")
            continue
        if unprivileged and one.id.partition(".")[0] not in ("node", "network"):
            yield Finding(node.name, one.id, "skip", "needs root; see node.root")
            continue
        for say in _answers(one, case):
            yield Finding(node.name, one.id, say.level, say.observed, say.expected, say.fix)  # type: ignore[arg-type]


def _answers(one: Check, case: Case) -> list[Say]:
    """A check that cannot read what it was shown says so, with the line it stumbled on; it never ends the run."""
    try:
        answer = one.test(case)
        return [] if answer is None else [answer] if isinstance(answer, Say) else list(answer)
    except (ValueError, LookupError, ArithmeticError, TypeError, AttributeError) as e:
        seen = f"the node's answer could not be read ({type(e).__name__}: {e})"
        return [fail(seen, "a known format", "see the node's probe in the run folder")]
