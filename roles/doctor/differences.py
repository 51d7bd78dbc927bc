"""What differs between the nodes of a replica that should be alike. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from roles.doctor.evidence import Evidence, Line, Log, Node

APART = 5.0
"""Seconds by which clocks may differ before merged logs and certificates suffer."""
ALIKE = {
    "image_id": "image", "driver": "driver", "firmware": "firmware", "cann": "cann", "tls": "tls", "mtu": "mtu", "weights": "weights",
    "kernel": "kernel", "arch": "arch", "generation": "generation",
}  # fmt: skip
OWN = ("HOSTNAME", "HOME", "PWD")


@dataclass(frozen=True)
class Difference:
    """One thing, with what each node has."""

    name: str
    about: str
    values: Mapping[str, str]

    def sentence(self) -> str:
        """`tls: 0 on 10.0.0.11, 1 on 10.0.0.12`."""
        by_value: dict[str, list[str]] = {}
        for node, value in self.values.items():
            by_value.setdefault(value, []).append(node)
        return f"{self.about}: " + ", ".join(f"{value} on {', '.join(nodes)}" for value, nodes in by_value.items())


def differences(evidence: Evidence) -> tuple[Difference, ...]:
    nodes = [n for n in evidence.nodes if not n.problem]
    return (*_facts(nodes), *_cards(nodes), *_clocks(nodes), *_env(nodes), *_planned(nodes))


def log(found: Iterable[Difference], evidence: Evidence) -> Log:
    """As evidence, so that rules can speak of it."""
    node = evidence.nodes[0].name if evidence.nodes else ""
    return Log(node, "differences", "differences", tuple(Line(None, f"{d.name}: {d.sentence()}") for d in found))


def _facts(nodes: list[Node]) -> Iterator[Difference]:
    for fact, name in ALIKE.items():
        values = {n.name: _short(n.facts[fact]) for n in nodes if n.facts.get(fact)}
        if len(set(values.values())) > 1:
            yield Difference(name, name, values)


def _cards(nodes: list[Node]) -> Iterator[Difference]:
    """TLS switches may differ inside one node, too."""
    for node in nodes:
        switches = dict(pair.split(":", 1) for pair in node.facts.get("tls_cards", "").split() if ":" in pair)
        if len(set(switches.values())) > 1:
            values = ", ".join(f"card {card} {value}" for card, value in switches.items())
            yield Difference("tls", "tls switches of one node", {node.name: values})


def _clocks(nodes: list[Node]) -> Iterator[Difference]:
    found = {n.name: n.offset for n in nodes if n.offset is not None}
    if len(found) > 1 and max(found.values()) - min(found.values()) > APART:
        yield Difference("clock", "clock", {name: f"{offset:+.0f} s" for name, offset in found.items()})


def _env(nodes: list[Node]) -> Iterator[Difference]:
    """A node's own address, interface and name are no difference; nor is what the plan itself gives each node."""
    known = [n for n in nodes if n.env]
    for name in sorted({k for n in known for k in n.env} - set(OWN)):
        values = {n.name: _neutral(n, n.env.get(name, "(unset)")) for n in known}
        planned = {_neutral(n, n.planned.get(name, "(unset)")) for n in known}
        if len(set(values.values())) > 1 and len(planned) == 1:
            yield Difference("env", name, {k: _short(v) for k, v in values.items()})


def _planned(nodes: list[Node]) -> Iterator[Difference]:
    for node in nodes:
        for name, wanted in node.planned.items() if node.env else ():
            seen = node.env.get(name)
            if seen != str(wanted) and seen != "***":
                about = f"{name} ({wanted} in the plan)"
                yield Difference("plan-env", about, {node.name: "(unset)" if seen is None else seen})


def _neutral(node: Node, value: str) -> str:
    for own, word in ((node.address, "<address>"), (node.nic, "<nic>"), (node.name, "<name>")):
        value = value.replace(own, word) if own else value
    return value


def _short(value: str) -> str:
    """A digest by its beginning."""
    return f"{value[:19]}..." if value.startswith("sha256:") else value[:80]
