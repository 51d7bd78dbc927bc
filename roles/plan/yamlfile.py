"""YAML data files, read strictly: UTF-8, no aliases, no duplicate keys, bounded."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from roles.plan.errors import PlanError, shown

MAX_BYTES = 256 << 10


class _Strict(yaml.SafeLoader):
    """Refuses what makes YAML surprising or dangerous: aliases (bombs), duplicate keys, odd keys."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.constructor.ConstructorError(None, None, "an alias (*name) stands here; write the value out", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, f"the key {shown(key)} is not text; quote it", key_node.start_mark)
            if key == "<<":
                raise yaml.constructor.ConstructorError(None, None, "a merge key (<<) stands here; use extends", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {shown(key)} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_SURPRISES = ("timestamp", "merge", "bool", "int", "float")
_Strict.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag.rsplit(":", 1)[-1] not in _SURPRISES]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# As YAML 1.2: `on`, `off`, `no` and `1:30` are text, and a date is no day.
_Strict.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), ["t", "f"])
_Strict.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_Strict.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+\.[0-9]+(?:[eE][-+]?[0-9]+)?$"), list("-+0123456789"))


def read_mapping(path: Path, name: str) -> dict[str, Any]:
    """The mapping a YAML file holds; `name` is how the file is called in sentences."""
    try:
        raw = path.read_bytes()
    except OSError as e:
        raise PlanError(f"{name}: cannot be read ({e.strerror}), expected a YAML file") from None
    if len(raw) > MAX_BYTES:
        raise PlanError(f"{name}: has {len(raw)} bytes, expected at most {MAX_BYTES}")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as e:
        raise PlanError(f"{name}: byte {e.start} is not UTF-8, expected a YAML file saved as UTF-8") from None
    try:
        value = yaml.load(text, Loader=_Strict)  # noqa: S506 - a SafeLoader made stricter
    except yaml.MarkedYAMLError as e:
        line = f" line {e.problem_mark.line + 1}:" if e.problem_mark else ""
        raise PlanError(f"{name}:{line} {e.problem}, expected plain YAML") from None
    except yaml.YAMLError as e:
        raise PlanError(f"{name}: {' '.join(str(e).split())}, expected plain YAML") from None
    except (RecursionError, ValueError) as e:
        raise PlanError(f"{name}: is nested too deep or holds an odd value ({type(e).__name__}), expected plain YAML") from None
    if not isinstance(value, dict):
        seen = "is empty" if value is None else f"holds {shown(value)}"
        raise PlanError(f"{name}: {seen}, expected a mapping of fields")
    return value
