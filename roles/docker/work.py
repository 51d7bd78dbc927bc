"""What Docker needs on a node: decided from the look at it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from roles.docker import daemon, packages
from roles.docker.daemon import DROPIN, FILE, RELOADABLE, ROOT
from roles.docker.packages import Packages
from roles.docker.present import Container, Docker, docker
from roles.run.change import Change, diff
from roles.run.checks import Case

Action = Literal["", "start", "reload", "restart"]
ALLOW = "--data restart_docker=true"


@dataclass(frozen=True)
class Work:
    """What there is to do; all empty where nothing is."""

    install: Packages | None = None
    daemon: str | None = None
    """daemon.json's new text."""
    proxy: str | None = None
    """The drop-in's new text; an empty one removes it."""
    action: Action = ""
    enable: bool = False
    expect: tuple[str, ...] = ()
    """What the daemon must say of itself afterwards."""
    problem: str = ""
    """Why none of it can be done."""
    changes: tuple[Change, ...] = ()


def work(case: Case, restart_allowed: bool = False) -> Work:
    """Pure: everything from the look and the inventory."""
    now, keys = docker(case.seen), case.known.keys
    settings = daemon.wanted(keys.docker)
    lacking = _lacking(now, settings)
    merged = daemon.merge(now.daemon, lacking, now.flags)
    drop_in = daemon.proxy(keys.proxy, daemon.without_proxy([n.address for n in case.plan.nodes], keys.docker))
    stale_proxy = bool(keys.proxy) and now.info.get("HttpProxy") != keys.proxy
    touched = {*lacking, *(["proxy"] if stale_proxy or drop_in != now.proxy else [])}
    action = _action(now, touched)
    system = None if now.binary else packages.of(now.system, now.like)
    stays = [] if restart_allowed or action != "restart" else _ended(now, ROOT in touched)
    problems = [
        merged.problem,
        _impossible(now),
        "" if now.binary or system else f'no package of Docker is known for "{now.system}"',
        f"Docker must be restarted, and {_named(stays, case.plan.cluster)}" if stays else "",
    ]
    found = Work(
        install=system,
        daemon=merged.text if merged.changed else None,
        proxy=drop_in if drop_in != now.proxy else None,
        action=action,
        enable=not now.enabled,
        expect=tuple(str(e).rstrip("/") for e in (*keys.docker.mirrors, *keys.docker.insecure, keys.docker.data_root, keys.proxy) if e),
        problem=next(filter(None, problems), ""),
    )
    changes = tuple(_changes(now, found))
    return replace(found, changes=changes) if changes else Work()


def _lacking(now: Docker, settings: dict[str, Any]) -> dict[str, Any]:
    """Settings that are not in force; those that are, by file or flag, need no place in the file."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        have = {v.rstrip("/") for v in now.in_force(key)}
        wanted = {str(v).rstrip("/") for v in (value if isinstance(value, list) else [value])}
        if not wanted <= have:
            found[key] = value
    return found


def _action(now: Docker, touched: set[str]) -> Action:
    if not now.info:
        return "start"
    if touched - set(RELOADABLE):
        return "restart"
    return "reload" if touched else ""


def _ended(now: Docker, moves: bool) -> list[Container]:
    """Containers that a restart would end: with live-restore they live on, except where their own folder moves."""
    return [] if now.info.get("LiveRestoreEnabled") and not moves else list(now.containers)


def _impossible(now: Docker) -> str:
    if now.podman:
        return f"docker is podman here ({now.said}), which lacks what our units use; remove podman-docker"
    if not now.systemd:
        return "the node does not run systemd, which starts Docker and our units"
    return f"Docker runs and does not answer ({now.why_not}); see journalctl -u docker" if now.active == "active" and not now.info else ""


def _named(containers: Sequence[Container], cluster: str) -> str:
    """Whose containers would end, and how to say that they may."""
    ours = [c.name for c in containers if c.cluster == cluster]
    others = [f"{c.name} ({c.image})" for c in containers if c.cluster != cluster]
    parts = [f"{_few(others)} {'is' if len(others) == 1 else 'are'} not ours and would end: allow it with {ALLOW}"] if others else []
    parts += [f"{_few(ours)} is serving and would end: stop it first, or allow it with {ALLOW}"] if ours else []
    return "; ".join(parts)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _changes(now: Docker, found: Work) -> Iterator[Change]:
    if found.install:
        names = found.install.packages if found.install.tool == "apt" else [" or ".join(found.install.packages)]
        yield Change(f"install {', '.join(names)} with {found.install.tool}")
    if found.daemon is not None:
        yield Change(f"{'change' if now.daemon else 'write'} {FILE}", diff(FILE, now.daemon and f"{now.daemon.rstrip()}\n", found.daemon))
    if found.proxy is not None:
        verb = "change" if now.proxy and found.proxy else "write" if found.proxy else "remove"
        yield Change(f"{verb} {DROPIN}", diff(DROPIN, now.proxy, found.proxy))
    if found.action:
        yield Change(f"{found.action} Docker")
    if found.enable and not found.install:
        yield Change("start Docker at every boot")
    if found.problem and (found.install or found.daemon is not None or found.proxy is not None or found.action or found.enable):
        yield Change(f"stop here: {found.problem}")
