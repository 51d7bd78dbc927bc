"""What the proxy needs on a node: decided from the look at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from roles.plan import proxy
from roles.proxy import config
from roles.run.change import Change, diff
from roles.run.checks import Case
from roles.run.seen import Section, Seen

SECRET = ("key", "crt", "pem")
NAMES = {"key": "the API key it asks for", "crt": "its certificate", "pem": "its certificate's private key"}


@dataclass(frozen=True)
class Present:
    """nginx and our instance of it, as they were seen."""

    nginx: str = ""
    version: str = ""
    tool: str = ""
    systemd: bool = False
    enabled: bool = False
    active: bool = False
    conf: str = ""
    unit: str = ""


def present(seen: Seen) -> Present:
    """Read from the sections of roles/proxy/probe.sh."""
    host = seen["proxy.host"].pairs
    return Present(
        nginx=host.get("nginx", ""),
        version=host.get("version", ""),
        tool=host.get("tool", ""),
        systemd=host.get("systemd") == "yes",
        enabled=host.get("enabled") == "enabled",
        active=host.get("active") == "active",
        conf=_text(seen["proxy.conf"]),
        unit=_text(seen["proxy.unit"]),
    )


def _text(section: Section) -> str:
    return f"{section.text}\n" if section.ok else ""


@dataclass(frozen=True)
class Work:
    """What there is to do."""

    conf: str = ""
    unit: str = ""
    install: str = ""
    remove: bool = False
    problem: str = ""
    changes: tuple[Change, ...] = field(default=())


def wanted(case: Case) -> bool:
    """The first rank's node has the proxy, and no other."""
    return case.known.keys.expose == "proxy" and case.node.rank == 0


def path(case: Case, kind: str) -> str:
    return proxy.file(case.plan.cluster, case.replica.name, kind)


def secret_files(case: Case) -> dict[str, str]:
    """The secret files this node needs: kind and path."""
    return {kind: path(case, kind) for kind, there in config.secret(case.plan).items() if there}


def work(case: Case, same: Mapping[str, bool] | None = None) -> Work:
    """In place where the inventory asks for it, gone where it no longer does. `same`: which secret files are as they should be."""
    now = present(case.seen)
    if not wanted(case):
        there = bool(now.conf or now.unit or now.active)
        return Work(remove=True, changes=(Change("remove the proxy: the inventory no longer asks for it"),)) if there else Work()
    found = Work(config.conf(case.plan, case.replica), config.unit(case.plan, case.replica, now.nginx or config.NGINX))
    stale = [kind for kind in secret_files(case) if not (same or {}).get(kind)] if same is not None else []
    if (now.conf, now.unit) == (found.conf, found.unit) and now.active and now.enabled and not stale:
        return Work()
    install = "" if now.nginx else now.tool
    problem = ""
    if not now.nginx and not now.tool:
        problem = "nginx is not installed, and neither apt-get nor dnf is there to install it"
    elif not now.systemd:
        problem = "the node does not run systemd, which runs the proxy"
    return Work(found.conf, found.unit, install, False, problem, tuple(_changes(case, now, found, install, stale, problem)))


def _changes(case: Case, now: Present, found: Work, install: str, stale: list[str], problem: str) -> Iterator[Change]:
    if install:
        yield Change(f"install nginx with {install}, without its own site on port 80")
    for file, old, new in ((path(case, "conf"), now.conf, found.conf), (unit_file(case), now.unit, found.unit)):
        if old != new:
            yield Change(f"{'change' if old else 'write'} {file}", diff(file, old, new))
    for kind in stale:
        yield Change(f"write {path(case, kind)}: {NAMES[kind]}")
    verb = "reload" if now.active else "start"
    yield Change(f"{verb} the proxy on port {case.node.ports['proxy']}")
    if problem:
        yield Change(f"stop here: {problem}")


def unit_file(case: Case) -> str:
    return f"/etc/systemd/system/{proxy.unit(case.plan.cluster, case.replica.name)}.service"
