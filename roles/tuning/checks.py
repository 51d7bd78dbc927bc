"""Host settings: what a node says now against what its hardware's pages ask for. All of it is cured by prepare."""

from __future__ import annotations

from roles.run.checks import Answer, Case, check, good, skip, warn
from roles.tuning import ranges
from roles.tuning import settings as known
from roles.tuning.present import EPHEMERAL, GOVERNOR, LIMITS, RESERVED, present
from roles.tuning.work import governors, limits_of, named, plan_ports, policies_of, wanted_knobs, wrong

PREPARE = "pyinfra INVENTORY deploy/prepare.py"
VENDORS = ("ascend", "nvidia", "amd")


@check("tuning.sysctl", "The kernel's settings say what the vendor's page asks for", why="seed 004: swappiness, numa_balancing, scheduler")
def sysctl(case: Case) -> Answer:
    settings, now = known.of(case.known.hardware.vendor), present(case.seen)
    if not settings.sysctl:
        return None
    wanted = {k: v for k, v in wanted_knobs(settings, now).items() if not k.endswith(GOVERNOR)}
    off = {k: v for k, v in wrong(settings, now).items() if k in wanted}
    if off:
        return warn(", ".join(f"{named(k)} is {now.knobs[k]}" for k in off), ", ".join(f"{named(k)}={v}" for k, v in off.items()), PREPARE)
    refused = [f"{named(k)}={v}" for k, v in sorted(now.refused) if wanted.get(k) == v != now.knobs[k]]
    if refused:
        return skip(f"this kernel does not take {', '.join(refused)}")
    missing = [n for n, knob in settings.sysctl.items() if known.path(n) not in wanted and known.DEBUG + (knob.debugfs or "") not in wanted]
    if missing:
        return skip(f"this kernel has no {', '.join(missing)}; the others are as they should be")
    return good(", ".join(f"{named(k)}={v}" for k, v in wanted.items()))


@check("tuning.governor", "The CPUs' governor is the one for full clock", why="seed 004: governor performance")
def governor(case: Case) -> Answer:
    settings, now = known.of(case.known.hardware.vendor), present(case.seen)
    wanted = settings.governor or settings.advice.governor
    if not wanted:
        return None
    policies = [k for k in now.knobs if k.endswith(GOVERNOR)]
    able = governors(now, wanted)
    if not able:
        return skip(f"no CPU policy offers {wanted}" if policies else "the system has no CPU frequency policies")
    off = [k for k in able if now.knobs[k] != wanted and (k, wanted) not in now.refused]
    if off:
        seen = f"{', '.join(sorted({now.knobs[k] for k in off}))} on {len(off)} of {policies_of(policies)}"
        return warn(seen, wanted, PREPARE if settings.governor else f"cpupower frequency-set -g {wanted}")
    return good(f"{wanted} on {policies_of(able)}")


@check("tuning.limits", "A session may lock memory and open files as an engine needs", vendors=VENDORS)
def limits(case: Case) -> Answer:
    settings, now = known.of(case.known.hardware.vendor), present(case.seen)
    if not settings.limits:
        return None
    if not now.pam:
        return skip("the system has no /etc/security/limits.d")
    able = limits_of(settings, now)
    if not able:
        return skip(f"this machine cannot give a session {_limits(settings.limits)}; asking for it can shut logins out")
    text = now.files.get(LIMITS, "")
    missing = {k: v for k, v in able.items() if f"* - {k} {v}\n" not in text or f"root - {k} {v}\n" not in text}
    if missing:
        return warn(f"{LIMITS} does not set {_limits(missing)}", _limits(missing), PREPARE)
    return good(_limits(able))


def _limits(limits: dict[str, str | int]) -> str:
    return ", ".join(f"{k} {v}" for k, v in limits.items())


@check(
    "tuning.ports",
    "The kernel gives none of the plan's ports to outgoing connections",
    why="the default range 32768-60999 holds HCCL's 60000-60031",
    vendors=VENDORS,
)
def ports(case: Case) -> Answer:
    settings, now = known.of(case.known.hardware.vendor), present(case.seen)
    if not settings.ports or RESERVED not in now.knobs:
        return None
    first, last = (int(word) for word in now.knobs[EPHEMERAL].split())
    mine = plan_ports(case.node)
    open_ = {p for p in mine - ranges.ports(now.reserved) if first <= p <= last}
    if open_:
        seen = f"{ranges.text(open_)} may be given to outgoing connections ({first}-{last}); reserved: {now.reserved or 'none'}"
        return warn(seen, f"net.ipv4.ip_local_reserved_ports with {ranges.text(open_)}", PREPARE)
    return good(f"{ranges.text(mine)} are safe")
