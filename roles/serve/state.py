"""What a replica is doing, from the look at its nodes, and what serve must do about it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from roles.plan import diff
from roles.plan.plan import Plan, ReplicaPlan
from roles.run.proven import Proven
from roles.run.seen import Seen
from roles.run.units import doing, unit

What = Literal["nothing", "follow", "leave", "start", "restart", "back"]


ANSWERS = Proven()
BEGINS = ("preparing", "starting", "gathering", "waiting", "down", "without-docker")
"""What a unit says of itself while it brings its engine up again."""


@dataclass(frozen=True)
class Decision:
    """What to do with one replica, and why, in words."""

    what: What
    why: str
    changes: tuple[str, ...] = ()
    generation: int = 1
    kept: str = ""
    """Where the nodes keep the plan to go back to."""


def decide(plan: Plan, replica: ReplicaPlan, seen: Mapping[str, Seen], silent: Proven = ANSWERS, rekey: bool = False) -> Decision:
    """`silent` is why a replica that looks well, or says that it serves, does not answer.

    What its own units call running is never restarted for what could not be seen of it from here: they watch it themselves.
    """
    units = [unit(seen[n.name], n.runtime) for n in replica.nodes]
    following = max(u.generation for u in units) + 1
    if blind := [n.name for n in replica.nodes if _blind(seen[n.name], n.runtime)]:
        return Decision("leave", f"cannot be seen on {', '.join(blind)}: systemd or Docker gave no answer, and it served last")
    if not any(u.any for u in units):
        last = next((u.ended for u in units if u.ended), "")
        return Decision("start", f"is not running{f' ({last})' if last else ''}", (), following)
    if silent.refused and not rekey:
        return Decision("leave", f"runs with another key than this machine has ({silent.why})")
    changed = [u for u in units if u.any and u.spec != replica.spec]
    if changed:
        lines = tuple(difference(plan, replica, seen))
        return Decision("restart", "runs another plan", lines or ("the record of what runs is gone",), following)
    down = [u.node for u in units if not (u.active and u.running)]
    if any(u.generation != units[0].generation for u in units):
        return Decision("restart", "its nodes run different generations", (), following)
    head = seen[replica.nodes[0].name]
    health, word = head["health"].first, doing(head)[0]
    if not down and rekey and silent.refused:
        return Decision("restart", "is given this machine's key", ("the API key is another one",), following)
    if not down and silent.why:
        return Decision("leave", f"runs, and {'gave a wrong answer' if silent.refuted else 'cannot be judged from here'}: {silent.why}")
    if not down and (health == "200" or word == "serving"):
        if all(u.proven for u in units):
            return Decision("nothing", "serves")
        if replica.nodes[0].after_ready_argv:  # whether its second step was made cannot be told from outside
            return Decision("restart", "answers, and its second step may be missing", (), following)
        return Decision("follow", "answers, and was not proven yet", (), units[0].generation)
    if not down and not any(u.proven for u in units):
        return Decision("follow", "is starting already", (), units[0].generation)
    if not down and word in BEGINS:
        return Decision("follow", "begins again by itself", (), units[0].generation)
    if not down:
        return Decision("leave", f"runs, and cannot be judged: health is {health or 'silent'}, and its unit says {word or 'nothing'}")
    return Decision("restart", f"does not run on {', '.join(down)}", (), following)


def _blind(seen: Seen, runtime: str) -> bool:
    """Whether systemd or Docker told nothing of an engine that seems to run: that is no end of it."""
    pairs, serves = seen["unit"].pairs, doing(seen)[0] == "serving"
    if not pairs.get("active"):
        return serves or pairs.get("container") == "running"
    return serves and runtime == "docker" and pairs["active"] == "active" and not pairs.get("container")


def agreed(old: Decision, new: Decision) -> bool:
    """Whether what is so now asks for nothing that was not decided, and agreed to, before."""
    return old.what != "back" and new.what in ("nothing", "follow", "leave", old.what) and new.changes in ((), old.changes)


def back(plan: Plan, replica: ReplicaPlan, seen: Mapping[str, Seen]) -> Decision:
    """--data rollback=now: replicas that are not on their proven plan go back to it; if all are, each goes to the one before."""
    units = [unit(seen[n.name], n.runtime) for n in replica.nodes]
    following = max(u.generation for u in units) + 1
    strays = [r.name for r in plan.replicas if not _settled(r, seen)]
    if strays and replica.name not in strays:
        return Decision("nothing", "is on its proven plan", (), following)
    key, where = ("kept", "proven.plan") if strays else ("previous", "previous.plan")
    without = [n.name for n in replica.nodes if not seen[n.name]["unit"].pairs.get(key)]
    if without:
        return Decision("back", f"has no plan to go back to on {', '.join(without)}", (), following)
    return Decision("back", "goes back to the plan it had before", (), following, where)


def _settled(replica: ReplicaPlan, seen: Mapping[str, Seen]) -> bool:
    pairs = [seen[n.name]["unit"].pairs for n in replica.nodes]
    return all(p.get("kept") and p.get("kept") == p.get("recorded_spec") for p in pairs)


def difference(plan: Plan, replica: ReplicaPlan, seen: Mapping[str, Seen]) -> list[str]:
    """What changes between what runs and what is asked for, line by line."""
    for node in replica.nodes:
        old = recorded(seen[node.name])
        if old is not None:
            new = {**plan.data(), "replicas": [replica.data()]}
            try:
                return list(diff.lines(old, json.loads(json.dumps(new))))
            except (KeyError, TypeError, AttributeError):
                continue
    return []


def recorded(seen: Seen) -> dict[str, Any] | None:
    """The plan a node was last started with."""
    try:
        found = json.loads(seen["recorded"].text)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "replicas" in found else None


def departed(plan: Plan, seen: Mapping[str, Seen]) -> dict[str, str]:
    """Nodes the records name and the inventory does not: name and address."""
    now = {n.name for n in plan.nodes}
    gone: dict[str, str] = {}
    for one in seen.values():
        old = recorded(one)
        members = old.get("members", {}) if old else {}
        forgotten = {line.strip() for line in one["forgotten"].lines}
        gone |= {str(k): str(v) for k, v in members.items() if k not in now | forgotten} if isinstance(members, dict) else {}
    return gone
