"""Who has which file, who gets which one next, and from whom: the controller's view of a copy. Pure; it says what to tell whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from roles.weights.sizes import files

SLOTS = 3
"""Files that a node gets, and gives, at the same time: few, so that first copies are soon whole and given on by others."""
ALONE = 6
"""The same for a single getter: one stream is as fast as one core hashes."""
LINKS = 3
"""Tries of one source in a row that brought no byte."""
HASHES = 2
"""Arrivals of one file with another hash."""

Sends = list[tuple[str, dict[str, Any]]]
Said = Mapping[str, Any]


@dataclass
class Member:
    """One node with a courier."""

    name: str
    address: str
    goal: bool = False
    """It must end with everything; the others only give."""
    hashes: tuple[str, ...] = ()
    download: Mapping[str, Any] | None = None
    ready: bool = False
    port: int = 0
    failed: str = ""
    downloaded: bool = False
    sealing: bool = False
    sealed: bool = False
    kept: set[str] = field(default_factory=set)
    own: dict[str, str] = field(default_factory=dict)
    """Hashes of what it has, also while nobody knows which hash is right."""
    has: set[str] = field(default_factory=set)
    lacks: set[str] = field(default_factory=set)
    """What it could be given now: it neither has nor gets nor hashes it."""
    hashing: set[str] = field(default_factory=set)
    taking: dict[str, str] = field(default_factory=dict)
    giving: int = 0
    bytes: int = 0
    empty: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    last: str = ""

    @property
    def alive(self) -> bool:
        return not self.failed


class Board:
    """`wanted` is None until the hub's listing came. The origin says which hash of a file is right."""

    def __init__(self, members: Iterable[Member], origin: str, wanted: Mapping[str, int] | None, token: str, source: str = "") -> None:
        self.members = {m.name: m for m in members}
        self.slots = SLOTS if sum(m.goal and m.name != origin for m in self.members.values()) > 1 else ALONE
        self.origin, self.token, self.source = origin, token, source
        self.wanted: Mapping[str, int] | None = wanted
        self.right: dict[str, str] = {}
        self.holders: Counter[str] = Counter()
        self.flying: Counter[str] = Counter()

    @property
    def over(self) -> bool:
        """Nobody is left who could still get something."""
        return all(m.sealed or m.failed for m in self.members.values() if m.goal)

    @property
    def failures(self) -> dict[str, str]:
        return {m.name: m.failed for m in self.members.values() if m.goal and m.failed and not m.sealed}

    def total(self, name: str) -> int:
        """Bytes that this node gets or hashes, as far as that is known."""
        kept = self.members[name].kept
        return sum(size for n, size in (self.wanted or {}).items() if n not in kept)

    def heard(self, name: str, said: Said) -> Sends:
        """One line of a courier."""
        m = self.members[name]
        if said.get("ev") == "bytes":
            m.bytes = said["done"]
            return []
        handle = getattr(self, f"_on_{said.get('ev')}", None)
        if m.failed or handle is None:
            return []
        return [*handle(m, said), *self._onward()]

    def lost(self, name: str, why: str) -> Sends:
        """Its courier has ended, or says nothing any more."""
        return [*self._fail(self.members[name], why), *self._onward()]

    def _on_ready(self, m: Member, said: Said) -> Iterator[tuple[str, dict[str, Any]]]:
        m.ready, m.port = True, int(said["port"])
        m.kept = {name for name, _, _ in said["files"]}
        m.hashing = set(m.hashes) - m.kept
        if m.name == self.origin and m.download is None:
            m.hashing |= (self.wanted or {}).keys() - m.kept  # changed since they were looked at
        if m.hashing:
            yield m.name, {"do": "hash", "names": sorted(m.hashing)}
        if m.download is not None:
            yield m.name, {"do": "download", **m.download}
        yield from self._on_have(m, said)
        for name in self.right:
            yield from self._compare(m, name)

    def _on_have(self, m: Member, said: Said) -> Sends:
        sends: Sends = []
        for name, _, sha in said["files"]:
            self._let_go(m, name)
            m.hashing.discard(name)
            m.lacks.discard(name)
            m.own[name] = sha
            if m.name == self.origin and name in (self.wanted or ()) and name not in self.right:
                self.right[name] = sha
                for other in self.members.values():
                    sends += self._compare(other, name)
            elif name in self.right:
                sends += self._compare(m, name)
        return sends

    def _compare(self, m: Member, name: str) -> Sends:
        sha = m.own.get(name)
        if sha is None or not m.alive or name in m.has:
            if sha is None and m.goal and m.ready and m.download is None and name not in m.hashing:
                m.lacks.add(name)
            return []
        if sha == self.right[name]:
            m.has.add(name)
            self.holders[name] += 1
        elif m.goal:
            hashes = f"SHA-256 {sha[:12]}, {self.right[name][:12]} there"
            return self._fail(m, f"{name} is not the one of {self.origin} ({hashes}); remove the wrong one and prepare again")
        return []

    def _on_listing(self, m: Member, said: Said) -> Sends:
        self.wanted = dict(said["files"])
        self.source = said["source"]
        return [
            (o.name, {"do": "note", "source": self.source, "count": len(self.wanted)})
            for o in self.members.values()
            if o.goal and o.alive and o is not m
        ]

    def _on_downloaded(self, m: Member, said: Said) -> Sends:
        m.downloaded = True
        return []

    def _on_missed(self, m: Member, said: Said) -> Sends:
        name = said["name"]
        source = self._let_go(m, name)
        m.last = said["why"]
        m.lacks.add(name)
        if said["kind"] == "hash":
            m.wrong[name] += 1
            if m.wrong[name] >= HASHES:
                return self._fail(m, f"{said['why']}, {HASHES} times, last from {source}; that copy is damaged, or the way to it")
        elif said["kind"] == "link":
            m.empty[source] = 0 if said["got"] else m.empty[source] + 1
        else:
            return self._fail(m, said["why"])
        return []

    def _on_sealed(self, m: Member, said: Said) -> Sends:
        m.sealed = True
        return []

    def _on_failed(self, m: Member, said: Said) -> Sends:
        return self._fail(m, said["why"])

    def _fail(self, m: Member, why: str) -> Sends:
        if m.failed or (m.sealed and self.over):
            return []
        m.failed = why
        for name in list(m.taking):
            self._let_go(m, name)
        for name in m.has:
            self.holders[name] -= 1
        return [(m.name, {"do": "end"})]

    def _let_go(self, m: Member, name: str) -> str:
        source = m.taking.pop(name, "")
        if source:
            self.members[source].giving -= 1
            self.flying[name] -= 1
        return source

    def _onward(self) -> Sends:
        """What follows from the present state: files assigned, whole folders sealed, hopeless nodes given up."""
        sends = [*self._assign(), *self._seal()]
        for m in [m for m in self.members.values() if self._hopeless(m)]:
            sends += self._fail(m, self._reason(m))
        return sends

    def _seal(self) -> Sends:
        sends: Sends = []
        for m in self.members.values():
            whole = self.wanted is not None and m.has >= self.wanted.keys()
            if m.goal and m.alive and whole and not m.sealing and (m.download is None or m.downloaded):
                m.sealing = True
                sends.append((m.name, {"do": "seal", "count": len(self.wanted or ()), "source": self.source}))
        return sends

    def _assign(self) -> Sends:
        """One file for each node in turn, until nothing more can be given."""
        sends: Sends = []
        takers = [m for m in self.members.values() if m.lacks and m.ready and m.alive]
        free = [g for g in self.members.values() if g.alive and g.ready and g.port and g.has and g.giving < self.slots]
        while free:
            before = len(sends)
            offered: set[str] = set().union(*(g.has for g in free))
            for m in takers:
                choice = self._choice(m, free, offered & m.lacks) if len(m.taking) < self.slots else None
                if choice:
                    sends.append(self._give(m, *choice))
                    if choice[0].giving >= self.slots:
                        free.remove(choice[0])
                        offered = set().union(*(g.has for g in free))
            if len(sends) == before:
                break
        return sends

    def _choice(self, m: Member, free: list[Member], names: set[str]) -> tuple[Member, str] | None:
        """The rarest file, so that nodes soon have different ones to give each other; from the least busy."""
        usable = [g for g in free if g is not m and m.empty[g.name] < LINKS] if names else []
        for name in sorted(names, key=lambda n: (self.holders[n] + self.flying[n], n)) if usable else ():
            if m.taking and self.flying[name] and self.holders[name] == 1:
                continue  # somebody is about to have it who can give it too
            able = [g for g in usable if name in g.has]
            if able:
                return min(able, key=lambda g: (g.giving, g.name == self.origin, g.name)), name
        return None

    def _give(self, m: Member, giver: Member, name: str) -> tuple[str, dict[str, Any]]:
        m.taking[name] = giver.name
        m.lacks.discard(name)
        giver.giving += 1
        self.flying[name] += 1
        size = (self.wanted or {})[name]
        source = {"address": giver.address, "port": giver.port, "token": self.token}
        return m.name, {"do": "take", "name": name, "size": size, "sha": self.right[name], **source}

    def _hopeless(self, m: Member) -> bool:
        """Nothing is on its way to it, and what it lacks can come from nobody."""
        if not (m.goal and m.ready and m.alive) or m.sealing or m.taking or m.hashing or m.download is not None:
            return False
        origin = self.members.get(self.origin)
        if origin and origin.alive and m.empty[origin.name] < LINKS:
            return False
        if self.wanted is None:
            return True
        lacks = sorted(self.wanted.keys() - m.has)
        return bool(lacks) and m.name not in self._reached(lacks[0])

    def _reached(self, name: str) -> set[str]:
        """Nodes that can still come to have a file: from a holder on, over every way that is not known to be broken."""
        origin = self.members.get(self.origin)
        found = {s.name for s in self.members.values() if s.alive and (name in s.has or (s is origin and name not in self.right))}
        edge = set(found)
        while edge:
            edge = {
                m.name
                for m in self.members.values()
                if m.goal and m.alive and m.name not in found and name not in m.own and any(m.empty[s] < LINKS for s in edge)
            }
            found |= edge
        return found

    def _reason(self, m: Member) -> str:
        lacks = files(sorted((self.wanted or {}).keys() - m.has)) or "everything"
        origin = self.members.get(self.origin)
        if origin and origin.failed:
            return f"{lacks} should come from {self.origin}, which failed: {origin.failed}"
        return f"{lacks} comes from nobody: {m.last or f'{self.origin} takes no part'}"
