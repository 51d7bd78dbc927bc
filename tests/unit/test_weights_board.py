"""Who gets which file from whom: everyone ends, with everything or with a sentence, whatever breaks on the way."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roles.weights.board import ALONE, HASHES, LINKS, SLOTS, Board, Member
from tests.examples import examples

Say = tuple[str, dict[str, Any]]


@dataclass
class World:
    """Couriers as the board sees them; `rng` decides who is next and what fails."""

    board: Board
    rng: random.Random
    files: dict[str, str]
    lossy: float = 0.0
    inbox: list[Say] = field(default_factory=list)
    sent: Counter[tuple[str, str]] = field(default_factory=Counter)
    disks: dict[str, dict[str, str]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)

    def start(self, name: str) -> None:
        rows = [[n, 10, s] for n, s in self.disks.get(name, {}).items() if n not in self.board.members[name].hashes]
        self.tell(self.board.heard(name, {"ev": "ready", "port": 1, "files": rows}))

    def tell(self, sends: list[Say]) -> None:
        for name, command in sends:
            if command["do"] == "end":
                self.ended.add(name)
            elif name not in self.ended:
                self.inbox.append((name, command))

    def step(self) -> None:
        name, command = self.inbox.pop(self.rng.randrange(len(self.inbox)))
        if name in self.ended:
            return
        hear = self.board.heard
        if command["do"] == "take":
            file, giver = command["name"], self.board.members[name].taking[command["name"]]
            self.sent[giver, file] += 1
            if giver in self.ended or self.board.members[giver].failed:
                self.tell(hear(name, {"ev": "missed", "name": file, "kind": "link", "why": "refused", "got": 0}))
            elif self.rng.random() < self.lossy:
                kind, got = self.rng.choice([("link", 0), ("link", 5), ("hash", 0)])
                self.tell(hear(name, {"ev": "missed", "name": file, "kind": kind, "why": f"{file} {kind}", "got": got}))
            else:
                self.disks.setdefault(name, {})[file] = command["sha"]
                self.tell(hear(name, {"ev": "have", "files": [[file, 10, command["sha"]]]}))
        elif command["do"] == "hash":
            for file in command["names"]:
                self.tell(hear(name, {"ev": "have", "files": [[file, 10, self.disks[name][file]]]}))
        elif command["do"] == "download":
            self.tell(hear(name, {"ev": "listing", "files": [[n, 10] for n in self.files], "source": "hub"}))
            for file, sha in self.files.items():
                self.disks.setdefault(name, {})[file] = sha
                self.tell(hear(name, {"ev": "have", "files": [[file, 10, sha]]}))
            self.tell(hear(name, {"ev": "downloaded"}))
        elif command["do"] == "seal":
            self.tell(hear(name, {"ev": "sealed"}))

    def run(self, dying: dict[str, int] | None = None) -> None:
        turns = 0
        while not self.board.over:
            for name in [n for n, turn in (dying or {}).items() if turn == turns]:
                self.ended.add(name)
                self.tell(self.board.lost(name, "power cut"))
            if self.board.over:
                break
            assert self.inbox, f"somebody waits for ever: {[(m.name, m.failed, len(m.lacks)) for m in self.board.members.values()]}"
            self.step()
            turns += 1
            assert turns < 20000
        for m in self.board.members.values():
            assert len(m.taking) <= self.board.slots
            assert 0 <= m.giving <= self.board.slots


FILES = {f"model-{n:05d}": f"sha{n}" for n in range(12)}


def world(getters: int, seed: int = 0, lossy: float = 0.0, origin: str = "whole", whole: int = 1) -> World:
    """`origin`: whole (hashes on record), hashing, or download."""
    files = dict(FILES)
    members = [Member(f"n{i}", f"a{i}", goal=origin != "whole") for i in range(whole)]
    if origin == "hashing":
        members[0].hashes = tuple(files)
    if origin == "download":
        members[0].download = {"hub": "huggingface"}
    members += [Member(f"m{i}", f"b{i}", goal=True) for i in range(getters)]
    board = Board(members, "n0", None if origin == "download" else dict.fromkeys(files, 10), "token")
    made = World(board, random.Random(seed), files, lossy)
    for i in range(whole if origin != "download" else 0):
        made.disks[f"n{i}"] = dict(files)
    for m in members:
        made.start(m.name)
    return made


@pytest.mark.parametrize(
    ("origin", "getters"), [(o, n) for o in ("whole", "hashing", "download") for n in (0, 1, 2, 9) if n or o != "whole"]
)
def test_everyone_gets_everything(origin: str, getters: int) -> None:
    made = world(getters, origin=origin)
    made.run()
    assert made.board.failures == {}
    assert all(made.disks[f"m{i}"] == FILES for i in range(getters))


def test_two_getters_take_different_files_first_and_give_them_to_each_other() -> None:
    made = world(2)
    first = [(name, command["name"]) for name, command in made.inbox if command["do"] == "take"]
    assert len({file for _, file in first}) == len(first) == SLOTS
    made.run()
    from_origin = sum(count for (giver, _), count in made.sent.items() if giver == "n0")
    assert from_origin < 1.5 * len(FILES)


@examples(120)
@given(st.integers(1, 6), st.integers(0, 10**6), st.sampled_from(["whole", "hashing", "download"]), st.data())
def test_whatever_dies_nobody_waits_for_ever(getters: int, seed: int, origin: str, data: st.DataObject) -> None:
    lossy = data.draw(st.sampled_from([0.0, 0.1, 0.4]))
    whole = data.draw(st.integers(1, 3)) if origin == "whole" else 1
    made = world(getters, seed, lossy, origin, whole)
    names = list(made.board.members)
    dying = data.draw(st.dictionaries(st.sampled_from(names), st.integers(0, 60), max_size=3))
    made.run(dying)
    for m in made.board.members.values():
        if m.goal and not m.failed:
            assert made.disks[m.name] == FILES
        if m.goal and m.failed:
            assert m.failed.strip()


def test_a_dead_origin_does_not_matter_once_every_file_is_with_somebody() -> None:
    made = world(3)
    while not all(any(made.board.members[f"m{i}"].has >= {f} for i in range(3)) for f in FILES):
        made.step()
    made.ended.add("n0")
    made.tell(made.board.lost("n0", "power cut"))
    made.run()
    assert made.board.failures == {}


def test_when_the_origin_dies_early_the_sentence_names_it() -> None:
    made = world(2)
    made.ended.add("n0")
    made.tell(made.board.lost("n0", "power cut"))
    made.run()
    assert set(made.board.failures) == {"m0", "m1"}
    assert made.board.failures["m0"].endswith("should come from n0, which failed: power cut")


def test_a_file_that_arrives_wrong_twice_is_the_end_and_names_its_source() -> None:
    board = world(1).board
    name = next(iter(board.members["m0"].taking))
    for _ in range(HASHES):
        board.heard("m0", {"ev": "missed", "name": name, "kind": "hash", "why": f"{name} arrived wrong", "got": 0})
    assert board.failures == {"m0": f"{name} arrived wrong, {HASHES} times, last from n0; that copy is damaged, or the way to it"}


def test_a_source_that_gives_nothing_is_left_alone_and_others_are_asked() -> None:
    made = world(1, whole=2)
    m = made.board.members["m0"]
    for _ in range(LINKS):
        name = next(n for n, giver in m.taking.items() if giver == "n0")
        made.tell(made.board.heard("m0", {"ev": "missed", "name": name, "kind": "link", "why": "no route", "got": 0}))
    made.inbox[:] = [("m0", {"do": "take", "name": n, "sha": FILES[n]}) for n in m.taking]
    made.run()
    assert made.board.failures == {}
    assert made.sent["n0", "model-00011"] == 0


def test_nobody_reachable_gives_the_last_reason() -> None:
    made = world(1)
    m = made.board.members["m0"]
    assert len(m.taking) == ALONE
    while not m.failed:
        name = next(iter(m.taking))
        made.board.heard("m0", {"ev": "missed", "name": name, "kind": "link", "why": "10.0.0.11:4000: Connection refused", "got": 0})
    assert m.failed.endswith("comes from nobody: 10.0.0.11:4000: Connection refused")


@pytest.mark.parametrize("kind", ["space", "disk"])
def test_a_node_with_a_bad_disk_fails_at_once_and_alone(kind: str) -> None:
    made = world(2)
    name = next(iter(made.board.members["m0"].taking))
    made.tell(made.board.heard("m0", {"ev": "missed", "name": name, "kind": kind, "why": "no space left", "got": 0}))
    made.run()
    assert made.board.failures == {"m0": "no space left"}


def test_a_file_that_is_not_the_origins_is_a_conflict_and_nothing_is_replaced() -> None:
    files = {"a": 10, "b": 10}
    board = Board([Member("n0", "a0"), Member("m0", "b0", goal=True, hashes=("a",))], "n0", files, "t")
    board.heard("m0", {"ev": "ready", "port": 1, "files": []})
    board.heard("m0", {"ev": "have", "files": [["a", 10, "f" * 64]]})
    board.heard("n0", {"ev": "ready", "port": 1, "files": [["a", 10, "e" * 64], ["b", 10, "d" * 64]]})
    assert board.failures["m0"].startswith("a is not the one of n0 (SHA-256 ffffffffffff, eeeeeeeeeeee there); remove the wrong one")


def test_a_file_of_the_origin_that_changed_since_the_look_is_hashed_again() -> None:
    board = Board([Member("n0", "a0"), Member("m0", "b0", goal=True)], "n0", {"a": 10, "b": 10}, "t")
    sends = board.heard("n0", {"ev": "ready", "port": 1, "files": [["a", 10, "e" * 64]]})
    assert ("n0", {"do": "hash", "names": ["b"]}) in sends


def test_what_a_node_moves_is_counted_without_what_it_has() -> None:
    board = Board([Member("n0", "a0"), Member("m0", "b0", goal=True)], "n0", {"a": 10, "b": 20}, "t")
    board.heard("m0", {"ev": "ready", "port": 1, "files": [["a", 10, "e" * 64]]})
    assert board.total("m0") == 20
    assert board.heard("m0", {"ev": "bytes", "done": 7}) == []
    assert board.members["m0"].bytes == 7
