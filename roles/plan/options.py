"""Which release of an engine reads which flag and variable."""

from __future__ import annotations

import re
from typing import Literal

from packaging.version import InvalidVersion, Version
from pydantic import Field

from roles.plan.check import Strict


class Option(Strict):
    """One flag or variable over the releases that were read."""

    kind: Literal["value", "bool"] | None = Field(None, description="takes a value, or is a switch")
    negatable: bool = Field(False, description="the switch has a --no- form")
    aliases: list[str] = Field([], description="other spellings")
    since: str | None = Field(None, description="first release read that has it; absent: the oldest read")
    gone: str | None = Field(None, description="first release read that no longer has it; absent: the newest still has it")

    def present(self, version: Version) -> bool:
        return (self.since is None or version >= Version(self.since)) and (self.gone is None or version < Version(self.gone))


class Table(Strict):
    """Generated from the released sources: see tests/tools/engine_options.py."""

    engine: str = Field(description="whose options")
    versions: list[str] = Field(description="releases read, oldest first")
    flags: dict[str, Option] = Field({}, description="flags of the server command")
    launch_flags: dict[str, Option] = Field({}, description="flags of the second step")
    env: dict[str, Option] = Field({}, description="environment variables")
    config: dict[str, Option] = Field({}, description="keys of a JSON flag")

    def flag(self, name: str) -> tuple[str, Option] | None:
        """The canonical name and option of a flag in any of its spellings."""
        return _find(self.flags, name)

    def launch_flag(self, name: str) -> tuple[str, Option] | None:
        return _find(self.launch_flags, name)

    def covers(self, version: Version) -> bool:
        """Whether this very release was read, so that an unknown name is certainly unknown."""
        return str(version) in self.versions

    def newest(self) -> Version:
        return Version(self.versions[-1])

    def oldest(self) -> Version:
        return Version(self.versions[0])


def _find(flags: dict[str, Option], name: str) -> tuple[str, Option] | None:
    wanted = canonical(name)
    if wanted in flags:
        return wanted, flags[wanted]
    for flag, option in flags.items():
        if wanted in (canonical(a) for a in option.aliases):
            return flag, option
    return None


def canonical(name: str) -> str:
    """A flag's name without its dashes in front and with dashes inside."""
    return name.lstrip("-").replace("_", "-")


TAG = re.compile(r"v?(\d+(?:\.\d+)+(?:\.?(?:a|b|rc|post)\d+)*)(?:[-_+].*)?")


def version_of_tag(image: str) -> Version | None:
    """The engine version an image reference says, if its tag says one."""
    name = image.split("@", 1)[0]
    tag = name.rsplit("/", 1)[-1].partition(":")[2]
    match = TAG.fullmatch(tag)
    if not match:
        return None
    try:
        return Version(match.group(1))
    except InvalidVersion:
        return None
