"""Other firewalls on the node that would cut it off from its peers: read, not tried; network.reach tries."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from roles.firewall.filters import Packet, closed_tables, passes
from roles.run.checks import Answer, Case, Say, check, good, skip, warn


@check(
    "firewall.rules",
    "No firewall of the node stands between the replica's nodes",
    why="the engines talk on random ports: all of TCP between the nodes must be open",
    nodes=2,
)
def rules(case: Case) -> Answer:
    tables, nft = case.seen["firewall.iptables"], case.seen["firewall.nft"]
    if case.seen["firewall.host"].pairs.get("look") != "full":
        return None  # a short probe
    found = [*_iptables(case), *_firewalld(case), *_nft(case)]
    if found:
        return found
    if not tables.ok and not nft.ok:
        return skip("neither iptables nor nft answers")
    return good("no rule cuts the peers off")


def _iptables(case: Case) -> Iterator[Say]:
    section = case.seen["firewall.iptables"]
    cut = {}
    for peer in case.peers if section.ok else []:
        open_, by = passes(section.lines, Packet(peer.address, case.node.address, case.node.nic or ""))
        if not open_:
            cut[peer.address] = by
    if cut:
        seen = f"iptables stops {_few(list(cut))}: {next(iter(cut.values()))}"
        yield warn(seen, "all TCP from the peers accepted", "; ".join(f"iptables -I INPUT -s {a} -j ACCEPT" for a in list(cut)[:4]))


def _firewalld(case: Case) -> Iterator[Say]:
    said = case.seen["firewall.firewalld"].pairs
    if not said or said.get("zone") == "trusted" or said.get("target") == "ACCEPT":
        return
    trusted = [ipaddress.ip_network(w, strict=False) for w in said.get("trusted", "").split() if w[:1].isdigit()]
    cut = [p.address for p in case.peers if not any(ipaddress.ip_address(p.address) in n for n in trusted)]
    if cut:
        add = " ".join(f"--add-source={a}" for a in cut[:4])
        seen = f"firewalld's zone {said.get('zone')} holds the NIC and does not trust {_few(cut)}"
        yield warn(seen, "the peers in zone trusted", f"firewall-cmd --permanent --zone=trusted {add} && firewall-cmd --reload")


def _nft(case: Case) -> Iterator[Say]:
    section = case.seen["firewall.nft"]
    closed = closed_tables(section.text, [p.address for p in case.peers]) if section.ok else []
    if closed:
        seen = f"nft's table {', '.join(closed)} drops what comes in and does not name the peers"
        yield warn(seen, "the peers' addresses accepted", f"nft list table {closed[0]}, and let {_few([p.address for p in case.peers])} in")


def _few(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
