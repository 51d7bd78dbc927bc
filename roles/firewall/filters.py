"""What other firewalls do with a peer: iptables' rules followed for one connection; firewalld and nft by what they say."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

PORT = 45000
"""Some high port: engines listen on random ones."""
ENDS = {"ACCEPT": True, "DROP": False, "REJECT": False}


@dataclass(frozen=True)
class Packet:
    """The first packet of a connection from a peer."""

    source: str
    target: str
    nic: str
    port: int = PORT


def chains(lines: Sequence[str]) -> tuple[dict[str, list[list[str]]], dict[str, str]]:
    """`iptables -S` as rules by chain, and the policies."""
    rules: dict[str, list[list[str]]] = {}
    policies: dict[str, str] = {}
    for line in lines:
        words = _words(line)
        if words[:1] == ["-P"] and len(words) > 2:
            policies[words[1]] = words[2]
        elif words[:1] == ["-A"] and len(words) > 1:
            rules.setdefault(words[1], []).append(words[2:])
    return rules, policies


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:  # a comment with an odd quote
        return line.split()


def passes(lines: Sequence[str], packet: Packet) -> tuple[bool, str]:
    """Whether INPUT lets it in, and by which rule; a rule with conditions nobody knows here does not count."""
    rules, policies = chains(lines)
    answer = _through("INPUT", rules, packet, 0)
    if answer is not None:
        return answer
    policy = policies.get("INPUT", "ACCEPT")
    return ENDS.get(policy, True), f"policy {policy}"


def _through(chain: str, rules: Mapping[str, list[list[str]]], packet: Packet, depth: int) -> tuple[bool, str] | None:
    for rule in rules.get(chain, []) if depth < 20 else []:
        target = next((rule[i + 1] for i, w in enumerate(rule[:-1]) if w in ("-j", "-g")), "")
        if not target or not all(_conditions(rule, packet)):
            continue
        if target in ENDS:
            return ENDS[target], f"-A {chain} {' '.join(rule)}"
        if target == "RETURN":
            return None
        found = _through(target, rules, packet, depth + 1)
        if found is not None:
            return found
    return None


def _conditions(rule: Sequence[str], packet: Packet) -> Iterator[bool]:
    """Each condition of a rule, held against the packet."""
    words, negated = iter(rule), False
    for word in words:
        if word == "!":
            negated = True
            continue
        if word in ("-j", "-g"):
            return
        value = next(words, "")
        if word in ("-m", "--comment"):
            continue
        yield _holds(word, value, packet) != negated
        negated = False


def _holds(word: str, value: str, packet: Packet) -> bool:
    if word in ("-s", "-d"):
        wanted = packet.source if word == "-s" else packet.target
        return ipaddress.ip_address(wanted) in ipaddress.ip_network(value, strict=False)
    if word == "-i":
        return packet.nic == value or (value.endswith("+") and packet.nic.startswith(value[:-1]))
    if word == "-p":
        return value in ("tcp", "all", "6")
    if word in ("--ctstate", "--state"):
        return "NEW" in value.split(",")
    if word in ("--dport", "--dports"):
        return any(_within(part) for part in value.split(","))
    return False


def _within(part: str) -> bool:
    first, _, last = part.partition(":")
    return first.isdigit() and int(first) <= PORT <= int(last or first)


def closed_tables(text: str, peers: Sequence[str]) -> list[str]:
    """nft tables whose input chain drops by default and that do not name every peer; those of iptables, firewalld and ourselves apart."""
    found = []
    for name, body in re.findall(r"^table (\w+ [\w-]+) \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL):
        if name in ("ip filter", "ip6 filter") or "firewalld" in name or "bringup_" in name:
            continue
        drops = re.search(r"hook input [^;]*; policy drop;", body)
        if drops and not all(_named(peer, body) for peer in peers):
            found.append(name)
    return found


def _named(peer: str, body: str) -> bool:
    address = ipaddress.ip_address(peer)
    words = re.findall(r"\d+\.\d+\.\d+\.\d+(?:/\d+)?", body)
    return any(address in ipaddress.ip_network(w, strict=False) for w in words)
