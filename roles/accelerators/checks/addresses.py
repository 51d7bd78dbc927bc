"""Ascend: the cards' addresses, compared over all nodes."""

from __future__ import annotations

from collections.abc import Iterator

from roles.accelerators import ascend
from roles.accelerators.checks.ports import unread
from roles.accelerators.parse.files import port_settings
from roles.accelerators.parse.hccn import GATEWAY, IP, Address
from roles.accelerators.words import cards, for_each
from roles.plan.node import NodePlan
from roles.run.checks import Answer, Case, Say, check, fail, good, skip, warn


def addresses(case: Case, node: NodePlan) -> dict[int, Address]:
    """A node's cards with an address."""
    return {n: a for n, a in ascend.ask(case.of(node), IP, case.known.numbers).items() if a}


def rails(case: Case) -> Iterator[tuple[int, Address, NodePlan, Address]]:
    """Card i here and card i of every peer."""
    own = addresses(case, case.node)
    for peer in case.peers:
        theirs = addresses(case, peer)
        yield from ((n, a, peer, theirs[n]) for n, a in own.items() if n in theirs)


@check(
    "ascend.address",
    "The cards have addresses that fit the peers'",
    why="RoCE is the only way between A2 nodes",
    vendors=("ascend",),
    nodes=2,
)
def address(case: Case) -> Answer:
    told = ascend.ask(case.seen, IP, case.known.numbers)
    if not told:
        return skip(unread(case))
    found = [*_missing(case, told), *_masks(told), *_apart(case)]
    have = [str(a) for a in told.values() if a]
    return found or good(f"{have[0]} to {have[-1]}" if len(have) > 1 else have[0])


def _missing(case: Case, told: dict[int, Address | None]) -> Iterator[Say]:
    without = [n for n, a in told.items() if a is None]
    if not without:
        return
    written = port_settings(case.seen["ascend.hccn-conf"].text)
    kept = [n for n in without if written.get(n, {}).get("address")]
    mask = next((a.mask for a in told.values() if a), "NETMASK")
    new = [n for n in without if n not in kept]
    parts = [for_each(kept, "hccn_tool -i {} -cfg recovery")] if kept else []
    parts += [f"hccn_tool -i {n} -ip -s address ADDRESS netmask {mask}" for n in new]
    yield fail(f"{cards(without)}: no ip was preset there", "an address on every card", "; ".join(parts))


def _masks(told: dict[int, Address | None]) -> Iterator[Say]:
    wrong = {n: a for n, a in told.items() if a and a.prefix is None}
    for mask in sorted({a.mask for a in wrong.values()}):
        some = [n for n, a in wrong.items() if a.mask == mask]
        own = wrong[some[0]].ip
        fix = f"hccn_tool -i {some[0]} -ip -s address {own} netmask 255.255.255.0 (or the mask of your network)"
        yield fail(f"{cards(some)}: netmask {mask} is none", "a netmask such as 255.255.255.0", fix)


def _apart(case: Case) -> Iterator[Say]:
    """One side takes the other for a neighbour, the other does not: answers go astray. Said where the mask is the narrower."""
    groups: dict[tuple[str, str, str], list[int]] = {}
    fixes: dict[int, str] = {}
    for card, own, peer, other in rails(case):
        if other.sees(own.ip) and own.prefix is not None and not own.sees(other.ip):
            groups.setdefault((peer.name, own.mask, other.mask), []).append(card)
            fixes[card] = f"hccn_tool -i {card} -ip -s address {own.ip} netmask {other.mask}"
    for (name, mask, theirs), some in groups.items():
        seen = f"{cards(some)}: netmask {mask} leaves the same card of {name} outside, which has {theirs}"
        yield fail(seen, "the same netmask on both ends", "; ".join(fixes[n] for n in some))


@check("ascend.gateway", "Cards in different subnets have gateways", vendors=("ascend",), nodes=2)
def gateway(case: Case) -> Answer:
    told = ascend.ask(case.seen, GATEWAY, case.known.numbers)
    if not told:
        return skip(unread(case))
    need = {n: own for n, own, _, other in rails(case) if own.prefix is not None and not own.sees(other.ip) and not other.sees(own.ip)}
    if not need:
        have = sum(1 for g in told.values() if g)
        return good(f"the peers' cards are in one subnet{'' if have == len(told) else '; none is needed'}")
    without = [n for n in need if n in told and told[n] is None]
    astray = [n for n in need if (g := told.get(n)) and not need[n].sees(g)]
    found = []
    if without:
        known = {n: next((g for g in told.values() if g and need[n].sees(g)), "GATEWAY") for n in without}
        fix = "; ".join(f"hccn_tool -i {n} -gateway -s gateway {known[n]}" for n in without)
        found.append(warn(f"{cards(without)}: no gateway, and the peers' cards are in another subnet", "a gateway", fix))
    for n in astray:
        seen = f"card {n}: gateway {told[n]} is outside of {need[n]}"
        found.append(warn(seen, "a gateway in the card's own subnet", f"hccn_tool -i {n} -gateway -s gateway GATEWAY"))
    return found or good(f"gateways {', '.join(sorted({g for g in told.values() if g}))}")


@check("ascend.duplicate", "No two cards have the same address", why="the one that answers ARP first wins", vendors=("ascend",), nodes=2)
def duplicate(case: Case) -> Answer:
    own = addresses(case, case.node)
    if not own:
        return skip(unread(case) if not ascend.ask(case.seen, IP, case.known.numbers) else "no addresses; see ascend.address")
    # Pairs cabled back to back are networks of their own, and may well be numbered alike.
    nodes = case.replica.nodes if case.known.keys.topology == "back-to-back" else case.plan.nodes
    owners: dict[str, list[tuple[str, int]]] = {}
    for node in nodes:
        for card, one in addresses(case, node).items():
            owners.setdefault(one.ip, []).append((node.name, card))
    found = []
    for card, one in own.items():
        others = [(name, n) for name, n in owners.get(one.ip, []) if (name, n) != (case.node.name, card)]
        if others:
            where = ", ".join(f"card {n}{'' if name == case.node.name else f' of {name}'}" for name, n in others)
            fix = f"give one of them another: hccn_tool -i {card} -ip -s address ADDRESS netmask {one.mask}"
            found.append(fail(f"card {card}: {one.ip} is also the address of {where}", "an address of its own", fix))
    return found or good(f"{len(own)} addresses, no other card has them")
