"""The bench of the doctor's tests: bundles made from a plan and lines, rules by name, fixtures as blocks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from roles.doctor.analyse import Verdict, analyse
from roles.doctor.evidence import HEAD, Evidence, read, safe
from roles.doctor.head import about, head
from roles.doctor.rules import Rule, rules
from roles.plan.plan import Plan
from tests.unit.sources import plan

FIXTURES = Path(__file__).parents[1] / "fixtures" / "doctor"
MADE = 1795177800.0  # 2026-11-20 12:30 UTC
BOOT = 1795172400.0  # 11:00 UTC
BY_NAME: Mapping[str, Rule] = {r.id: r for r in rules()}
made = cache(plan)


@dataclass
class Case:
    """One replica and what is found on its nodes: `texts[rank][file] = lines`."""

    plan: Plan = field(default_factory=lambda: made("vllm-ascend/a2-dual"))
    texts: dict[int, dict[str, str]] = field(default_factory=dict)
    facts: dict[int, dict[str, str]] = field(default_factory=dict)
    offsets: dict[int, float] = field(default_factory=dict)
    problems: dict[int, str] = field(default_factory=dict)
    failures: list[dict[str, str]] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)
    """What is taken for another plan's, such as hardware no recipe has two nodes of."""

    def put(self, rank: int, file: str, text: str) -> Case:
        self.texts.setdefault(rank, {})[file] = text
        return self

    def files(self, **more: Any) -> dict[str, str]:
        replica = self.plan.replicas[0]
        nodes = [about(replica, n, self.offsets.get(n.rank, 0.0), self.problems.get(n.rank, "")) for n in replica.nodes]
        first = head(self.plan, [replica], nodes, MADE, failures=self.failures, **more)
        found = {HEAD: json.dumps({**first, "known": {**first["known"], **self.known}})}
        for node in replica.nodes:
            if node.rank in self.problems:
                continue
            facts = {"boot": str(BOOT), "zone": "+0000", **self.facts.get(node.rank, {})}
            own = {"facts": "\n".join(f"{k}={v}" for k, v in facts.items()), **self.texts.get(node.rank, {})}
            found |= {f"nodes/{safe(node.name)}/{name}.txt": text for name, text in own.items()}
        return found

    def evidence(self) -> Evidence:
        return read(self.files())[0]

    def verdict(self, only: Sequence[Rule] | None = None) -> Verdict:
        return analyse(self.evidence(), rules() if only is None else only)


@dataclass(frozen=True)
class Block:
    """One part of a fixture: lines in which its rule is seen, or, for a reason, is not."""

    rule: str
    hit: bool
    where: str
    options: Mapping[str, str]
    why: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.rule}-{'hit' if self.hit else 'miss'}-{self.where}-{self.why[:30]}"

    def case(self) -> Case:
        """The block as evidence of rank 0; the other ranks say nothing."""
        case = Case(made(self.options.get("recipe", "vllm-ascend/a2-dual")))
        case.known |= {k: v for k, v in self.options.items() if k in ("hardware",)}
        key, one, two = (self.options.get(k, "") for k in ("key", "one", "two"))
        if "driver" in self.options:
            case.facts[0] = {"driver": self.options["driver"]}
        if self.where == "facts":
            case.facts |= {0: {key: one}, 1: {key: two}}
        elif self.where == "clock":
            case.offsets |= {0: float(one), 1: float(two)}
        elif self.where == "env":
            for rank, value in enumerate((one, two)):
                env = {**case.plan.replicas[0].nodes[rank].env, key: value}
                case.put(rank, "env", "\n".join(f"{k}={v}" for k, v in env.items()))
        elif self.where == "run":
            name = case.plan.replicas[0].nodes[0].name
            lines = (line.partition(": ") for line in self.text.splitlines())
            case.failures += [{"node": name, "stage": stage, "why": why, "fix": ""} for stage, _, why in lines]
        else:
            case.put(0, self.where, self.text)
        return case


def blocks(name: str) -> Iterator[Block]:
    """The blocks of one rule's fixture: `=== hit|miss SOURCE [key=value ...][: why]`, then lines."""
    for chunk in f"\n{(FIXTURES / f'{name}.txt').read_text(encoding='utf-8')}".split("\n=== ")[1:]:
        first, _, text = chunk.partition("\n")
        words, _, why = first.partition(": ")
        kind, where, *options = words.split()
        assert kind in ("hit", "miss"), first
        yield Block(name, kind == "hit", where, dict(o.split("=", 1) for o in options), why, text.rstrip("\n"))


def every() -> list[Block]:
    return [b for path in sorted(FIXTURES.glob("*.txt")) for b in blocks(path.stem)]
