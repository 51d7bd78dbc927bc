"""Validation: pydantic's verdicts as sentences that name file, field, what was seen and what was expected."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from roles.plan.errors import PlanError, listed, near, shown


class Strict(BaseModel):
    """Base of everything read from a file: unknown fields refused, no silent conversion, frozen."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


M = TypeVar("M", bound=BaseModel)
_KEPT_SECRET = ("password", "token", "secret", "key")


def parse(model: type[M], data: Mapping[str, Any], where: str) -> M:
    """`data` as a `model`, or a PlanError with one sentence per wrong field."""
    try:
        return model.model_validate(dict(data))
    except ValidationError as e:
        raise PlanError(*sentences(e, model, where)) from None


def sentences(error: ValidationError, model: type[BaseModel], where: str) -> list[str]:
    """One sentence per wrong field; complaints about one value, or about the items of one list, become one."""
    by_field: dict[str, list[Any]] = {}
    for item in error.errors(include_url=False, include_context=True):
        loc = [str(p) for p in item["loc"] if not _is_union_label(p)]
        by_field.setdefault(".".join(loc), []).append(item)
    first_of_each: dict[str, str] = {}
    for name, items in _outermost(by_field).items():
        first_of_each.setdefault(re.sub(r"\.\d+", ".N", name), f"{where}: {_sentence(name, items, model)}")
    return list(first_of_each.values())


def _outermost(by_field: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """A union reports its branches at several depths; keep the field itself, not each branch's inside."""
    return {n: i for n, i in by_field.items() if not any(n.startswith(f"{o}.") for o in by_field)}


def _is_union_label(part: object) -> bool:
    return isinstance(part, str) and (part in _LABELS or part.startswith(("list[", "dict[", "constrained-", "function-", "literal[")))


_LABELS = {"str", "int", "float", "bool", "none", "list", "dict"}


def _sentence(name: str, items: list[Any], model: type[BaseModel]) -> str:
    first = items[0]
    kind = first["type"]
    last = name.rsplit(".", 1)[-1]
    if kind == "extra_forbidden":
        return f'"{name}" is not a field{near(last, _fields(model, name))}; expected one of: {", ".join(_fields(model, name))}'
    if kind == "missing":
        return f'"{name}" is missing; expected {_about(model, name)}'
    seen = "a value that is kept secret" if any(s in last for s in _KEPT_SECRET) else shown(first["input"])
    wanted = listed(dict.fromkeys(_expected(i) for i in items))
    return f'"{name or "value"}" is {seen}; expected {wanted}'


def _expected(item: Mapping[str, Any]) -> str:
    message = str(item["msg"])
    for prefix in ("Input should be ", "Value error, ", "Assertion failed, "):
        message = message.removeprefix(prefix)
    return message[:1].lower() + message[1:] if message[:2] != message[:2].upper() else message


def _owner(model: type[BaseModel], name: str) -> type[BaseModel]:
    """The model that holds the last part of a dotted field name."""
    for part in name.split(".")[:-1]:
        info = model.model_fields.get(part)
        inner = _inner_model(info.annotation) if info else None
        model = inner or model
    return model


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for arg in getattr(annotation, "__args__", ()):
        found = _inner_model(arg)
        if found:
            return found
    return None


def _fields(model: type[BaseModel], name: str) -> list[str]:
    owner = _owner(model, name)
    return [i.alias or n for n, i in owner.model_fields.items()]


def _about(model: type[BaseModel], name: str) -> str:
    owner, last = _owner(model, name), name.rsplit(".", 1)[-1]
    info = next((i for n, i in owner.model_fields.items() if (i.alias or n) == last), None)
    return info.description if info and info.description else "a value"


def collect(problems: Iterable[str]) -> None:
    """Raise all problems at once, if there are any."""
    found = list(problems)
    if found:
        raise PlanError(*found)
