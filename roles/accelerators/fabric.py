"""Who pings whom, NPU to NPU: told to each node once all nodes have shown their cards' addresses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from roles.accelerators import ascend
from roles.accelerators.parse.hccn import IP, VNIC
from roles.plan.node import NodePlan
from roles.plan.plan import Plan
from roles.run.look import answers
from roles.run.seen import Seen

MANY = 8
NEXT = 2


@answers("fabric")
def pings(plan: Plan, node: NodePlan, seen: Mapping[str, Seen]) -> str:
    """Lines `ping CARD ADDRESS` and `hccs_ping CARD ADDRESS`, then `end`.

    rail: card i to card i of every peer; with more than 8 peers only to the next two in rank order, so that time does not grow
    with the replica while every cable is still used twice. full: every card to every card of every peer.
    """
    replica, _ = plan.node(node.name)
    own = seen.get(node.name, Seen(node.name))
    full = own["fabric.mode"].first == "full"
    numbers = plan.known.numbers
    lines: list[str] = []
    for peer in targets([*replica.nodes], node, full):
        there = seen.get(peer.name, Seen(peer.name))
        if "fabric.mode" not in there:
            continue
        roce = {n: a.ip for n, a in ascend.ask(there, IP, numbers).items() if a}
        vnic = {n: v.ip for n, v in ascend.ask(there, VNIC, numbers).items() if v.up}
        lines += _pairs("ping", [n for n, a in ascend.ask(own, IP, numbers).items() if a], roce, full)
        lines += _pairs("hccs_ping", [n for n, v in ascend.ask(own, VNIC, numbers).items() if v.up], vnic, full)
    return "\n".join([*lines, "end"])


def targets(nodes: list[NodePlan], node: NodePlan, full: bool) -> list[NodePlan]:
    """The peers a node pings."""
    at = next(i for i, n in enumerate(nodes) if n.name == node.name)
    after = nodes[at + 1 :] + nodes[:at]
    return after if full or len(after) <= MANY else after[:NEXT]


def _pairs(kind: str, mine: list[int], theirs: Mapping[int, str], full: bool) -> Iterator[str]:
    for card in mine:
        for other, address in theirs.items():
            if full or other == card:
                yield f"{kind} {card} {address}"
