"""What tuning a node would change, and what putting it back would: decided from the look at the node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from roles.plan.node import NodePlan
from roles.run.change import Change, diff
from roles.run.checks import Case
from roles.tuning import ranges, texts
from roles.tuning import settings as known
from roles.tuning.present import GOVERNOR, LIMITS, RESERVED, SCRIPT, SYSCTL, UNIT, Present, present
from roles.tuning.settings import Settings


@dataclass(frozen=True)
class Work:
    """What there is to do on one node; empty where all is as it should be."""

    knobs: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    record: Mapping[str, str] = field(default_factory=dict)
    """What `before` does not hold yet."""
    enable: bool = False
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Undo:
    """What putting a node back takes."""

    knobs: Mapping[str, str] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()


def wanted_knobs(settings: Settings, now: Present) -> dict[str, str]:
    """Every knob this node has, and what it should say; ports apart."""
    found: dict[str, str] = {}
    for name, knob in settings.sysctl.items():
        places = [known.path(name), *([known.DEBUG + knob.debugfs] if knob.debugfs else [])]
        found.update({place: str(knob.value) for place in [p for p in places if p in now.knobs][:1]})
    if settings.governor:
        found.update(dict.fromkeys(governors(now, settings.governor), settings.governor))
    return found


def governors(now: Present, wanted: str) -> list[str]:
    """CPU policies that offer this governor."""
    return [k for k in now.knobs if k.endswith(GOVERNOR) and wanted in now.offered.get(k, {wanted})]


def plan_ports(node: NodePlan) -> frozenset[int]:
    """Every port of the plan on this node, HCCL's whole range with it."""
    return frozenset(p for value in node.ports.values() for p in ranges.ports(str(value)))


def wrong(settings: Settings, now: Present) -> dict[str, str]:
    """Knobs that do not say what they should, without those the kernel has refused."""
    pairs = wanted_knobs(settings, now).items()
    return {k: v for k, v in pairs if now.knobs[k] != v and (k, v) not in now.refused}


def limits_of(settings: Settings, now: Present) -> dict[str, str | int]:
    """Limits this machine can give: on some systems a file that asks for more shuts logins out."""
    return {k: v for k, v in settings.limits.items() if k in now.may} if now.pam else {}


def _reserve(settings: Settings, now: Present, node: NodePlan) -> tuple[str | None, str]:
    """What the kernel should reserve now (nothing where that is so), and what our file says."""
    ours = plan_ports(node) if settings.ports and RESERVED in now.knobs else frozenset()
    live, kept = ranges.ports(now.reserved), texts.reserved(now.files.get(SYSCTL, ""))
    if not ours:
        return None, kept
    line = kept if ours <= ranges.ports(kept) else ranges.text(live | ranges.ports(kept) | ours)
    return (None if ours <= live else ranges.text(live | ours)), line


def _files(settings: Settings, now: Present, reserved: str) -> dict[str, str]:
    knobs = wanted_knobs(settings, now)
    chosen = {name: knob.value for name, knob in settings.sysctl.items() if known.path(name) in now.knobs}
    found: dict[str, str] = {}
    if chosen or reserved:
        found[SYSCTL] = texts.sysctl(chosen, reserved)
    if limits := limits_of(settings, now):
        found[LIMITS] = texts.limits(limits)
    late = [(k, v) for k, v in knobs.items() if k.startswith(known.DEBUG)]
    if now.systemd and (late or reserved or settings.governor):
        found[SCRIPT] = texts.script(late, settings.governor, bool(reserved))
        found[UNIT] = texts.UNIT
    return found


def tuning(case: Case) -> Work:
    """Everything that differs from what the node's hardware asks for."""
    settings, now = known.of(case.known.hardware.vendor), present(case.seen)
    live, line = _reserve(settings, now, case.node)
    wanted = _files(settings, now, line)
    knobs = {**wrong(settings, now), **({RESERVED: live} if live else {})}
    files = {path: text for path, text in wanted.items() if now.files.get(path) != text}
    managed = [*wanted_knobs(settings, now), *([RESERVED] if line else [])]
    work = Work(
        knobs=knobs,
        files=files,
        record={k: now.knobs[k] for k in managed if k not in now.before},
        enable=UNIT in wanted and not now.boot,
    )
    changes = tuple(_changes(work, now))
    return Work(work.knobs, work.files, work.record, work.enable, changes) if changes else Work()


def undoing(case: Case) -> Undo:
    """Recorded values that are ours now go back; what somebody set since then stays."""
    now = present(case.seen)
    if not now.recorded and not now.files and not now.boot:
        return Undo()
    ours = {k: v for settings in known.every() for k, v in wanted_knobs(settings, now).items()}
    knobs = {k: v for k, v in now.before.items() if k in ours and now.knobs.get(k) == ours[k] != v}
    if RESERVED in now.before:
        before = ranges.ports(now.before[RESERVED])
        added = (ranges.ports(texts.reserved(now.files.get(SYSCTL, ""))) or plan_ports(case.node)) - before
        live = ranges.ports(now.reserved)
        if live & added:
            knobs[RESERVED] = ranges.text(live - added)
    kept = [k for k, v in now.before.items() if k != RESERVED and k not in knobs and now.knobs.get(k, v) not in (v, ours.get(k, v))]
    return Undo(knobs, tuple(_undo_changes(knobs, kept, now)))


def _changes(work: Work, now: Present) -> Iterator[Change]:
    yield from _settings_changes(work.knobs, now, "set")
    for path, text in work.files.items():
        old = now.files.get(path)
        yield Change(f"{'write' if old is None else 'change'} {path}", diff(path, old or "", text))
    if work.enable:
        yield Change("run our settings at every boot: enable bringup-tuning.service")


def _settings_changes(knobs: Mapping[str, str], now: Present, verb: str) -> Iterator[Change]:
    """One line per setting; the policies of hundreds of CPUs are one."""
    policies = {k: v for k, v in knobs.items() if k.endswith(GOVERNOR)}
    for path, value in knobs.items():
        if path not in policies:
            yield Change(f"{verb} {named(path)} to {value or 'nothing'} (now {now.knobs[path] or 'nothing'})")
    for value in sorted(set(policies.values())):
        mine = [k for k, v in policies.items() if v == value]
        yield Change(f"{verb} the governor of {policies_of(mine)} to {value} (now {', '.join(sorted({now.knobs[k] for k in mine}))})")


def _undo_changes(knobs: Mapping[str, str], kept: list[str], now: Present) -> Iterator[Change]:
    yield from _settings_changes(knobs, now, "put back")
    for path in kept:
        yield Change(f"leave {named(path)} at {now.knobs[path]}: somebody set it since then (before us it was {now.before[path]})")
    for path, text in now.files.items():
        yield Change(f"remove {path}", diff(path, text, ""))
    yield Change("remove the record of what was there before")


def named(path: str) -> str:
    """A knob as people call it: vm.swappiness."""
    return path.removeprefix(known.PROC).replace("/", ".") if path.startswith(known.PROC) else path


def policies_of(paths: list[str]) -> str:
    return f"{len(paths)} CPU {'policy' if len(paths) == 1 else 'policies'}"
