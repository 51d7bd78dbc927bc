"""What our firewall needs on a node: decided from the look at it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from roles.firewall.rules import FILE, UNIT_FILE, rules, table, table_in, unit
from roles.run.change import Change, diff
from roles.run.checks import Case
from roles.run.seen import Section, Seen


@dataclass(frozen=True)
class Present:
    """Our firewall, as it was seen."""

    nft: str = ""
    systemd: bool = False
    enabled: bool = False
    live: bool = False
    ssh: tuple[int, ...] = ()
    rules: str = ""
    unit: str = ""


def present(seen: Seen) -> Present:
    """Read from the sections of roles/firewall/probe.sh."""
    host = seen["firewall.host"].pairs
    return Present(
        nft=host.get("nft", ""),
        systemd=host.get("systemd") == "yes",
        enabled=host.get("enabled") == "enabled",
        live=host.get("live") == "yes",
        ssh=tuple(int(p) for p in host.get("ssh", "").split()),
        rules=_text(seen["firewall.rules"]),
        unit=_text(seen["firewall.unit"]),
    )


def _text(section: Section) -> str:
    return f"{section.text}\n" if section.ok else ""


@dataclass(frozen=True)
class Work:
    """What there is to do."""

    files: dict[str, str] = field(default_factory=dict)
    remove: bool = False
    problem: str = ""
    changes: tuple[Change, ...] = ()


def work(case: Case, ssh_port: int | None = None) -> Work:
    """Closed where the inventory asks for it, opened again where it no longer does; another cluster's rules are not touched."""
    now, cluster = present(case.seen), case.plan.cluster
    other = table_in(now.rules) not in ("", table(cluster))
    if not case.known.keys.firewall:
        ours = now.live or (bool(now.rules) and not other)
        return (
            Work(remove=True, changes=(Change("open the node again: remove our firewall", diff(FILE, now.rules, "")),)) if ours else Work()
        )
    ports = {*now.ssh, *([ssh_port] if ssh_port else [])}
    wanted = {FILE: rules(cluster, case.node, case.peers, ports), UNIT_FILE: unit(cluster, now.nft or "/usr/sbin/nft")}
    have = {FILE: now.rules, UNIT_FILE: now.unit}
    if have == wanted and now.live and now.enabled:
        return Work()
    problem = ""
    if not now.nft:
        problem = "nft is not installed on the node; install nftables, or set firewall: false"
    elif not now.systemd:
        problem = "the node does not run systemd, which sets our rules at boot"
    elif _others(now, cluster):
        problem = f"{FILE} holds the rules of another cluster ({table_in(now.rules)}); a node can be closed for one only"
    return Work(wanted, False, problem, tuple(_changes(case, have, wanted, problem)))


def opening(case: Case) -> Work:
    """Our table and files go; another cluster's stay."""
    now, cluster = present(case.seen), case.plan.cluster
    if not now.live and (not now.rules or _others(now, cluster)):
        return Work()
    return Work(remove=True, changes=(Change("open the node again: remove our firewall", diff(FILE, now.rules, "")),))


def _others(now: Present, cluster: str) -> bool:
    return table_in(now.rules) not in ("", table(cluster))


def _changes(case: Case, have: dict[str, str], wanted: dict[str, str], problem: str) -> Iterator[Change]:
    api = f" and the {'proxy' if 'proxy' in case.node.ports else 'API'}" if case.node.rank == 0 else ""
    number = len(case.peers)
    peers = f", and all that its {'peer sends' if number == 1 else f'{number} peers send'}" if number else ""
    yield Change(f"close the node to all but SSH{api}{peers}")
    for path, text in wanted.items():
        if have[path] != text:
            yield Change(f"{'change' if have[path] else 'write'} {path}", diff(path, have[path], text))
    if problem:
        yield Change(f"stop here: {problem}")
