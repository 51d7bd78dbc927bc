"""Ascend: the cards' own network ports, one node at a time."""

from __future__ import annotations

from roles.accelerators import ascend
from roles.accelerators.parse.hccn import GATEWAY, LINK, LLDP, NET_HEALTH, NETDETECT, TLS
from roles.accelerators.words import cards, for_each
from roles.run.checks import Answer, Case, check, fail, good, skip, warn

CABLE = "if it stays down: optical module, cable, switch port"


def unread(case: Case) -> str:
    """Why a port told nothing."""
    return "ports are left alone while the node serves" if "hccn.asked" in case.seen else "hccn_tool gave no answer; see ascend.answers"


def down(case: Case) -> set[int]:
    """Cards without a link: what follows from that is not said again."""
    return {n for n, word in ascend.ask(case.seen, LINK, case.known.numbers).items() if word != "UP"}


@check("ascend.link", "The cards' network links are up", why="EJ0002, EI0009: the port is down (VA#1815)", vendors=("ascend",), nodes=2)
def link(case: Case) -> Answer:
    told = ascend.ask(case.seen, LINK, case.known.numbers)
    if not told:
        return skip(unread(case))
    groups: dict[str, list[int]] = {}
    for card, word in told.items():
        groups.setdefault(word, []).append(card)
    up = groups.pop("UP", [])
    found = [
        fail(f"{cards(some)}: link status: {word}", "UP", f"{for_each(some, 'hccn_tool -i {} -cfg recovery')}; {CABLE}")
        for word, some in groups.items()
    ]
    return found or good(f"{len(up)} links up")


@check("ascend.net-health", "The cards reach the address they watch", vendors=("ascend",), nodes=2)
def net_health(case: Case) -> Answer:
    told = ascend.ask(case.seen, NET_HEALTH, case.known.numbers)
    watched = ascend.ask(case.seen, NETDETECT, case.known.numbers)
    judged = {n: w for n, w in told.items() if n not in down(case) and watched.get(n, "") is not None}
    if not judged:
        return skip(unread(case) if not told else "nothing to judge; see ascend.link and ascend.netdetect")
    groups: dict[str, list[int]] = {}
    for card, word in judged.items():
        groups.setdefault(word, []).append(card)
    fine = groups.pop("Success", [])
    found = []
    for word, some in groups.items():
        target = watched.get(some[0])
        hand = f"hccn_tool -i {some[0]} -ping -g address {target}" if target else f"hccn_tool -i {some[0]} -net_health -g"
        fix = f"{for_each(some, 'hccn_tool -i {} -cfg recovery')}; if it stays, ask the switch: {hand}"
        found.append(fail(f"{cards(some)}: net health status: {word}", "Success", fix))
    return found or good(f"{len(fine)} cards: Success")


@check("ascend.netdetect", "The cards have an address to watch", why="without it net_health says nothing", vendors=("ascend",), nodes=2)
def netdetect(case: Case) -> Answer:
    told = ascend.ask(case.seen, NETDETECT, case.known.numbers)
    if not told:
        return skip(unread(case))
    without = [n for n, address in told.items() if address is None]
    if not without:
        return good(f"{len(told)} cards watch {', '.join(sorted({a for a in told.values() if a}))}")
    gateways = ascend.ask(case.seen, GATEWAY, case.known.numbers)
    known = next((a for a in [*(gateways.get(n) for n in without), *told.values()] if a), None)
    target = known or "ADDRESS (of the switch, in the cards' subnet)"
    return warn(
        f"{cards(without)}: no netdetect address",
        "an address of the switch, so that net_health means something",
        for_each(without, f"hccn_tool -i {{}} -netdetect -s address {target}"),
    )


@check("ascend.lldp", "The cards are plugged in as the plan says", why="MC2 needs a switch (VA#7606)", vendors=("ascend",), nodes=2)
def lldp(case: Case) -> Answer:
    told = ascend.ask(case.seen, LLDP, case.known.numbers)
    judged = {n: who for n, who in told.items() if n not in down(case)}
    if not judged:
        return skip(unread(case) if not told else "no link; see ascend.link")
    alone = [n for n, who in judged.items() if who is None]
    some = sorted((n, who.port) for n, who in judged.items() if who)
    topology = case.known.keys.topology
    if not some:
        return _no_switch(topology, len(judged))
    seen = f"{cards(n for n, _ in some)} at {some[0][1]}{f' to {some[-1][1]}' if len(some) > 1 else ''}"
    if topology == "back-to-back":
        fix = 'if these are ports of a switch, "topology": "switched" lets the experts use MC2, which is faster'
        return warn(f"{seen}: neighbours that announce a port", "no switch (topology: back-to-back)", fix)
    if alone:
        return warn(
            f"{cards(alone)}: no LLDP neighbour, though others have one",
            "a switch port for every card",
            f"look at the cable and the switch port; hccn_tool -i {alone[0]} -lldp -g",
        )
    return good(seen)


def _no_switch(topology: str, number: int) -> Answer:
    """What it means for the recipe when nobody at the other end of any cable speaks."""
    seen = f"none of {number} cards has an LLDP neighbour: cabled without a switch, or LLDP is off at the switch"
    if topology == "back-to-back":
        return good(f"none of {number} cards has a switch neighbour, as the plan says")
    expected = f"a switch (topology: {topology}); MC2 cannot build its full mesh without one (VA#7606, VA#16754)"
    return warn(seen, expected, 'turn LLDP on at the switch; without a switch set "topology": "back-to-back"')


@check("ascend.tls", "The cards' TLS switches are all the same", why="EI0016: they differ; 0 is recommended", vendors=("ascend",), nodes=2)
def tls(case: Case) -> Answer:
    told = ascend.ask(case.seen, TLS, case.known.numbers)
    if not told:
        return skip(unread(case))
    on = [n for n, switch in told.items() if switch == 1]
    everywhere = {s for node in case.replica.nodes for s in ascend.ask(case.of(node), TLS, case.known.numbers).values()}
    fix = for_each(on, "hccn_tool -i {} -tls -s enable 0")
    if on and len(everywhere) > 1:
        return fail(f"{cards(on)}: TLS is on, others have it off", "off (0) on every card of every node", fix)
    if on:
        return warn(f"{cards(on)}: TLS is on everywhere", "off (0), unless certificates were made for it", fix)
    return good(f"TLS off on {len(told)} cards")
