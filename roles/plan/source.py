"""An inventory file, read without pyinfra and without a connection."""

from __future__ import annotations

import contextlib
import math
import re
import sys
import types
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roles.plan.errors import PlanError, shown

MAX_BYTES = 4 << 20
MAX_DEPTH = 20
CLUSTER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
SHAPE = 'one group written as NAME = ([("host", {...}), ...], {...})'


@dataclass(frozen=True)
class Source:
    """What an inventory says, before anyone judged it: the same from both doors."""

    file: str
    cluster: str
    hosts: tuple[tuple[str, Mapping[str, Any]], ...]
    data: Mapping[str, Any] = field(default_factory=dict)


def read_inventory(path: str | Path) -> Source:
    """Run an inventory file and return its one group."""
    file = str(path)
    code = _compiled(Path(path), file)
    _refuse_group_data(Path(path), file)
    names = _executed(code, file)
    return _source(file, names)


def _compiled(path: Path, file: str) -> types.CodeType:
    try:
        if path.is_dir():
            raise PlanError(f"{file}: is a folder, expected an inventory file such as inventories/a2.py")
        if path.exists() and not path.is_file():
            raise PlanError(f"{file}: is not a regular file, expected an inventory file such as inventories/a2.py")
        raw = path.read_bytes()
    except FileNotFoundError:
        raise PlanError(f"{file}: no such file, expected an inventory file such as inventories/a2.py") from None
    except (OSError, ValueError) as e:
        raise PlanError(
            f"{shown(file)}: cannot be read ({getattr(e, 'strerror', None) or e}), expected a readable inventory file"
        ) from None
    if len(raw) > MAX_BYTES:
        raise PlanError(f"{file}: has {len(raw)} bytes, expected an inventory of at most {MAX_BYTES}")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise PlanError(f"{file}: byte {e.start} is not UTF-8, expected a Python file saved as UTF-8") from None
    if not text.strip():
        raise PlanError(f"{file}: is empty, expected {SHAPE}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape is the inventory's own business
            return compile(text, file, "exec", dont_inherit=True)
    except SyntaxError as e:
        raise PlanError(f"{file}: line {e.lineno}: is not Python ({e.msg}), expected {SHAPE}") from None
    except (ValueError, RecursionError, MemoryError, OverflowError) as e:
        raise PlanError(f"{file}: is not Python ({str(e) or type(e).__name__}), expected {SHAPE}") from None


def _refuse_group_data(path: Path, file: str) -> None:
    for folder in (path.resolve().parent / "group_data", Path.cwd() / "group_data"):
        if folder.exists():
            raise PlanError(
                f"{file}: found {folder}, expected no group_data: one inventory file says everything, move its keys into the group's data"
            )


@contextlib.contextmanager
def _only_config() -> Iterator[None]:
    """An inventory may set pyinfra's `config`; here it is a stand-in, so that no pyinfra is loaded."""
    stub = types.ModuleType("pyinfra")
    stub.config = types.SimpleNamespace()  # type: ignore[attr-defined]
    saved = {k: v for k, v in sys.modules.items() if k == "pyinfra" or k.startswith("pyinfra.")}
    for name in saved:
        del sys.modules[name]
    sys.modules["pyinfra"] = stub
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.modules.pop("pyinfra", None)
        sys.modules.update(saved)


def _executed(code: types.CodeType, file: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "inventory", "__file__": file, "__builtins__": __builtins__}
    before = set(names)
    try:
        with _only_config():
            exec(code, names)  # noqa: S102 - an inventory is the user's own Python file, as pyinfra runs it
    except KeyboardInterrupt:
        raise
    except BaseException as e:
        line, text = _line_of(e, file), _said(e)
        raise PlanError(
            f"{file}:{f' line {line}:' if line else ''} raises {type(e).__name__}{f': {text}' if text else ''}, "
            "expected literals only (an inventory may import nothing but `config` from pyinfra)"
        ) from None
    return {k: v for k, v in names.items() if k not in before}


def _said(error: BaseException) -> str:
    try:
        return " ".join(shown(str(error), 120)[1:-1].split())
    except Exception:  # an exception that cannot be shown is still named by its type
        return ""


def _line_of(error: BaseException, file: str) -> int | None:
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _source(file: str, names: dict[str, Any]) -> Source:
    public = {k: v for k, v in names.items() if not k.startswith("_") and not _imported(v)}
    groups = [k for k, v in public.items() if isinstance(v, (list, tuple))]
    others = [k for k in public if k not in groups]
    if others:
        raise PlanError(f'{file}: "{others[0]}" is {shown(public[others[0]])}, expected only the group; start other names with "_"')
    if not groups:
        raise PlanError(f"{file}: defines no group, expected {SHAPE}")
    if len(groups) > 1:
        raise PlanError(f"{file}: defines {len(groups)} groups ({', '.join(groups[:4])}), expected exactly one: the cluster")
    cluster, value = groups[0], public[groups[0]]
    if not CLUSTER_NAME.fullmatch(cluster) or cluster == "all":
        raise PlanError(f'{file}: the group is called "{cluster}", expected a cluster name of up to 32 letters, digits and "_" (not "all")')
    if not (isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], (list, tuple))):
        raise PlanError(f"{file}: {cluster} is {shown(value)}, expected (hosts, data): {SHAPE}")
    hosts, data = value
    if not isinstance(data, dict):
        raise PlanError(f"{file}: {cluster}[1] is {shown(data)}, expected the cluster's data as a dict")
    return Source(file, cluster, _hosts(file, cluster, hosts), plain(data, f"{file}: {cluster}"))


def _imported(value: object) -> bool:
    """Names an import statement leaves behind: modules, pyinfra's config, __future__ features."""
    return isinstance(value, (types.ModuleType, types.SimpleNamespace)) or type(value).__module__ == "__future__"


def _hosts(file: str, cluster: str, hosts: Any) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    if not hosts:
        raise PlanError(f"{file}: {cluster} has no hosts, expected at least one (name, data)")
    result: dict[str, Mapping[str, Any]] = {}
    for i, item in enumerate(hosts):
        where = f"{file}: {cluster}.hosts[{i}]"
        name, data = (item, {}) if isinstance(item, str) else (item if isinstance(item, tuple) and len(item) == 2 else (None, None))
        if not isinstance(name, str) or not isinstance(data, dict):
            raise PlanError(f'{where} is {shown(item)}, expected ("name", {{"rank": 0, ...}})')
        plain(name, where)
        if not name.strip() or name != name.strip() or any(c.isspace() for c in name):
            raise PlanError(f"{where} is named {shown(name)}, expected a host name or address without spaces")
        if name in result:
            raise PlanError(f'{where} is "{name}" again, expected every host once')
        result[name] = plain(data, f'{where} "{name}"')
    return tuple(result.items())


def plain(value: Any, where: str, depth: int = 0) -> Any:
    """The value as plain data (text, numbers, lists, maps), or a sentence saying what it is instead."""
    if depth > MAX_DEPTH:
        raise PlanError(f"{where}: is nested deeper than {MAX_DEPTH} levels, expected flat data")
    if value is None or isinstance(value, bool):
        return value
    if type(value) is int:
        if abs(value) >= 1 << 63:
            raise PlanError(f"{where}: is an integer beyond 64 bits, expected a smaller number")
        return value
    if type(value) is float:
        if not math.isfinite(value):
            raise PlanError(f"{where}: is {value}, expected a finite number")
        return value
    if type(value) is str:
        return _text(value, where)
    if isinstance(value, (list, tuple)):
        return [plain(v, f"{where}[{i}]", depth + 1) for i, v in enumerate(value)]
    if type(value) is dict:
        for key in value:
            if type(key) is not str:
                raise PlanError(f"{where}: key {shown(key)} is a {type(key).__name__}, expected text")
            _text(key, where)
        return {k: plain(v, f"{where}: {shown(k)[1:-1]}", depth + 1) for k, v in value.items()}
    raise PlanError(f"{where}: is a {type(value).__name__}, expected text, a number, true/false, None, a list or a dict")


def _text(value: str, where: str) -> str:
    if "\0" in value:
        raise PlanError(f"{where}: {shown(value)} holds a NUL character, which no command line can carry; remove it")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise PlanError(f"{where}: {shown(value)} is not valid Unicode, expected text that UTF-8 can carry") from None
    return value
