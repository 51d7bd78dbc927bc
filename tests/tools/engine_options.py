"""Read released engine sources, never importing them, and list the options each release accepts."""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple


class Option(NamedTuple):
    names: list[str]  # option strings, as written
    kind: str = "value"
    negatable: bool = False


Sources = dict[str, ast.Module]  # by path in the package
Fields = dict[str, ast.expr]  # annotation or value, by name
Table = dict[str, Option | None]  # by option string or name; None for what is no flag


def sources(archive: Path, wanted: str, mention: bytes = b"") -> Sources:
    found = {}
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            found = {n: wheel.read(n) for n in wheel.namelist() if re.fullmatch(wanted, n)}
    else:
        with tarfile.open(archive) as sdist:
            for member in sdist:
                path = member.name.partition("/")[2]
                if re.fullmatch(wanted, path) and (stream := sdist.extractfile(member)):
                    found[path] = stream.read()
    return {p: ast.parse(code) for p, code in sorted(found.items()) if re.search(mention, code)}


def texts(nodes: Iterable[ast.AST | None]) -> list[str]:
    return [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]


def last(node: ast.AST) -> str:
    return str(getattr(node, "attr", getattr(node, "id", "")))


def calls(tree: ast.AST, name: str) -> Iterator[tuple[ast.Call, Fields]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and last(node.func) == name:
            yield node, {k.arg: k.value for k in node.keywords if k.arg}


def functions(modules: Sources, *names: str) -> Iterator[ast.FunctionDef]:
    for node in (n for tree in modules.values() for n in ast.walk(tree)):
        if isinstance(node, ast.FunctionDef) and node.name in names:
            yield node


def assigned(tree: ast.AST) -> Fields:
    found = {}
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found[name] = value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                found[name] = value
    return found


def fields(modules: Sources) -> dict[str, Fields]:
    found = [c for t in modules.values() for c in ast.walk(t) if isinstance(c, ast.ClassDef)]
    body = {c.name: [n for n in c.body if isinstance(n, ast.AnnAssign)] for c in found}
    return {name: {last(n.target): n.annotation for n in body[name]} for name in body}


def by_action(given: Fields, otherwise: str = "value") -> tuple[str, bool]:
    """How an argparse action= reads its option: kind, and whether --no-x exists."""
    if "action" not in given:
        return otherwise, False
    action = "".join(texts([given["action"]])) or last(given["action"])
    if action == "BooleanOptionalAction":
        return "bool", True
    mute = r"store_(true|false|const)|Deprecated(StoreTrue|StoreConst)?Action"
    return ("bool" if re.fullmatch(mute, action) and "nargs" not in given else "value"), False


def by_field(annotation: ast.expr) -> tuple[str, bool]:
    """vLLM: a bool field becomes --x and --no-x, unless it may be a str too."""
    words = set(re.findall(r"\w+", ast.unparse(annotation)))
    return ("bool", True) if "bool" in words and "str" not in words else ("value", False)


def added(function: ast.AST, configs: dict[str, Fields]) -> Iterator[Option]:
    """Options of the add_argument calls, looking through **get_kwargs(Config)["field"]."""
    bound = assigned(function)

    def spread(node: ast.expr) -> tuple[str, bool]:
        match bound.get(last(node), node):
            case ast.Dict(values=[first, *_]):
                return spread(first)
            case ast.Subscript(value=made, slice=ast.Constant(value=str(key))):
                made = bound.get(last(made), made)
                assert isinstance(made, ast.Call), ast.unparse(made)
                return by_field(configs[last(made.args[0])][key])
        raise ValueError(ast.unparse(node))

    for call, given in calls(function, "add_argument"):
        names, stars = texts(call.args), [k.value for k in call.keywords if k.arg is None]
        if names and names[0].startswith("-"):
            yield Option(names, *(spread(stars[0]) if stars else by_action(given)))
    for loop in ast.walk(function):
        if isinstance(loop, ast.For) and isinstance(loop.iter, ast.List):
            yield from (Option([n]) for n in texts(ast.walk(loop.iter)) if n.startswith("--"))


def vllm(archive: Path) -> dict[str, Table]:
    modules = sources(archive, r"vllm/(envs|config/.*|en.*/(arg_utils|cli/serve|cli_args))\.py")
    configs = fields(modules)
    parsers = functions(modules, "add_cli_args", "make_arg_parser", "subparser_init")
    options = [option for parser in parsers for option in added(parser, configs)]
    for name, note in (configs.get("BaseFrontendArgs", {}) | configs["FrontendArgs"]).items():
        options.append(Option([f"--{name.replace('_', '-')}"], *by_field(note)))
    options.append(Option(["-O"]))  # rewritten before argparse sees it, in every release
    env = assigned(modules["vllm/envs.py"])["environment_variables"]
    flags: Table = {name: option for option in options for name in option.names}
    return {"flags": flags, "env": dict.fromkeys(texts(getattr(env, "keys", ())))}


def lookups(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Constant keys looked up in a mapping: its last name, and the key."""
    bound = assigned(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="get" | "setdefault") as func, args=[key, *_]):
                into = getattr(func.value, "values", [func.value])[0]  # x.get(), (x or {}).get()
            case ast.Call(func=into, args=[key, *_]):  # getenv(key) or such(mapping, key)
                key = next((a for a in node.args if texts([a])), key)
            case ast.Subscript(value=into, slice=key, ctx=ast.Load()):
                pass
            case ast.Compare(left=key, comparators=[into]):
                pass
            case _:
                continue
        for found in texts([bound.get(getattr(key, "id", ""), key)]):
            yield last(into), found


def ascend(archive: Path) -> dict[str, Table]:
    modules = sources(archive, r"vllm_ascend/.*\.py", b"environ|getenv|additional_config")
    read = [pair for tree in modules.values() for pair in lookups(tree)]
    known = getattr(assigned(modules["vllm_ascend/envs.py"])["env_variables"], "keys", ())
    env = [*texts(known), *(key for m, key in read if m in {"environ", "getenv"})]
    config = {key for m, key in read if m in {"additional_config", "_get_config_value"}}
    if taken := assigned(modules["vllm_ascend/ascend_config.py"]).get("_NON_USER_INPUT_KEYS"):
        # A dataclass that refuses other keys: its fields are the schema, except those taken
        # away before it is built; a taken key that is no field is read elsewhere.
        config |= set(texts(ast.walk(taken))) ^ set(fields(modules)["AscendConfig"])
    return {"env": dict.fromkeys(env), "config": {n: None for n in config if n[0] != "_"}}


def sglang(archive: Path) -> dict[str, Table]:
    modules = sources(archive, r"sglang/srt/(server_args|environ|arg_groups/fields/\w+)\.py")
    options = [o for parser in functions(modules, "add_cli_args") for o in added(parser, {})]
    for name, note in (item for found in fields(modules).values() for item in found.items()):
        code = ast.unparse(note)
        given = next((given for _, given in calls(note, "Arg")), {})
        if re.match(r"A\[.*, (Arg\(|f?['\"])", code) and "no_cli" not in given:  # A[type, help]
            names = texts([given.get("cli_name")]) or ["--" + name.replace("_", "-")]
            names += texts(ast.walk(given["aliases"])) if "aliases" in given else []
            plain = re.match(r"A\[(bool|Optional\[bool\]|bool \| None),", code)
            options.append(Option(names, *by_action(given, "bool" if plain else "value")))
    tree = modules["sglang/srt/environ.py"]
    known = next(n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == "Envs")
    old = [k for k in ast.walk(known) if isinstance(k, ast.keyword) and k.arg == "deprecated_name"]
    env = [n for n in assigned(known) if not n.startswith("_")] + texts(k.value for k in old)
    return {"flags": {name: o for o in options for name in o.names}, "env": dict.fromkeys(env)}


def xinference(archive: Path) -> dict[str, Table]:
    modules = sources(archive, r"xinference/(constants|deploy/cmdline)\.py")
    tables: dict[str, Table] = {"flags": {}, "launch_flags": {}}
    for table, name in zip(tables, ["local", "model_launch"], strict=True):
        for call, given in calls(next(functions(modules, name)), "option"):
            kind = "bool" if given.keys() & {"is_flag", "flag_value"} else "value"
            names = [n for n in texts(call.args) if n.startswith("-")]
            tables[table] |= dict.fromkeys(names, Option(names, kind))
    found = texts(ast.walk(modules["xinference/constants.py"]))
    return {**tables, "env": {n: None for n in found if re.fullmatch(r"XINFERENCE_[A-Z0-9_]+", n)}}


def lines(versions: list[str], tables: list[Table]) -> Iterator[str]:
    """One line per name: what the newest release that has it says, and when it came and went."""
    seen = {name: [name in table for table in tables] for table in tables for name in table}
    newest = {name: option for table in tables for name, option in table.items()}
    for name in sorted(seen, key=lambda n: n.removeprefix("--")):
        option, here = newest[name] or Option([]), seen[name]
        # -x goes with its --long form, of whatever age; two long forms only if of one age.
        same = [n for n in option.names if seen[n] == here or {n[:2], name[:2]} != {"--"}]
        if name != next((n for n in same if n.startswith("--")), name):
            continue  # told as an alias
        first, end = here.index(True), len(here) - here[::-1].index(True)
        pairs = [f"kind: {option.kind}"] if option.names else []
        pairs += ["negatable: true"] if option.negatable else []
        pairs += [f'since: "{versions[first]}"'] if first else []
        pairs += [f'gone: "{versions[end]}"'] if end < len(here) else []
        if aliases := sorted(n.removeprefix("--") for n in same if n != name):
            pairs.append(f"aliases: [{', '.join(aliases)}]")
        gaps = ", ".join(versions[i] for i in range(first, end) if not here[i])
        entry = f"  {name.removeprefix('--')}: {{{', '.join(pairs)}}}"
        yield f"{entry}  # not in {gaps}" if gaps else entry


READ = {"vllm": vllm, "vllm-ascend": ascend, "sglang": sglang, "xinference": xinference}
RELEASES = {
    "vllm": """0.11.0 0.11.1 0.11.2 0.12.0 0.13.0 0.14.0 0.15.0 0.16.0 0.17.0 0.18.0 0.19.0 0.20.0
        0.20.2 0.21.0 0.22.0 0.22.1 0.23.0 0.24.0 0.25.0 0.25.1 0.26.0 0.27.0 0.27.1 0.28.0 0.29.0
        0.30.0 0.31.0 0.32.0 0.33.0""",
    "vllm-ascend": """0.11.0 0.13.0 0.18.0 0.20.2rc1 0.21.0rc1 0.22.1rc1 0.23.0rc1 0.23.0
        0.23.0.post1 0.24.0rc1 0.25.1rc1 0.26.0rc1 0.27.1rc1 0.28.0rc1 0.29.0rc1 0.30.0rc2""",
    "sglang": "0.5.5 0.5.7 0.5.10 0.5.15 0.5.20 0.5.23",
    "xinference": "1.12.0 2.0.0 3.0.0 4.0.0 4.1.0",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="folder of sdists and wheels")
    parser.add_argument("--out", type=Path, required=True, help="folder of the YAML files")
    args = parser.parse_args()
    for engine, read in READ.items():
        versions, releases = RELEASES[engine].split(), []
        for version in versions:
            stem = f"{engine.replace('-', '_')}-{version}"
            archives = [*args.cache.glob(f"{stem}.tar.gz"), *args.cache.glob(f"{stem}-*.whl")]
            if not archives:
                sys.exit(f"{args.cache}: no sdist or wheel of {engine} {version}")
            releases.append(read(min(archives)))
        by = f"tests/tools/{Path(__file__).name} from released source packages; do not edit by hand"
        out = [f"# Generated by {by}.", f"engine: {engine}", f"versions: {json.dumps(versions)}"]
        for table in releases[-1]:
            out += [f"{table}:", *lines(versions, [release[table] for release in releases])]
        (args.out / f"{engine}.yaml").write_text("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
