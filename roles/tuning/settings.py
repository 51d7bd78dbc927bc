"""settings.yaml as data: which settings belong to which hardware."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import Field

from roles.plan.check import Strict, parse
from roles.plan.yamlfile import read_mapping

FILE = Path(__file__).with_name("settings.yaml")
PROC = "/proc/sys/"
DEBUG = "/sys/kernel/debug/"


class Knob(Strict):
    """One kernel setting."""

    value: int = Field(description="what it is set to")
    debugfs: str | None = Field(None, description="the same knob of newer kernels, below /sys/kernel/debug")
    source: str = Field(description="who asks for it")


class Advice(Strict):
    """What is looked at and said, but never set."""

    governor: str | None = Field(None, description="CPU frequency governor")


class Settings(Strict):
    """All that one kind of hardware asks of its host."""

    sysctl: dict[str, Knob] = Field({}, description="kernel settings by their sysctl name")
    governor: str | None = Field(None, description="CPU frequency governor")
    advice: Advice = Field(Advice(governor=None), description="what is only said")
    limits: dict[str, str | int] = Field({}, description="limits of login sessions, for engines started by hand")
    ports: bool = Field(False, description="whether the plan's ports are reserved")


@cache
def _all() -> dict[str, Settings]:
    return {vendor: parse(Settings, data, f"{FILE.name}: {vendor}") for vendor, data in read_mapping(FILE, FILE.name).items()}


def of(vendor: str) -> Settings:
    """The settings of one maker's machines."""
    return _all()[vendor]


def every() -> list[Settings]:
    """Of all makers: a node may have been tuned for another than it is now."""
    return list(_all().values())


def path(name: str) -> str:
    """A sysctl's file: vm.swappiness is /proc/sys/vm/swappiness."""
    return PROC + name.replace(".", "/")
