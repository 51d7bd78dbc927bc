"""Weights: there, whole, the right ones, the same on every node, readable. What prepare cures is a warning."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from roles.run.checks import Case, Say, check, fail, good, skip, warn
from roles.weights import manifest
from roles.weights.config import problems
from roles.weights.errand import PREPARE, Errand, Job, errands
from roles.weights.held import Held
from roles.weights.sizes import files, size

PAST = 0o7


def _each(case: Case) -> Iterator[tuple[Errand, Held, Job | None]]:
    for errand in errands(case.plan, case.all).values():
        one = errand.held.get(case.node.name)
        if one is not None and case.known.hardware.system == "linux":
            yield errand, one, errand.jobs.get(case.node.name)


def _block(errand: Errand, case: Case, id: str) -> Say | None:
    block = errand.blocks.get(case.node.name)
    return fail(block.why, block.expected, block.fix) if block and block.check == id else None


def _cured(job: Job | None) -> str:
    return f"{PREPARE} ({job.words})" if job else PREPARE


@check("weights.present", "Is there a checkpoint at the path the engine reads?")
def present(case: Case) -> Iterator[Say]:
    for errand, one, job in _each(case):
        block = _block(errand, case, "weights.present")
        if block:
            yield block
        elif job and one.known and not one.shards:
            left = f"; an unfinished copy of {size(one.parts)} is there" if one.parts else ""
            what = f"{one.path} holds no weights" if one.kind == "folder" else f"{one.path} is not there"
            yield warn(what + left, errand.model.name if errand.model else "a draft head", _cured(job))
        elif one.known and one.shards:
            yield good(f"{one.path}: {len(one.shards)} weight files, {size(one.size)}")


@check(
    "weights.index", "Is every file of the checkpoint there, and none cut short?", why="a cut shard is found only after minutes of loading"
)
def index(case: Case) -> Iterator[Say]:
    for errand, one, job in _each(case):
        block = _block(errand, case, "weights.index")
        lacking = _lacking(errand, one)
        if block:
            yield fail(_broken(one) or block.observed, block.expected, block.fix)
        elif not one.known or not one.shards:
            yield skip(f"{one.path}: after prepare")
        elif lacking and job:
            missing = [n for n in lacking if n not in one.broken]
            words = [_broken(one)] if _broken(one) else []
            words += [f"{one.path} lacks {files(missing)}"] if missing else []
            yield warn("; ".join(words), f"all files of {errand.origin}" if errand.wanted else "all files of its index", _cured(job))
        elif not lacking:
            whole = f"all {len(one.index.names)} files of {one.index.file}" if one.index.names else f"{len(one.shards)} weight files"
            yield good(f"{one.path}: {whole}")


def _lacking(errand: Errand, one: Held) -> list[str]:
    own = one.lacking()
    return sorted({*own, *(n for n in errand.wanted or () if n not in one.files)}) if one.known else []


def _broken(one: Held) -> str:
    cut = [f"{n} is cut short ({why})" for n, why in sorted(one.broken.items()) if n in one.lacking()]
    return f"{one.path}: {files(cut)}" if cut else ""


@check(
    "weights.config", "Is it the model and the format that the recipe runs?", why="VA#9894: a w8a8 upload whose config.json still said fp8"
)
def config(case: Case) -> Iterator[Say]:
    for errand, one, _ in _each(case):
        if not one.config:
            yield skip(f"{one.path}: after prepare")
            continue
        found = list(problems(one, errand.model, _length(case) if errand.folder == case.known.weights else None))
        yield from found
        if not found:
            yield good(f"{one.path}: {errand.model.format if errand.model else 'a draft head'}, as the recipe wants it")


def _length(case: Case) -> int | None:
    """The context the engine is told to serve; it refuses one that the model does not have, unless it is told to take it."""
    if case.node.env.get("VLLM_ALLOW_LONG_MAX_MODEL_LEN") == "1":
        return None
    flag = case.known.engine.layout.get("max_len")
    value = case.known.settings.value(flag) if flag else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


@check(
    "weights.same", "Are they the same on every node of the replica?", nodes=2, why="other bytes on one rank give wrong text, not an error"
)
def same(case: Case) -> Iterator[Say]:
    for errand, one, _ in _each(case):
        block = _block(errand, case, "weights.same")
        head = errand.held.get(case.head.name)
        if block:
            yield block
        elif head is None or not head.complete or not one.complete:
            yield skip(f"{one.path}: after prepare")
        elif case.node.name == case.head.name:
            yield good(f"{one.path}: the others are compared with these")
        else:
            yield _compared(case, one, head)


def _compared(case: Case, one: Held, head: Held) -> Say:
    name, first = case.node.name, case.head.name
    only = sorted(n for n in one.files if manifest.matters(n) and n not in head.files)
    unlike = _unlike(one, head)
    if unlike:
        fix = f"find out which node is right, remove {files(unlike)} on the other, then {PREPARE}"
        return fail(f"{one.path}: {files(unlike)} differ between {name} and {first}", f"the same bytes as on {first}", fix)
    if only:
        return warn(
            f"{one.path}: {files(only)} on {name}, not on {first}", f"the same files as on {first}", f"remove them, or copy them to {first}"
        )
    hashed = sum(bool(one.sha256(n) and head.sha256(n)) for n in one.files)
    return good(
        f"{one.path}: {hashed} files have the same hashes"
        if hashed
        else f"{one.path}: same names, sizes, config and index; hashed by prepare"
    )


def _unlike(one: Held, head: Held) -> list[str]:
    def differs(name: str) -> bool:
        mine, its = one.sha256(name), head.sha256(name)
        if mine and its:
            return mine != its
        return one.files[name].size != head.files[name].size or one.digests.get(name) != head.digests.get(name)

    return sorted(n for n in one.files if manifest.matters(n) and n in head.files and differs(n))


@check("weights.readable", "Can the engine's container read them?")
def readable(case: Case) -> Iterator[Say]:
    user = _user(case)
    for _, one, _ in _each(case):
        if not one.known or one.kind != "folder":
            yield skip(f"{one.path}: after prepare")
            continue
        refused = {n: why for n, why in one.unreadable.items() if n == posixpath.basename(one.path) or manifest.matters(n)}
        outside = (
            [] if case.known.runtime == "venv" else sorted(n for n, to in one.links.items() if manifest.matters(n) and _leaves(one, n, to))
        )
        closed = [] if user == 0 else sorted(n for n, f in one.files.items() if manifest.matters(n) and not _may(user, f.mode, f.uid, 4))
        if refused:
            name, why = min(refused.items())
            yield fail(
                f"{one.path}: {name}: {why}", "files the node can read", "see to the file's rights, or to the disk or mount it lies on"
            )
        elif outside:
            link = f"{outside[0]} is a link to {one.links[outside[0]]}"
            fix = f"put the files themselves there: cp -rL {one.path} {one.path}.files"
            yield fail(f"{one.path}: {link}, outside the folder", "files inside the one folder the container is given", fix)
        elif closed or not _may(user, *one.mode[:2], 5):
            what = files(closed) if closed else "the folder"
            yield fail(f"{one.path}: {what} cannot be read by user {user} of the image", "readable by all", f"chmod -R a+rX {one.path}")
        else:
            yield good(f"{one.path}: readable")


def _leaves(one: Held, name: str, to: str) -> bool:
    """A link whose end the container, which sees only the folder, does not have."""
    end = posixpath.normpath(to if to.startswith("/") else posixpath.join(one.path, posixpath.dirname(name), to))
    return not f"{end}/".startswith(f"{one.path}/")


def _user(case: Case) -> int | str:
    """Who the engine is in its container; root where nothing says otherwise."""
    argv = case.node.run_argv
    asked = argv[argv.index("--user") + 1] if "--user" in argv else case.seen["weights.user"].pairs.get("user", "")
    name = asked.partition(":")[0]
    return 0 if name in ("", "0", "root") else int(name) if name.isdigit() else name


def _may(user: int | str, mode: int, owner: int, wanted: int) -> bool:
    bits = mode >> 6 if user == owner else mode
    return user == 0 or (bits & PAST & wanted) == wanted


@check("weights.space", "Is there room for what is missing?")
def space(case: Case) -> Iterator[Say]:
    for errand, one, job in _each(case):
        block = _block(errand, case, "weights.space")
        if block:
            yield block
        elif job and job.kind in ("copy", "download") and one.free is not None:
            need = f"{size(max(job.bytes - one.parts, 0))} missing, " if job.bytes else ""
            yield good(f"{one.path}: {need}{size(one.free)} free")
