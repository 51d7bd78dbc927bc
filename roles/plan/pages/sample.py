"""A sample inventory for every recipe, its plan, and what files/site/pages.yaml says of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from roles.plan.library import library
from roles.plan.pages.words import literal
from roles.plan.plan import Plan, make
from roles.plan.recipe import Recipe
from roles.plan.source import Source, read_inventory
from roles.plan.yamlfile import read_mapping

ROOT = Path(__file__).resolve().parents[3]
DATA = "files/site/pages.yaml"


@dataclass(frozen=True)
class Sample:
    """One recipe with an inventory that uses it, and the plan of that."""

    name: str
    recipe: Recipe
    file: str
    changes: dict[str, Any]
    source: Source
    plan: Plan

    @property
    def settings(self) -> str:
        """What has to be set on the sample file's command line to get this very plan."""
        return "".join(f" --set {k}={v}" for k, v in self.changes.items())


@cache
def data() -> dict[str, Any]:
    return read_mapping(ROOT / DATA, DATA)


def names() -> list[str]:
    """Every recipe with a page; the lab's own are told in lab.md."""
    return [n for n in library().recipes() if not n.startswith("lab/")]


@cache
def sample(name: str) -> Sample:
    told = data()["samples"][name]
    file = f"inventories/{told['inventory']}.py"
    given = replace(read_inventory(ROOT / file), file=file)
    changes = {**({} if given.data["recipe"] == name else {"recipe": name}), **told.get("set", {})}
    more = tuple((host, dict(keys)) for host, keys in told.get("more", []))
    source = replace(given, hosts=(*given.hosts, *more), data={**given.data, **changes})
    return Sample(name, library().recipe(name, DATA), file, changes, source, make(source))


def inventory(source: Source) -> str:
    """The inventory as a file."""
    hosts = "".join(f'        ("{name}", {literal(dict(keys))}),\n' for name, keys in source.hosts)
    keys = "".join(f"        {literal(k)}: {literal(v)},\n" for k, v in source.data.items())
    return f"{source.cluster} = (\n    [\n{hosts}    ],\n    {{\n{keys}    }},\n)\n"


def cited(text: str) -> Iterator[str]:
    """The sources of pages.yaml that a text names."""
    for name, means in data()["sources"].items():
        number = name.removeprefix("seed ")
        found = re.search(rf"\bseeds? [0-9, ]*\b{number}\b", text) if number != name else re.search(rf"\b{name[:2]}(?:#| PR#)\d", text)
        if found:
            yield f"{name}{'number' * name.endswith('#')}: {means}"
