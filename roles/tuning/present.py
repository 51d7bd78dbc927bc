"""What a node's knobs, files and record say, read from its probe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from roles.plan.container import CONFIG, STATE
from roles.run.seen import Section, Seen

SYSCTL = "/etc/sysctl.d/90-bringup.conf"
LIMITS = "/etc/security/limits.d/90-bringup.conf"
SCRIPT = f"{CONFIG}/tuning.sh"
UNIT = "/etc/systemd/system/bringup-tuning.service"
RECORD = f"{STATE}/tuning"
FILES = {SYSCTL: "sysctl", LIMITS: "limits", SCRIPT: "script", UNIT: "unit"}
RESERVED = "/proc/sys/net/ipv4/ip_local_reserved_ports"
EPHEMERAL = "/proc/sys/net/ipv4/ip_local_port_range"
GOVERNOR = "scaling_governor"


@dataclass(frozen=True)
class Present:
    """One node as it was seen."""

    knobs: Mapping[str, str] = field(default_factory=dict)
    """Every knob there is, by its file."""
    offered: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Governors a policy offers."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Our files that are there, with their text."""
    before: Mapping[str, str] = field(default_factory=dict)
    """What knobs said before we touched them."""
    refused: frozenset[tuple[str, str]] = frozenset()
    """Knob and value this very kernel did not take."""
    recorded: bool = False
    systemd: bool = False
    boot: bool = False
    pam: bool = False
    may: frozenset[str] = frozenset()
    """Limits a session of this machine may have."""

    @property
    def reserved(self) -> str:
        return self.knobs.get(RESERVED, "")


def present(seen: Seen) -> Present:
    """Read from the sections of roles/tuning/probe.sh."""
    host = seen["tuning.host"].pairs
    refused = (line.rpartition("@") for line in seen["tuning.refused"].lines)
    pairs = (knob.partition("=") for knob, _, kernel in refused if kernel == host.get("kernel"))
    return Present(
        knobs=seen["tuning.knobs"].pairs,
        offered={k: frozenset(v.split()) for k, v in seen["tuning.offered"].pairs.items()},
        files={path: _text(seen[f"tuning.{name}"]) for path, name in FILES.items() if seen[f"tuning.{name}"].ok},
        before=seen["tuning.before"].pairs,
        refused=frozenset((k, v) for k, _, v in pairs),
        recorded=seen["tuning.before"].ok,
        systemd=host.get("systemd") == "yes",
        boot=host.get("boot") == "enabled",
        pam=host.get("pam") == "yes",
        may=frozenset(name for name in ("memlock", "nofile") if host.get(name) == "yes"),
    )


def _text(section: Section) -> str:
    return section.text + "\n"
