"""Which flags and variables apply: recipe, variants, inventory; filtered by version and facts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from packaging.version import Version

from roles.plan.errors import PlanError, near, shown
from roles.plan.options import Option, Table, canonical
from roles.plan.recipe import Engine, Owned, Recipe, Setting

OWN_ENV = ("VLLM_", "SGLANG_", "SGL_", "XINFERENCE_")
CONFIG_FLAG = "additional-config"
NAMES = re.compile(r"\$\{([a-z_]+)\}")


@dataclass(frozen=True)
class Chosen:
    """One flag or variable that made it into the plan, before a node fills it in."""

    name: str
    value: Any
    on: str = "all"
    why: str = ""
    source: str = ""
    literal: bool = False
    """Set by the inventory: never a template."""

    def applies(self, rank: int) -> bool:
        return self.on == "all" or (rank == 0) == (self.on == "first")


@dataclass(frozen=True)
class Known:
    """What is known of an engine's options at one version: the first table holds its flags."""

    tables: tuple[Table, ...]
    version: Version

    @property
    def release(self) -> Version:
        """The release without rc and post: option tables hold final releases."""
        return Version(self.version.base_version)

    def flag(self, name: str) -> tuple[str, Option] | None:
        return self.tables[0].flag(name)

    def env(self, name: str) -> Option | None:
        """Only the engine's own variables: that a plugin no longer reads HCCL_X says nothing about HCCL."""
        if not name.startswith(OWN_ENV):
            return None
        return next((t.env[name] for t in self.tables if name in t.env), None)

    def strange_config(self, keys: Iterable[str]) -> list[str]:
        """Keys of additional-config that no release that was read knows, with their near misses."""
        known = {k for t in self.tables for k in t.config}
        return [f'"{k}"{near(k, known)}' for k in keys if known and k not in known]


@dataclass(frozen=True)
class Settings:
    """Everything chosen, and what was said on the way."""

    flags: tuple[Chosen, ...]
    env: tuple[Chosen, ...]
    launch: tuple[Chosen, ...]
    warnings: tuple[str, ...]
    left_out: tuple[str, ...]

    def value(self, flag: str | None) -> Any:
        """A flag's value, or None where it is not set."""
        return next((c.value for c in (*self.flags, *self.launch) if c.name == flag), None)


def choose(
    recipe: Recipe,
    engine: Engine,
    known: Known,
    facts: frozenset[str],
    variants: list[str],
    flags: Mapping[str, Any],
    env: Mapping[str, Any],
    place: str,
) -> Settings:
    """Recipe, then variants, then inventory; what the version does not read is left out and said."""
    warnings: list[str] = []
    left_out: list[str] = []
    flag_map, env_map, launch_map = dict(recipe.flags), dict(recipe.env), dict(recipe.launch)
    for name in variants:
        if name not in recipe.variants:
            have = ", ".join(recipe.variants) or "none"
            raise PlanError(
                f'{place}: "variants" names {shown(name)}{near(name, recipe.variants)}, expected variants of the recipe: {have}'
            )
        _apply(flag_map, recipe.variants[name].flags)
        _apply(env_map, recipe.variants[name].env)
        _apply(launch_map, recipe.variants[name].launch)
    chosen_flags = _kept(flag_map, facts, known, lambda n: (known.flag(n) or (n, None))[1], "--", left_out)
    chosen_env = _kept(env_map, facts, known, known.env, "", left_out)
    launch = _kept(launch_map, facts, known, lambda n: None, "--", left_out)
    own_flags = {_spelled(k, chosen_flags, known): v for k, v in flags.items()}
    if len(own_flags) < len(flags):
        raise PlanError(f'{place}: "flags" sets one flag under two spellings ({", ".join(flags)}), expected each once')
    chosen_flags = _overridden(chosen_flags, own_flags, _judge_flag(known, engine, place, warnings), warnings, f'{place}: "flags')
    chosen_env = _overridden(chosen_env, env, _judge_env(known, engine, place, warnings), warnings, f'{place}: "env')
    return Settings(tuple(chosen_flags), tuple(chosen_env), tuple(launch), tuple(warnings), tuple(left_out))


def _apply(base: dict[str, Setting], changes: Mapping[str, Setting | None]) -> None:
    for name, setting in changes.items():
        if setting is None:
            base.pop(name, None)
        else:
            base[name] = setting


def _kept(
    settings: Mapping[str, Setting],
    facts: frozenset[str],
    known: Known,
    option: Callable[[str], Option | None],
    dash: str,
    left_out: list[str],
) -> list[Chosen]:
    kept = []
    for name, s in settings.items():
        if (s.when and not facts.intersection(s.when)) or facts.intersection(s.unless):
            continue
        info = option(name) or Option()
        since, gone = s.since or info.since, s.gone or info.gone
        if since and known.release < Version(since):
            left_out.append(f"{dash}{name}: not before {since}, the image has {known.release}")
        elif gone and known.release >= Version(gone):
            reason = "not set" if s.gone else "no longer read"
            left_out.append(f"{dash}{name}: {reason} from {gone} on, the image has {known.release}")
        else:
            kept.append(Chosen(name, s.value, s.on, s.why, s.source))
    return kept


def _spelled(name: str, chosen: list[Chosen], known: Known) -> str:
    """The recipe's spelling of a flag that the inventory may have spelled otherwise."""
    found = known.flag(name)
    wanted = found[0] if found else canonical(name)
    for c in chosen:
        other = known.flag(c.name)
        if (other[0] if other else canonical(c.name)) == wanted:
            return c.name
    return wanted


def _overridden(
    chosen: list[Chosen],
    changes: Mapping[str, Any],
    judge: Callable[[str, Any], bool],
    warnings: list[str],
    place: str,
) -> list[Chosen]:
    result = {c.name: c for c in chosen}
    for name, value in changes.items():
        if not judge(name, value):
            continue
        if value is None:
            if result.pop(name, None) is None:
                warnings.append(f'{place}.{name}" removes what the recipe does not set{near(name, result)}')
        elif name in result:
            result[name] = replace(result[name], value=value, why="set in the inventory", source="inventory", literal=True)
        else:
            result[name] = Chosen(name, value, "all", "set in the inventory", "inventory", True)
    return list(result.values())


def _owned(name: str, owned: Mapping[str, Owned], field: str, place: str) -> None:
    if name in owned:
        raise PlanError(f'{place}: "{field}.{name}" is decided by the plan, expected {owned[name].instead}')


def _judge_flag(known: Known, engine: Engine, place: str, warnings: list[str]) -> Callable[[str, Any], bool]:
    def judge(name: str, value: Any) -> bool:
        """Whether the flag is rendered; a flag the version dropped would stop the engine, so it is left out."""
        where, table = f'{place}: "flags.{name}"', known.tables[0]
        _owned(name, engine.owned_flags, "flags", place)
        if value is None:
            return True
        found = known.flag(name)
        if found is None:
            guess = near(name, table.flags)
            if table.covers(known.release):
                raise PlanError(f"{where} is not a flag of {table.engine} {known.release}{guess}; correct or remove it")
            warnings.append(f"{where} is not a flag of any {table.engine} release that was read{guess}")
            return True
        option = found[1]
        if option.gone and known.release >= Version(option.gone):
            warnings.append(f"{where} was dropped in {table.engine} {option.gone} and the image has {known.release}: left out")
            return False
        if option.since and known.release < Version(option.since):
            warnings.append(f"{where} came with {table.engine} {option.since} and the image has {known.release}: left out")
            return False
        if option.kind == "bool" and not isinstance(value, bool):
            raise PlanError(f"{where} is {shown(value)}, expected true, false or None: it takes no value")
        if option.kind == "value" and isinstance(value, bool):
            raise PlanError(f"{where} is {value}, expected a value (or None to remove it)")
        if name == CONFIG_FLAG and isinstance(value, dict):
            warnings.extend(f"{where} has the key {k}, which no release that was read knows" for k in known.strange_config(value))
        if value is False and not option.negatable:
            raise PlanError(f"{where} is false, expected true or None: {table.engine} has no --no-{name}")
        return True

    return judge


def _judge_env(known: Known, engine: Engine, place: str, warnings: list[str]) -> Callable[[str, Any], bool]:
    def judge(name: str, value: Any) -> bool:
        _owned(name, engine.owned_env, "env", place)
        option = known.env(name)
        if value is not None and option and option.gone and known.release >= Version(option.gone):
            warnings.append(f'{place}: "env.{name}" is no longer read from {option.gone} on and the image has {known.release}; remove it')
        elif value is not None and option and option.since and known.release < Version(option.since):
            warnings.append(f'{place}: "env.{name}" is read from {option.since} on and the image has {known.release}; it has no effect')
        return True

    return judge


def filled(value: Any, names: Mapping[str, Any], place: str) -> Any:
    """`${name}` in a recipe's value; a value that is nothing but one name keeps that name's type."""
    if isinstance(value, str):
        if "${" not in value:
            return value
        whole = NAMES.fullmatch(value)
        if whole:
            return _named(whole.group(1), names, place)
        return NAMES.sub(lambda m: str(_named(m.group(1), names, place)), value)
    if isinstance(value, list):
        return [filled(v, names, place) for v in value]
    if isinstance(value, dict):
        return {k: filled(v, names, place) for k, v in value.items()}
    return value


def _named(name: str, names: Mapping[str, Any], place: str) -> Any:
    if name not in names or names[name] is None:
        raise PlanError(f"{place}: ${{{name}}} is not known here, expected one of {', '.join(n for n in names if names[n] is not None)}")
    return names[name]


def argv(flag: str, value: Any) -> Iterator[str]:
    """One flag as the engine's command line wants it."""
    if value is True:
        yield f"--{flag}"
    elif value is False:
        yield f"--no-{flag}"
    elif isinstance(value, list):
        yield f"--{flag}"
        yield from (text(v) for v in value)
    else:
        word = text(value)
        if word.startswith("-") and not isinstance(value, (int, float)):
            yield f"--{flag}={word}"  # else the parser takes the value for another flag
        else:
            yield f"--{flag}"
            yield word


def text(value: Any) -> str:
    """A value as one argument."""
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
