"""The data under files/: recipes with what they extend, engines, machines, checkpoints, option tables."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from roles.plan.check import Strict, parse
from roles.plan.errors import PlanError, near, shown
from roles.plan.options import Table
from roles.plan.recipe import Engine, Hardware, Model, Recipe
from roles.plan.yamlfile import read_mapping

FILES = Path(__file__).resolve().parents[2] / "files"
NAME = re.compile(r"_?[a-z0-9][a-z0-9.-]*(/_?[a-z0-9][a-z0-9.-]*)*")
MAX_EXTENDS = 5
S = TypeVar("S", bound=Strict)


class Library:
    """Reads files/ once and keeps what it read; every error names the file and the field."""

    def __init__(self, root: Path = FILES) -> None:
        self.root = root
        self._read: dict[str, Any] = {}

    def recipe(self, name: str, where: str) -> Recipe:
        """The recipe an inventory names; `where` is the field that names it."""
        known = self.recipes()
        if name not in known:
            raise PlanError(f"{where} is {shown(name)}, expected a recipe of files/recipes{near(name, known)}: {', '.join(known)}")
        if name not in self._read:
            file = f"files/recipes/{name}.yaml"
            recipe = parse(Recipe, self._extended("recipes", name, ()), file)
            self.engine(recipe.engine, f'{file}: "engine"')
            self.hardware(recipe.hardware, f'{file}: "hardware"')
            self._read[name] = recipe
        found: Recipe = self._read[name]
        return found

    def recipes(self) -> list[str]:
        """Names of all recipes that can be chosen; a name that starts with `_` is only extended."""
        found = sorted((self.root / "recipes").rglob("*.yaml"))
        names = [p.relative_to(self.root / "recipes").with_suffix("").as_posix() for p in found]
        return [n for n in names if not n.rsplit("/", 1)[-1].startswith("_")]

    def _extended(self, folder: str, name: str, below: tuple[str, ...]) -> dict[str, Any]:
        file = f"files/{folder}/{name}.yaml"
        if name in below or len(below) >= MAX_EXTENDS:
            raise PlanError(
                f'{file}: "extends" goes {" -> ".join((*below, name))}, expected a chain of at most {MAX_EXTENDS} without a circle'
            )
        data = read_mapping(self.root / folder / f"{name}.yaml", file)
        parents = data.pop("extends", [])
        result: dict[str, Any] = {}
        for parent in parents if isinstance(parents, list) else [parents]:
            if not isinstance(parent, str) or not NAME.fullmatch(parent) or not (self.root / folder / f"{parent}.yaml").is_file():
                raise PlanError(f'{file}: "extends" is {shown(parent)}, expected the name of a file in files/{folder}, or a list of them')
            result = merged(result, self._extended(folder, parent, (*below, name)))
        return merged(result, data)

    def engine(self, name: str, where: str) -> Engine:
        return self._one("engines", name, where, Engine)

    def hardware(self, name: str, where: str) -> Hardware:
        return self._one("hardware", name, where, Hardware)

    def table(self, name: str, where: str) -> Table:
        return self._one("engines/options", name, where, Table)

    def _one(self, folder: str, name: str, where: str, model: type[S]) -> S:
        file = f"files/{folder}/{name}.yaml"
        if file not in self._read:
            known = sorted(p.stem for p in (self.root / folder).glob("*.yaml"))
            if name not in known:
                raise PlanError(f"{where} is {shown(name)}, expected one of files/{folder}{near(name, known)}: {', '.join(known)}")
            self._read[file] = parse(model, self._extended(folder, name, ()), file)
        value: S = self._read[file]
        return value

    def models(self) -> dict[str, Model]:
        """Every checkpoint and draft head, by the name inventories use."""
        if "models" not in self._read:
            files = sorted((self.root / "models").glob("*.yaml"))
            found = [parse(Model, read_mapping(f, f"files/models/{f.name}"), f"files/models/{f.name}") for f in files]
            self._read["models"] = {m.name: m for m in found}
        models: dict[str, Model] = self._read["models"]
        return models

    def model(self, name: str, where: str) -> Model:
        """A checkpoint by its name or one of its hub ids, in any case."""
        models = self.models()
        spelled = {
            s.lower(): m for m in models.values() for s in (m.name, m.huggingface, m.modelscope, m.public) if s and m.kind == "checkpoint"
        }
        spelled |= {m.name.lower(): m for m in models.values() if m.kind == "checkpoint"}
        found = spelled.get(name.lower())
        if found is None:
            names = sorted(m.name for m in models.values() if m.kind == "checkpoint")
            raise PlanError(f"{where} is {shown(name)}, expected a model of files/models{near(name, names)}: {', '.join(names)}")
        return found


def merged(parent: dict[str, Any], child: dict[str, Any]) -> dict[str, Any]:
    """The child's fields over the parent's: maps merge, all else is replaced, null removes.

    A flag or variable is replaced whole: half of one value and half of another is no value.
    """
    result = dict(parent)
    for key, value in child.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict) and "value" not in value and "do" not in value:
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


@cache
def library() -> Library:
    """The library of this checkout."""
    return Library()
