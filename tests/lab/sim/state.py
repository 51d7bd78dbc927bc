"""The state file: where it is, how it becomes a node, how it is changed."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from . import answers
from .model import CHOICES, FAMILIES, SECTIONS, Gpu, Node, Npu, fresh

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
TOP = tuple(f.name for f in fields(Node) if f.name not in ("npus", "gpus", *SECTIONS))


class StateError(Exception):
    """The state file, or a change to it, makes no sense; the text says what does."""


class Answer(NamedTuple):
    """What a tool prints and how it ends."""

    out: str = ""
    err: str = ""
    code: int = 0


@dataclass(frozen=True)
class Paths:
    """Where the state, /proc, /dev and the other files of the node are."""

    state: Path = Path("/lab/state.yaml")
    proc: Path = Path("/proc")
    dev: Path = Path("/dev")
    root: Path = Path("/")
    plain: bool = False
    uid: int = 0

    @classmethod
    def of(cls, env: Mapping[str, str]) -> Paths:
        """From the environment: LAB_STATE, LAB_PROC, LAB_ROOT, LAB_DEV, LAB_UID."""
        root = Path(env.get("LAB_ROOT", "/"))
        return cls(
            state=Path(env.get("LAB_STATE", "/lab/state.yaml")),
            proc=Path(env.get("LAB_PROC", "/proc")),
            dev=Path(env.get("LAB_DEV", str(root / "dev"))),
            root=root,
            plain="LAB_DEV" in env,
            uid=int(env.get("LAB_UID", os.geteuid())),
        )

    def beside(self, suffix: str) -> Path:
        """A file next to the state file."""
        return self.state.with_name(self.state.name + suffix)


def near(word: str, known: Iterable[str]) -> str:
    """` (did you mean X?)` for the nearest known word, or nothing."""
    import difflib

    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {match[0]}?)" if match else ""


def coerce(kind: str, value: object) -> Any:
    """`value`, from YAML or a command line, as a field of the type `kind`."""
    if kind.endswith(" | None"):
        if value is None or (isinstance(value, str) and value.lower() in ("none", "null", "")):
            return None
        kind = kind.removesuffix(" | None")
    if value is None or (isinstance(value, dict) and not kind.startswith("dict")):
        raise ValueError(f"expected {kind}")
    if kind.startswith("list["):
        items = value if isinstance(value, list) else [v for v in str(value).split(",") if v]
        return [coerce(kind[5:-1], v) for v in items]
    if kind == "dict[str, int]":
        if not isinstance(value, dict):
            raise ValueError("expected a mapping")
        return {str(k): int(v) for k, v in value.items()}
    if kind in ("bool", "bool | str"):
        word = str(value).lower()
        if word in ("true", "1", "yes", "on", "false", "0", "no", "off"):
            return word in ("true", "1", "yes", "on")
        if kind == "bool":
            raise ValueError("expected true or false")
        return str(value)
    if isinstance(value, (bool, list)):
        raise ValueError(f"expected {kind}; quote words such as on and off")
    return {"int": int, "float": float, "str": str}[kind](value)


def fill(target: Any, values: object, where: str) -> None:
    """Set the fields of the dataclass `target` from a mapping; `where` is how it is called in sentences."""
    kinds = {f.name: str(f.type) for f in fields(target)}
    if not isinstance(values, dict):
        raise StateError(f"{where}: expected a mapping of fields")
    for key, value in values.items():
        name = f"{where}.{key}".lstrip(".")
        if key not in kinds:
            raise StateError(f"{name}: unknown field{near(str(key), kinds)}; known: {', '.join(kinds)}")
        try:
            setattr(target, key, chosen(key, coerce(kinds[key], value)))
        except (TypeError, ValueError) as e:
            raise StateError(f"{name}: {value!r} does not fit: {e}") from None


def chosen(key: str, value: Any) -> Any:
    """`value`, spelled as the field `key` spells it."""
    if key not in CHOICES or value is None:
        return value
    for word in CHOICES[key]:
        if word.lower() == str(value).lower():
            return word
    raise ValueError(f"one of {', '.join(CHOICES[key])}")


def build(raw: Mapping[str, Any]) -> Node:
    """The node that a state file describes: the family's defaults with the file's values over them."""
    family = raw.get("family")
    if family not in FAMILIES:
        raise StateError(f"family: {family!r} is none of {', '.join(FAMILIES)}")
    try:
        made = fresh(family, int(raw.get("node", 1)))
    except (TypeError, ValueError):
        raise StateError(f"node: {raw['node']!r} does not fit: expected int") from None
    known = (*TOP, *SECTIONS, "all", "devices")
    for key in raw:
        if key not in known:
            raise StateError(f"{key}: unknown field{near(str(key), known)}; known: {', '.join(known)}")
    fill(made, {k: v for k, v in raw.items() if k in TOP}, "")
    for section in SECTIONS:
        fill(getattr(made, section), raw.get(section) or {}, section)
    for device in made.devices.values():
        fill(device, raw.get("all") or {}, "all")
    for index, values in (raw.get("devices") or {}).items():
        if index not in made.devices:
            raise StateError(f"devices.{index}: this node has 0 to {len(made.devices) - 1}")
        fill(made.devices[index], values, f"devices.{index}")
    return made


def device_fields(node: Node) -> dict[str, str]:
    """The fields of this family's devices, with their types."""
    return {f.name: str(f.type) for f in fields(Npu if node.ascend else Gpu)}


def read(paths: Paths) -> dict[str, Any]:
    """The state file as it is written: only what differs from the defaults."""
    try:
        raw = yaml.load(paths.state.read_text(encoding="utf-8"), Loader=LOADER)
    except OSError as e:
        raise StateError(f"{paths.state}: {e.strerror}; make it with: lab-sim install --family a2") from None
    except yaml.YAMLError as e:
        raise StateError(f"{paths.state}: {' '.join(str(e).split())}") from None
    if not isinstance(raw, dict):
        raise StateError(f"{paths.state}: expected a mapping with at least a family")
    return raw


def load(paths: Paths) -> Node:
    return build(read(paths))


def write(paths: Paths, raw: Mapping[str, Any]) -> None:
    """Replace the state file in one step, so that no tool reads half of it."""
    paths.state.parent.mkdir(parents=True, exist_ok=True)
    new = paths.beside(".new")
    new.write_text(yaml.dump(dict(raw), Dumper=DUMPER, sort_keys=False), encoding="utf-8")
    new.replace(paths.state)
    answers.renew(paths)


@contextmanager
def edit(paths: Paths) -> Iterator[dict[str, Any]]:
    """The raw state to change in place; written when the block ends without an error."""
    with open(paths.beside(".edit"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        raw = read(paths)
        yield raw
        build(raw)
        write(paths, raw)


def put(raw: dict[str, Any], where: tuple[Any, ...], value: object) -> None:
    """Set one value of the raw state by its path."""
    for step in where[:-1]:
        raw = raw.setdefault(step, {})
    raw[where[-1]] = value
