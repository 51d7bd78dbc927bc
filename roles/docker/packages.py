"""packages.yaml as data: how a system gets Docker."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from roles.plan.check import Strict, parse
from roles.plan.yamlfile import read_mapping

FILE = Path(__file__).with_name("packages.yaml")


class Packages(Strict):
    """What one system installs, and with what."""

    tool: Literal["apt", "dnf"] = Field(description="the system's package manager")
    packages: list[str] = Field(description="apt: all of them; dnf: the first that a repository has")


@cache
def _all() -> dict[str, Packages]:
    return {name: parse(Packages, data, f"{FILE.name}: {name}") for name, data in read_mapping(FILE, FILE.name).items()}


def of(system: str, like: str = "") -> Packages | None:
    """By the system's own name, else by what it says it is like."""
    return next((_all()[name] for name in (system, *like.split()) for name in [name.lower()] if name in _all()), None)
