"""docs/inventory.md: every key an inventory may have, from the models that read it."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel
from pydantic.fields import FieldInfo

from roles.plan.cluster import DOTTED
from roles.plan.errors import listed
from roles.plan.keys import SSH_KEYS, ClusterKeys, HostKeys
from roles.plan.library import library
from roles.plan.pages.words import code, plain, sections, table
from roles.plan.recipe import Timeouts

HEAD = """\
# Inventory

Written by `make golden` from the models that read it. An inventory is a Python file with one group, named after the cluster: hosts,
then the cluster's keys. It holds literals only. Nothing else may be in it, and there is no `group_data/`.

```python
mine = (
    [
        ("10.0.0.11", {"rank": 0, "nic": "enp67s0f0np0"}),
        ("10.0.0.12", {"rank": 1, "nic": "enp67s0f0np0"}),
    ],
    {
        "recipe": "vllm-ascend/a2-dual",
        "model": "MiniMax-M2.5",
        "weights": "/opt/models/MiniMax-M2.5",
        "ssh_user": "root",
        "ssh_strict_host_key_checking": "yes",
    },
)
```

Unknown keys are refused, with the nearest known one. Every mistake of a file is said at once, before anything is touched:

```sh
python -m roles.plan inventories/a2.py
```"""
TEXTS = {str: "text", int: "a whole number", float: "a number", bool: "True or False"}
ONE_RUN = """\
A cluster key can be changed for one run, inside its own keys with a dot; a host's key cannot:

```sh
python -m roles.plan inventories/a2.py --set flags.max-num-seqs=64 --diff inventories/a2.py
pyinfra inventories/a2.py deploy/serve.py --data flags.max-num-seqs=64
```"""


def page() -> str:
    parts = [HEAD, "## Hosts", _host_text(), _keys(HostKeys), "## Cluster", _keys(ClusterKeys)]
    for name, model in _nested(ClusterKeys):
        parts += [f"## {name}", plain(model.__doc__ or ""), _keys(model)]
    parts += ["## The engines' own deadlines", _deadlines(), "## pyinfra's keys", _passed(), "## For one run", ONE_RUN, _dotted()]
    return sections(*parts)


def _host_text() -> str:
    return (
        "The first part of the group: a name that SSH connects to, and its keys. A name that is an IPv4 address is its own `address`. "
        "`nic` may stand in the cluster's keys when it is the same everywhere. With recipes of one node `rank` and `nic` can be left out."
    )


def _keys(model: type[BaseModel]) -> str:
    rows = (
        (code(name), _type(info.annotation, list(info.metadata)), _default(info), plain(info.description or ""))
        for name, info in model.model_fields.items()
    )
    return table(["key", "value", "default", "what it is"], rows)


def _nested(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    for name, info in model.model_fields.items():
        inner = _model(info.annotation)
        if inner:
            yield name, inner


def _model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _model(arg))), None)


def _type(annotation: Any, metadata: list[Any]) -> str:
    """What may be written, in words; a value that has a rule of its own is described by the rule."""
    if hasattr(annotation, "__metadata__"):
        return _type(get_args(annotation)[0], [*annotation.__metadata__, *metadata])
    rule = next((words for m in metadata if (words := _rule(m))), "")
    if rule:
        return plain(rule)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return listed(dict.fromkeys(_kind(a, metadata) for a in args if a is not type(None)))
    if origin is Literal:
        return ", ".join(map(code, args))
    if origin is list:
        return f"a list; each: {_type(args[0], [])}"
    if origin is dict:
        return f"a map: name to {_link(args[1]) or _type(args[1], [])}"
    if _link(annotation):
        return _link(annotation)
    return f"{TEXTS.get(annotation, 'a value')}{_span(metadata)}"


def _kind(annotation: Any, metadata: list[Any]) -> str:
    """One branch of a choice: what is in a list or map of it would take too many words, where anything may be."""
    return {list: "a list", dict: "a map"}.get(get_origin(annotation)) or _type(annotation, metadata)


def _link(annotation: Any) -> str:
    inner = _model(annotation)
    names = {m: name for name, m in _nested(ClusterKeys)}
    return f"[keys of its own](#{names[inner]})" if inner in names else ""


def _rule(validator: Any) -> str:
    """The sentence a validator refuses nonsense with, which says what it takes."""
    if isinstance(validator, AfterValidator):
        try:
            validator.func("\0")  # type: ignore[call-arg]
        except ValueError as refusal:
            return str(refusal)
    return getattr(validator, "description", None) or ""


def _span(metadata: list[Any]) -> str:
    limits = {kind: getattr(m, kind) for m in metadata for kind in ("ge", "le") if getattr(m, kind, None) is not None}
    return f", {limits['ge']} to {limits['le']}" if len(limits) == 2 else f", {limits['ge']} or more" if "ge" in limits else ""


def _default(info: FieldInfo) -> str:
    value = info.default
    if info.is_required():
        return "**must be given**"
    if isinstance(value, BaseModel) or value in (None, [], {}):
        return ""
    return code(f'"{value}"' if isinstance(value, str) else value)


def _deadlines() -> str:
    """What `timeouts` changes: the values that hold without it."""
    engines = {name: library().engine(name, "docs") for name in ("vllm-ascend", "vllm", "sglang", "xinference")}
    rows = (
        (code(name), plain(info.description or ""), *(str(getattr(e.timeouts, name)) for e in engines.values()))
        for name, info in Timeouts.model_fields.items()
    )
    return sections(
        "In seconds. `ready` is `ready_base` and `ready_per_gb` for every GB of weights, rounded up to ten minutes.",
        table(["", "what it is", *engines], rows),
    )


def _passed() -> str:
    return sections(
        "Keys that begin with `ssh_` or `_` are pyinfra's own and pass through, for all hosts or for one; those its SSH connector has:",
        ", ".join(map(code, SSH_KEYS)) + ".",
        '`"_sudo": True` becomes root on the nodes. A jump host is `ssh_config_file` with `ProxyJump` in that file. '
        '`"ssh_strict_host_key_checking": "yes"` is missed with a warning; [security.md](security.md) tells why.',
    )


def _dotted() -> str:
    keys = ", ".join(code(f"{name}.KEY") for name in DOTTED)
    return f"Keys with a dot: {keys}. Values are read as numbers, `true`, `false` or JSON where they are that, else as text."
