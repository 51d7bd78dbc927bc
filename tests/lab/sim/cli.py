"""lab-sim: install, set, show, reset, apply."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml

from . import answers, driver, keys
from .model import CHOICES, FAMILIES, Node
from .state import Answer, Paths, StateError, build, edit, load, read, write

USAGE = (
    "lab-sim set KEY=VALUE...      change the node; lab-sim keys lists the keys\n"
    "lab-sim show [KEY...]         all that can be set, with its values now and those allowed; or single values\n"
    "lab-sim show --changed        what differs from a healthy node, as the state file has it\n"
    "lab-sim show --all            the whole state\n"
    "lab-sim reset                 back to how the node was installed\n"
    "lab-sim apply                 make files and devices follow a state file that was edited\n"
    "lab-sim keys                  every key\n"
    "lab-sim install --family a2|a3|nvidia|rocm [--node N] [--nodes N] [--root DIR] [--at DIR]\n"
    "                [--no-devices] [--fresh]\n"
)
KEPT = ("family", "node", "nodes")
TAKES = {
    "str": "a text", "int": "a whole number", "float": "a number", "bool": "true, false", "bool | str": "true, false, binary, a text",
    "list[int]": "whole numbers with commas", "list[str]": "texts with commas",
}  # fmt: skip
HERE = Path(__file__).resolve().parent


def answer(argv: list[str], paths: Paths) -> Answer:
    verb, words = (argv[0] if argv else "help"), argv[1:]
    if verb == "set" and words:
        return assign(words, paths)
    if verb == "show":
        return show(words, paths)
    if verb == "reset" and not words:
        return reset(paths)
    if verb == "apply" and not words:
        return apply(paths)
    if verb == "keys" and not words:
        return Answer("".join(f"{k}\n" for k in keys.known(load(paths))))
    if verb == "install":
        return setup(words, paths)
    return Answer(USAGE, "", 0 if verb in ("help", "-h", "--help") else 2)


def assign(words: list[str], paths: Paths) -> Answer:
    """All changes or none: a wrong key or value changes nothing."""
    with edit(paths) as raw:
        before = build(raw)
        for word in words:
            key, equals, value = word.partition("=")
            if not equals:
                raise StateError(f"{word}: expected KEY=VALUE")
            keys.assign(raw, key, value, before)
        after = build(raw)
    paths.beside(".busy").unlink(missing_ok=True)
    follow(before, after, paths)
    return Answer()


def follow(before: Node, after: Node, paths: Paths) -> None:
    """Files change with the state only where lab-sim installed them."""
    if paths.beside(".base").exists():
        driver.follow(before, after, paths)


def show(words: list[str], paths: Paths) -> Answer:
    raw = read(paths)
    node = build(raw)
    if words == ["--all"]:
        flat = asdict(node)
        flat["devices"] = flat.pop("npus") or flat["gpus"]
        flat.pop("gpus")
        return Answer(yaml.safe_dump(flat, sort_keys=False))
    if words == ["--changed"]:
        return Answer(yaml.safe_dump(raw, sort_keys=False))
    if not words:
        return Answer("".join(f"{line}\n" for line in table(node, build({k: raw[k] for k in KEPT if k in raw}))))
    return Answer("".join(f"{w}={spelled(value(w, node))}\n" for w in words))


def table(node: Node, healthy: Node) -> Iterator[str]:
    """Every key that can be set, with its value now and what it takes."""
    rows = [(key, key[:-1] + "*" if key.endswith(".N") else key) for key in keys.known(node)]
    cells = [(key, *now(query, node, healthy), allowed(query, node)) for key, query in rows]
    wide = max(len(key) for key, *_ in cells), max(len(text) for _, text, *_ in cells)
    yield f"KEY=VALUE sets; N is a device (0 to {len(node.devices) - 1}), N-M or *; ! is not as on a healthy node"
    for key, text, changed, takes in cells:
        yield f"{'!' if changed else ' '} {key:{wide[0]}}  {text:{wide[1]}}  {takes}"


def now(key: str, node: Node, healthy: Node) -> tuple[str, bool]:
    """A key's value, and whether it is another than on a healthy node; devices by number where only some are."""
    if key == "loss.ADDRESS":
        return ", ".join(f"{at}: {n}" for at, n in node.fabric.loss.items()) or "none", bool(node.fabric.loss)
    own, well = value(key, node), value(key, healthy)
    if not key.endswith(".*"):
        return spelled(own), own != well
    changed = {i: v for i, v in enumerate(own) if v != well[i]}
    kept = [spelled(v) for i, v in enumerate(own) if i not in changed]
    if not kept and len({spelled(v) for v in own}) == 1:
        return spelled(own[0]), True
    usual = [kept[0] if len(set(kept)) == 1 else f"{kept[0]} ... {kept[-1]}"] if kept else []
    return "; ".join([*usual, *(f"{i}: {spelled(v)}" for i, v in changed.items())]), bool(changed)


def allowed(key: str, node: Node) -> str:
    place = next(iter(keys.places(key, node)))
    kind = keys.kind(place, node)
    plain = kind.removesuffix(" | None")
    takes = ", ".join(CHOICES[place[-1]]) if place[-1] in CHOICES else TAKES[plain]
    return takes if plain == kind else f"{takes}; none"


def spelled(value: Any) -> str:
    """As `set` would take it."""
    if isinstance(value, list):
        return ",".join(spelled(v) for v in value)
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def value(key: str, node: Node) -> Any:
    place = next(iter(keys.places(key, node)))
    if place[0] == "devices":
        return getattr(node.devices[place[1]], place[2])
    if place[0] == "all":
        return [getattr(d, place[1]) for d in node.devices.values()]
    found: Any = asdict(node)
    for step in place:
        found = found.get(step)
    return found


def reset(paths: Paths) -> Answer:
    """The state as it was installed; the files follow."""
    base = paths.beside(".base")
    with edit(paths) as raw:
        first: dict[str, Any] = read(replace(paths, state=base)) if base.exists() else {k: raw[k] for k in KEPT if k in raw}
        raw.clear()
        raw.update(first)
    paths.beside(".busy").unlink(missing_ok=True)
    return apply(paths)


def apply(paths: Paths) -> Answer:
    """Files and devices as the state has them: for a state file that was written by hand."""
    answers.renew(paths)
    if paths.beside(".base").exists():
        driver.restore(load(paths), paths)
    return Answer()


def setup(words: list[str], paths: Paths) -> Answer:
    """Install on this node; a state that is already there is kept unless --fresh is given."""
    import argparse

    parser = argparse.ArgumentParser(prog="lab-sim install")
    parser.add_argument("--family", choices=FAMILIES)
    parser.add_argument("--node", type=int, default=1)
    parser.add_argument("--nodes", type=int, default=256)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--at", type=Path, default=HERE)
    parser.add_argument("--no-devices", action="store_true")
    parser.add_argument("--fresh", action="store_true")
    given = parser.parse_args(words)
    if given.root:
        dev = paths.dev if paths.plain else given.root / "dev"
        paths = replace(paths, root=given.root, dev=dev, state=given.root / "lab/state.yaml")
    if given.fresh or not paths.state.exists():
        if not given.family:
            raise StateError("install: there is no state yet, so --family is needed")
        write(paths, {"family": given.family, "node": given.node, "nodes": given.nodes})
        shutil.copy(paths.state, paths.beside(".base"))
        if given.fresh:
            (paths.root / "etc/hccn.conf").unlink(missing_ok=True)
    elif not paths.beside(".base").exists():
        shutil.copy(paths.state, paths.beside(".base"))
    driver.install(load(paths), paths, given.at / "main.py", devices=not given.no_devices)
    return Answer()
