"""The files tuning writes, whole: kernel settings, limits, what runs at boot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from roles.tuning.present import SCRIPT, SYSCTL

HEAD = "# Written by bringup; `pyinfra INVENTORY deploy/clean.py --data revert=true` puts back what was there before.\n"
PORTS = "net.ipv4.ip_local_reserved_ports"

UNIT = f"""\
{HEAD}[Unit]
Description=Host settings of bringup
After=systemd-sysctl.service sys-kernel-debug.mount
Before=docker.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh {SCRIPT}

[Install]
WantedBy=multi-user.target
"""

BOOT = f"""\
#!/bin/sh
{HEAD}set -u
put() {{
  [ -e "$2" ] || return 0
  [ "$(cat "$2")" = "$1" ] || printf '%s\\n' "$1" > "$2" || echo "bringup: $2 does not take $1" >&2
}}
"""
MERGE = f"""\
# A file that comes later than ours in /etc/sysctl.d may have taken our ports out again; what it reserves stays.
reserved=/proc/sys/net/ipv4/ip_local_reserved_ports
ours=$(sed -n 's/^{PORTS.replace(".", "[.]")} = //p' {SYSCTL})
theirs=$(cat $reserved)
[ -z "$ours" ] || put "$ours${{theirs:+,$theirs}}" $reserved
"""


def sysctl(settings: Mapping[str, int], reserved: str) -> str:
    """The drop-in file of kernel settings."""
    lines = [HEAD, *(f"{name} = {value}\n" for name, value in settings.items())]
    if reserved:
        lines.append("# The plan's ports, and what others had reserved: the kernel gives none of them to outgoing connections.\n")
        lines.append(f"{PORTS} = {reserved}\n")
    return "".join(lines)


def reserved(text: str) -> str:
    """The ports such a file reserves."""
    return next((v.strip() for k, sep, v in (line.partition("=") for line in text.splitlines()) if sep and k.strip() == PORTS), "")


def limits(chosen: Mapping[str, str | int]) -> str:
    """The drop-in file of pam_limits; `*` does not count for root."""
    return HEAD + "".join(f"{who} - {name} {value}\n" for name, value in chosen.items() for who in ("*", "root"))


def script(knobs: Iterable[tuple[str, str]], governor: str | None, ports: bool) -> str:
    """What runs at boot, for the knobs that systemd-sysctl does not know."""
    lines = [BOOT, *(f"put {value} {path}\n" for path, value in knobs)]
    if governor:
        lines.append(f'for file in /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor; do put {governor} "$file"; done\n')
    return "".join(lines) + (MERGE if ports else "") + "exit 0\n"
