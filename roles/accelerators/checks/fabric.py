"""Ascend: packets from card to card, and an A3's way through its super pod."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from roles.accelerators import ascend
from roles.accelerators import fabric as _answers_the_probe  # noqa: F401
from roles.accelerators.checks.ports import down, unread
from roles.accelerators.parse.hccn import IP, PING, VNIC
from roles.accelerators.parse.npu_details import SuperPod, super_pod
from roles.accelerators.words import cards, count, for_each
from roles.plan.node import NodePlan
from roles.run.checks import Answer, Case, Say, check, fail, good, skip, warn
from roles.run.seen import Section, Seen

Owners = Mapping[str, tuple[NodePlan | None, int]]
Excused = Callable[[int, str, int], bool]


@check(
    "ascend.ping", "The cards reach the peers' cards", why="finds in seconds what EI0006 and EI0015 say later", vendors=("ascend",), nodes=2
)
def ping(case: Case) -> Answer:
    owners: Owners = {a.ip: (p, n) for p in case.peers for n, a in ascend.ask(case.of(p), IP, case.known.numbers).items() if a}
    here = down(case)
    there = {p.name: down(replace(case, node=p, seen=case.of(p))) for p in case.peers}
    return _pings(case, "ping", owners, lambda card, peer, other: card in here or other in there.get(peer, ()))


@check("ascend.hccs-ping", "An A3's chips reach the peers' through the super pod", vendors=("ascend",), nodes=2)
def hccs_ping(case: Case) -> Answer:
    owners: Owners = {v.ip: (p, n) for p in case.peers for n, v in ascend.ask(case.of(p), VNIC, case.known.numbers).items() if v.up}
    closed = {n for n, v in ascend.ask(case.seen, VNIC, case.known.numbers).items() if not v.up}
    return _pings(case, "hccs_ping", owners, lambda card, peer, other: card in closed) if owners else None


def _pings(case: Case, kind: str, owners: Owners, excused: Excused) -> Answer:
    """Pings that were asked for, grouped by what came of them. `excused`: another check names the cause."""
    if "fabric" not in case.seen:
        return None
    if case.seen["fabric"].first != "asked":
        return _not_made(case.seen["fabric"])
    made = late = 0
    groups: dict[tuple[str, str, int], list[tuple[int, int, str]]] = {}
    for name, section in case.seen.under(f"fabric.{kind}"):
        number, _, address = name.partition(".")
        card = int(number)
        peer, other = owners.get(address, (None, -1))
        words = _loss(section)
        made += 1
        if words == LATE:
            late += 1
        elif words and not excused(card, peer.name if peer else "", other):
            key = (words, peer.name if peer else address, -1 if card == other else card)
            groups.setdefault(key, []).append((card, other, address))
    found = [_lost(kind, *key, pairs) for key, pairs in groups.items()]
    if late:
        found.append(
            warn(f"{count(late, 'ping')} of {made} not made: {LATE}", "all of them", "look again; -ping of one card by hand tells more")
        )
    return found or (good(f"{count(made, 'ping')} answered") if made else skip("no addresses to ping; see ascend.address"))


LATE = "the time for hccn_tool was up"


def _not_made(section: Section) -> Say:
    said = section.first
    if said == "skip serving":
        return skip("our engine serves here; its traffic is left alone")
    return warn(f"not tested: {said}", "a test of every rail", "look again when all nodes answer")


def _loss(section: Section) -> str:
    """What is wrong with one ping, or nothing."""
    if LATE in section.text:
        return LATE
    if why := ascend.why_not(section, PING):
        return why
    told = PING.read(section.text)
    return "" if told.ok else f"{told.received} of {told.sent} packets came back{f' ({told.why})' if told.why else ''}"


def _lost(kind: str, words: str, peer: str, alone: int, pairs: list[tuple[int, int, str]]) -> Say:
    card, _, address = pairs[0]
    mine = {c for c, _, _ in pairs}
    theirs = {o for _, o, _ in pairs}
    whom = f"{cards(mine)} to the same of {peer}" if alone < 0 else f"card {alone} to {cards(theirs)} of {peer}"
    way = "the super pod: same Super Pod ID, vnic up on both ends" if kind == "hccs_ping" else "switch, VLAN and subnet of both ends"
    return fail(f"{whom}: {words}", "every packet back", f"check {way}; then hccn_tool -i {card} -{kind} -g address {address}")


@check("ascend.vnic", "An A3's chips have their ports into the super pod", vendors=("ascend",), nodes=2)
def vnic(case: Case) -> Answer:
    shown = ascend.npu_table(case.seen)
    if not shown or shown.family != "a3":
        return None
    told = ascend.ask(case.seen, VNIC, case.known.numbers)
    if not told:
        return skip(unread(case))
    closed = [n for n, v in told.items() if not v.up]
    if closed:
        fix = f"{for_each(closed, 'hccn_tool -i {} -vnic -g')}; reboot the node if they stay down: the driver brings them up"
        return fail(f"{cards(closed, 'chip')}: vnic link status: DOWN", "UP, with an address", fix)
    return good(f"{len(told)} vnics up")


@check("ascend.superpod", "A3 nodes are different servers of one super pod", vendors=("ascend",), nodes=2)
def superpod(case: Case) -> Answer:
    section = case.seen["npu-smi.spod"]
    if not section.name:
        return None
    own = super_pod(section.text)
    found = list(_apart(case, own))
    return found or good(f"super pod {own.id}, server {own.server}")


def _apart(case: Case, own: SuperPod) -> Iterator[Say]:
    for peer in case.peers:
        other = _pod(case.of(peer))
        if other and other.id != own.id:
            seen = f"super pod {own.id}, but {peer.name} is in super pod {other.id}"
            yield fail(seen, "one super pod for a replica", "choose nodes of one super pod, or have the pod's management set the ids")
        elif other and other.server == own.server:
            seen = f"server {own.server} of super pod {own.id}, as {peer.name}"
            yield fail(seen, "different Server Index", "have the super pod's management give every server an index of its own")


def _pod(seen: Seen) -> SuperPod | None:
    try:
        return super_pod(seen["npu-smi.spod"].text)
    except ValueError:
        return None
