"""Which of the plan's benchmarks a run takes; what cannot run is a sentence before anything is touched. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from roles.plan.errors import PlanError, near, shown
from roles.plan.plan import Plan


def chosen(plan: Plan, options: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """Benchmarks of all replicas in the recipe's order, and a sentence for each that was left out unasked."""
    wanted = _names(plan, options.get("scenario"))
    asked, swept = "scenario" in options, "sweep" in options
    taken, left = [], dict[str, str]()
    for b in plan.bench:
        if b["name"] not in wanted:
            continue
        why = b["lacks"] or ("it has no number of requests at the same time to sweep" if swept and b["tool"] == "script" else "")
        if why:
            left[b["name"]] = f"{b['name']}: {why}"
        else:
            taken.append(b)
    if left and (asked or not taken):
        raise PlanError(*left.values())
    return taken, list(left.values())


def _names(plan: Plan, text: str | None) -> list[str]:
    known = list(dict.fromkeys(b["name"] for b in plan.bench))
    if not known:
        raise PlanError(f"recipe {plan.recipe} has no benchmark: its page names none")
    if text is None:
        return known
    names = [n.strip() for n in text.split(",")]
    strange = [n for n in names if n not in known]
    if strange:
        raise PlanError(
            f"--data scenario: found {shown(strange[0])}{near(strange[0], known)}, expected benchmarks of {plan.recipe}: {', '.join(known)}"
        )
    return names
