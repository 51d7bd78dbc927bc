"""What is known of failures: the models of files/doctor, read strictly, one sentence per mistake."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from pydantic import AfterValidator, Field

from roles.doctor.advice import placeholders
from roles.plan.check import Strict, parse
from roles.plan.errors import PlanError, near
from roles.plan.recipe import Regex
from roles.plan.yamlfile import read_mapping

FILES = Path(__file__).resolve().parents[2] / "files" / "doctor"
Kind = Literal["cause", "wrapper", "symptom", "note"]
Where = Literal[
    "engine", "plog", "dmesg", "journal", "docker", "unit", "processes", "npu-smi", "nvidia-smi", "hccn", "host", "run", "differences"
]  # fmt: skip
STATES = ("processes", "npu-smi", "nvidia-smi", "hccn", "host", "run", "differences")
"""Looks at how things are: no line in them has a time."""
DIFFERENCES = (
    "image", "driver", "firmware", "cann", "tls", "mtu", "env", "plan-env", "clock", "weights", "kernel", "arch", "generation",
)  # fmt: skip


def _specifier(text: str) -> str:
    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        raise ValueError('version bounds such as ">=0.28" or "<25.0"') from None
    return text


def _id(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9.]+)*", text):
        raise ValueError('a short name of a-z, 0-9 and "-"')
    return text


def _difference(text: str) -> str:
    if text not in DIFFERENCES:
        raise ValueError(f"one of {', '.join(DIFFERENCES)}")
    return text


def _remedy(text: str) -> str:
    problem = placeholders(text)
    if problem:
        raise ValueError(problem)
    return text


Bounds = Annotated[str, AfterValidator(_specifier)]
Id = Annotated[str, AfterValidator(_id)]


class When(Strict):
    """Where a rule applies; what is left out applies everywhere."""

    engines: list[str] = Field([], description="engines, as files/engines names them")
    vendors: list[Literal["ascend", "nvidia", "amd", "apple"]] = Field([], description="whose accelerators")
    hardware: list[str] = Field([], description="machines, as files/hardware names them")
    formats: list[str] = Field([], description="formats of the checkpoint, such as w8a8")
    versions: Bounds | None = Field(None, description="releases of the engine")
    driver: Bounds | None = Field(None, description="releases of the node's accelerator driver")
    nodes: int = Field(1, ge=1, description="replicas of at least so many nodes")


class Rule(Strict):
    """One thing that goes wrong, how it shows, what it means and what mends it."""

    id: Id = Field(description="its stable name")
    kind: Kind = Field("cause", description="cause; wrapper: says only that something failed; symptom: shows, explains nothing; note")
    look_at: Literal["self", "other"] = Field("self", description="other: the real reason is on another rank")
    where: list[Where] = Field(min_length=1, description="which evidence it is looked for in")
    patterns: list[Regex] = Field(min_length=1, description="regular expressions of one line; one of them is enough")
    unless: list[Regex] = Field([], description="a line with one of these is another matter")
    after: list[Regex] = Field([], description="only after a line of the same log with one of these")
    until: list[Regex] = Field([], description="only before the first line of the same log with one of these")
    when: When = Field(When(), description="where it applies")
    explains: list[Id] = Field([], description="rules whose lines are effects of this one, on any rank")
    compare: list[Annotated[str, AfterValidator(_difference)]] = Field([], description="differences between nodes that may be behind it")
    what: str = Field(description="what happened, in a few words")
    means: str = Field(description="why it happens")
    remedy: list[Annotated[str, AfterValidator(_remedy)]] = Field(min_length=1, description="what to do, a sentence or command a line")
    source: str = Field(description="where that is known from")

    @property
    def specific(self) -> int:
        """How much it asks for: of two rules for one line the narrower one is told."""
        return sum(1 for v in self.when.model_dump().values() if v not in ([], None, 1)) + bool(self.after) + bool(self.until)


class Area(Strict):
    """One file of rules."""

    title: str = Field(description="what its rules are about")
    rules: list[Rule] = Field(min_length=1, description="the rules")


def load(folder: Path = FILES) -> dict[str, Area]:
    """All areas by file name; every mistake of all files is told at once."""
    areas: dict[str, Area] = {}
    problems: list[str] = []
    for path in sorted(folder.glob("*.yaml")):
        name = f"files/doctor/{path.name}"
        try:
            areas[path.stem] = parse(Area, read_mapping(path, name), name)
        except PlanError as e:
            problems += e.problems
    if not areas and not problems:
        problems.append(f"{folder}: holds no rules, expected files such as hccl.yaml")
    problems += _crossed(areas)
    if problems:
        raise PlanError(*problems)
    return areas


def _crossed(areas: dict[str, Area]) -> list[str]:
    """Mistakes between rules: an id twice, an effect that is no rule."""
    problems, owner, known = [], dict[str, str](), dict[str, Rule]()
    for area, one in areas.items():
        for rule in one.rules:
            if rule.id in owner:
                problems.append(
                    f'files/doctor/{area}.yaml: the rule "{rule.id}" stands in {owner[rule.id]}.yaml too, expected each id once'
                )
            owner.setdefault(rule.id, area)
            known.setdefault(rule.id, rule)
    for area, one in areas.items():
        for rule in one.rules:
            for other in rule.explains:
                if other not in owner:
                    problems.append(f'files/doctor/{area}.yaml: "{rule.id}" explains "{other}", which is no rule{near(other, owner)}')
            if rule.id in _reached(rule.id, known):
                problems.append(
                    f'files/doctor/{area}.yaml: "{rule.id}" explains itself over {", ".join(rule.explains)}, expected no circle'
                )
    return problems


def _reached(start: str, known: dict[str, Rule]) -> set[str]:
    """All that a rule explains, directly or over others."""
    found: set[str] = set()
    todo = list(known[start].explains)
    while todo:
        one = todo.pop()
        if one not in found:
            found.add(one)
            todo += known[one].explains if one in known else []
    return found


@cache
def rules() -> tuple[Rule, ...]:
    """The rules of this checkout."""
    return tuple(rule for area in load().values() for rule in area.rules)
