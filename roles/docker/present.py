"""Docker on one node, as its probe saw it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from packaging.version import Version

from roles.docker.daemon import INSECURE, LOCAL, MIRRORS, ROOT
from roles.run.seen import Seen


@dataclass(frozen=True)
class Container:
    """One that runs."""

    name: str
    cluster: str
    """Whose it is, by our label; nothing where it is not ours."""
    image: str


@dataclass(frozen=True)
class Docker:
    """One node's engine."""

    binary: str = ""
    said: str = ""
    """What `docker --version` says."""
    system: str = ""
    like: str = ""
    systemd: bool = False
    enabled: bool = False
    active: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)
    """What the daemon says of itself; empty where it does not answer."""
    why_not: str = ""
    daemon: str = ""
    """/etc/docker/daemon.json."""
    proxy: str = ""
    containers: tuple[Container, ...] = ()

    @property
    def podman(self) -> bool:
        return "podman" in self.said.lower()

    @property
    def version(self) -> Version | None:
        found = re.match(r"\d+(\.\d+)+", str(self.info.get("ServerVersion", "")))
        return Version(found[0]) if found else None

    @property
    def flags(self) -> tuple[str, ...]:
        """Keys in force that the file does not name: they come from the daemon's command line."""
        if not self.info:
            return ()
        try:
            named = set(json.loads(self.daemon or "{}"))
        except (ValueError, TypeError):
            return ()
        return tuple(key for key in (MIRRORS, INSECURE) if key not in named and self.in_force(key))

    def in_force(self, key: str) -> list[str]:
        """What the daemon itself says of one of our keys."""
        registries = self.info.get("RegistryConfig") or {}
        if key == MIRRORS:
            return list(registries.get("Mirrors") or self.info.get("Mirrors") or [])
        if key == INSECURE:
            named = [n for n, r in (registries.get("IndexConfigs") or {}).items() if not r.get("Secure", True)]
            return [*named, *(c for c in registries.get("InsecureRegistryCIDRs") or [] if c not in LOCAL)]
        return [str(self.info["DockerRootDir"])] if key == ROOT and "DockerRootDir" in self.info else []


def docker(seen: Seen) -> Docker:
    """Read from the sections of roles/docker/probe.sh."""
    host, info = seen["docker.host"].pairs, seen["docker.info"]
    line = next((text for text in info.lines if text.startswith("{")), "{}")
    data = json.loads(line)
    errors = data.get("ServerErrors") or []
    answers = info.ok and not errors
    return Docker(
        binary=host.get("binary", ""),
        said=host.get("version", ""),
        system=host.get("id", ""),
        like=host.get("like", ""),
        systemd=host.get("systemd") == "yes",
        enabled=host.get("enabled") == "enabled",
        active=host.get("active", ""),
        info=data if answers else {},
        why_not="" if answers else str(errors[0]) if errors else info.why_not,
        daemon=seen["docker.daemon"].text,
        proxy=f"{seen['docker.proxy'].text}\n" if seen["docker.proxy"].ok else "",
        containers=tuple(_container(text) for text in seen["docker.containers"].lines if text.count("\t") == 2),
    )


def _container(line: str) -> Container:
    name, cluster, image = line.split("\t")
    return Container(name, cluster, image)
