"""Inventory to cluster: keys checked, replicas formed, ranks and addresses judged."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from roles.plan.check import collect, sentences
from roles.plan.errors import PlanError, near, shown
from roles.plan.keys import SSH_KEYS, ClusterKeys, HostKeys, passes_through
from roles.plan.recipe import Recipe
from roles.plan.source import Source, plain

DOTTED = ("flags", "env", "ports", "timeouts", "liveness", "docker", "tls")
CLUSTER = tuple(ClusterKeys.model_fields)
HOST = tuple(HostKeys.model_fields)


@dataclass(frozen=True)
class Node:
    """One host in its place."""

    name: str
    address: str
    rank: int
    nic: str | None


@dataclass(frozen=True)
class Replica:
    """The nodes that form one engine, in rank order."""

    name: str
    nodes: tuple[Node, ...]

    @property
    def head(self) -> Node:
        return self.nodes[0]


@dataclass(frozen=True)
class Cluster:
    """One inventory, judged."""

    file: str
    name: str
    keys: ClusterKeys
    replicas: tuple[Replica, ...]
    warnings: tuple[str, ...]


def parse_value(text: str) -> Any:
    """A command-line value as pyinfra's --data reads it: true/false, number, JSON, else text."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def overrides(settings: list[str], where: str = "--set") -> dict[str, Any]:
    """`key=value` settings as a map; a later one wins."""
    result: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise PlanError(f"{where} {shown(setting)}: expected key=value, such as {where} model=MiniMax-M2.7")
        result[key] = plain(parse_value(text), f"{where} {key}")
    return result


def cluster_keys(source: Source, changes: Mapping[str, Any], where: str = "--set") -> ClusterKeys:
    """The cluster's data with the command line's changes over it."""
    data = {k: v for k, v in source.data.items() if not passes_through(k)}
    data.pop("nic", None)  # the one host key a group may give for all its hosts; host_keys reads it
    place = f"{source.file}: {source.cluster}"
    collect(_unknown(data, place))
    own = {k: v for k, v in changes.items() if not passes_through(k)}
    collect(_unknown(own, where))
    for key, value in own.items():
        name, dot, inner = key.partition(".")
        if dot:
            base = data.get(name, {})
            data[name] = {**base, inner: value} if isinstance(base, dict) else {inner: value}
        else:
            data[name] = value
    try:
        return ClusterKeys.model_validate(data)
    except ValidationError as e:
        raise PlanError(*(blamed(s, place, where, own) for s in sentences(e, ClusterKeys, place))) from None


def _unknown(data: Mapping[str, Any], place: str) -> Iterator[str]:
    for key in data:
        name, dot, _ = key.partition(".")
        if name in CLUSTER and (not dot or (name in DOTTED and not key.endswith("."))):
            continue
        if name in HOST:
            yield f'{place}: "{key}" belongs to one host, expected it in that host\'s own data'
        elif dot and name in CLUSTER and name not in DOTTED:
            yield f'{place}: "{key}" has a dot, expected "{name}" (only {", ".join(DOTTED)} hold keys of their own)'
        else:
            yield f'{place}: "{shown(key)[1:-1]}" is not a key{near(key, (*CLUSTER, "nic"))}; expected one of: {", ".join(CLUSTER)}'


def blamed(sentence: str, place: str, where: str, changes: Iterable[str]) -> str:
    """Blame the command line for the fields it set, the file for the others."""
    keys = {k.partition(".")[0] for k in changes}
    set_there = any(sentence.startswith((f'{place}: "{k}"', f'{place}: "{k}.')) for k in keys)
    return f"{where}{sentence.removeprefix(place)}" if set_there else sentence


def host_keys(source: Source) -> Iterator[tuple[str, HostKeys, str]]:
    """Each host's name, keys and place in the file."""
    problems: list[str] = []
    found: list[tuple[str, HostKeys, str]] = []
    for i, (name, given) in enumerate(source.hosts):
        place = f'{source.file}: {source.cluster}.hosts[{i}] "{name}"'
        data = {k: v for k, v in given.items() if not passes_through(k)}
        strange = [k for k in data if k not in HOST]
        if strange:
            key = strange[0]
            belongs = key.partition(".")[0] in CLUSTER
            tail = (
                "belongs to the cluster, expected it in the group's data"
                if belongs
                else f"is not a host key{near(key, HOST)}; expected one of: {', '.join(HOST)}"
            )
            problems.append(f'{place}: "{shown(key)[1:-1]}" {tail}')
            continue
        if "nic" not in data and "nic" in source.data:
            data["nic"] = source.data["nic"]
        if "address" not in data and _is_ipv4(name):
            data["address"] = name
        try:
            found.append((name, HostKeys.model_validate(data), place))
        except ValidationError as e:
            problems.extend(sentences(e, HostKeys, place))
    collect(problems)
    yield from found


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def form(source: Source, keys: ClusterKeys, recipe: Recipe) -> Cluster:
    """Replicas out of hosts; every rank once, the same count everywhere, distinct addresses, NICs named."""
    single = recipe.nodes.max == 1
    groups: dict[str, list[tuple[Node, str]]] = {}
    problems: list[str] = []
    for name, host, place in host_keys(source):
        rank = 0 if host.rank is None and single else host.rank
        if rank is None:
            problems.append(f'{place}: "rank" is missing; expected its place in replica {host.replica}, from 0 on')
        elif host.address is None:
            problems.append(f'{place}: "address" is missing; expected {HostKeys.model_fields["address"].description}')
        else:
            groups.setdefault(host.replica, []).append((Node(name, host.address, rank, host.nic), place))
    collect(problems)
    collect(_layout_problems(groups, recipe, keys.recipe, f"{source.file}: {source.cluster}"))
    collect(_address_problems([n for g in groups.values() for n in g], recipe))
    replicas = tuple(Replica(r, tuple(sorted((n for n, _ in g), key=lambda n: n.rank))) for r, g in sorted(groups.items()))
    return Cluster(source.file, source.cluster, keys, replicas, tuple(_connection_warnings(source)))


def _layout_problems(groups: dict[str, list[tuple[Node, str]]], recipe: Recipe, recipe_name: str, place: str) -> Iterator[str]:
    low, high = recipe.nodes.min, recipe.nodes.max
    for replica, members in groups.items():
        clashes = list(_rank_clashes(replica, members, recipe, recipe_name))
        if clashes:
            yield from clashes
            continue
        count, ranks = len(members), sorted(node.rank for node, _ in members)
        if count < low or (high is not None and count > high):
            yield f"{place}: replica {replica} has {count} node{'s' * (count != 1)}, expected {_count(recipe)} for recipe {recipe_name}"
        elif ranks != list(range(count)):
            missing = next(r for r in range(count) if r not in ranks)
            wanted = f"expected every rank from 0 to {count - 1} once"
            yield f'{place}: "rank" {missing} of replica {replica} is missing (found {shown(ranks)}); {wanted}'
    if len({len(m) for m in groups.values()}) > 1 and high is None:
        counts = ", ".join(f"{r}: {len(m)}" for r, m in sorted(groups.items()))
        yield f"{place}: replicas differ in size ({counts}), expected the same number of nodes in each"


def _rank_clashes(replica: str, members: list[tuple[Node, str]], recipe: Recipe, recipe_name: str) -> Iterator[str]:
    ranks: dict[int, Node] = {}
    for node, place in sorted(members, key=lambda m: m[0].rank):
        if node.rank not in ranks:
            ranks[node.rank] = node
        elif recipe.nodes.max == 1:
            yield (
                f'{place}: "replica" is "{replica}", which "{ranks[node.rank].name}" has too; expected one node in each '
                f"replica of {recipe_name}, so give every node its own replica name"
            )
        else:
            other = ranks[node.rank].name
            yield f'{place}: "rank" is {node.rank}, which "{other}" has too; expected every rank of replica {replica} once'


def _count(recipe: Recipe) -> str:
    low, high = recipe.nodes.min, recipe.nodes.max
    return f"exactly {low}" if low == high else f"at least {low}" if high is None else f"{low} to {high}"


def _address_problems(members: list[tuple[Node, str]], recipe: Recipe) -> Iterator[str]:
    seen: dict[str, str] = {}
    for node, place in members:
        if node.address in seen:
            other = seen[node.address]
            yield f'{place}: "address" is {node.address}, which "{other}" has too; expected a different address for every node'
        seen.setdefault(node.address, node.name)
        if recipe.nodes.max == 1:
            continue
        if ipaddress.IPv4Address(node.address).is_loopback:
            yield f'{place}: "address" is {node.address}, expected one that the other nodes can reach'
        if node.nic is None:
            yield f'{place}: "nic" is missing; expected the {HostKeys.model_fields["nic"].description} {node.address} (see: ip -o addr)'


def _connection_warnings(source: Source) -> Iterator[str]:
    for where, data in ((source.cluster, source.data), *source.hosts):
        for key in data:
            if key.startswith("ssh_") and key not in SSH_KEYS:
                yield f'{source.file}: {where}: "{key}" is not a key of pyinfra\'s SSH connector{near(key, SSH_KEYS)}; it has no effect'
    loose = [
        name
        for name, data in source.hosts
        if not name.startswith("@")
        and str({**source.data, **data}.get("ssh_strict_host_key_checking", "no")).lower() not in ("yes", "true")
    ]
    if loose:
        whom = f'"{loose[0]}"' + (f" and {len(loose) - 1} more" if len(loose) > 1 else "")
        yield f'{source.file}: host keys of {whom} are not checked strictly; set "ssh_strict_host_key_checking": "yes"'
