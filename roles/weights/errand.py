"""What there is to do for a folder on every node: decided from one look at all of them, by a pure function."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from roles.plan.node import NodePlan
from roles.plan.plan import Plan
from roles.plan.recipe import Model
from roles.run.seen import Seen
from roles.weights import manifest, source
from roles.weights.held import Held, held
from roles.weights.sizes import files, size
from roles.weights.source import Repo

FEW = 4
"""Nodes that have everything and serve it besides the origin."""


@dataclass(frozen=True)
class Job:
    """One node's part."""

    kind: Literal["download", "copy", "hash", "tidy", "note"]
    words: str
    hashes: tuple[str, ...] = ()
    bytes: int | None = None
    """What is to be got or hashed; None: not known yet."""


@dataclass(frozen=True)
class Block:
    """Why prepare cannot help, and which check says so."""

    check: str
    why: str
    expected: str
    fix: str


@dataclass(frozen=True)
class Errand:
    """One folder on all nodes. The origin's files are the right ones; without one the hub's are."""

    folder: str
    model: Model | None
    repo: Repo | None
    held: Mapping[str, Held]
    origin: str = ""
    wanted: Mapping[str, int] | None = None
    whole: tuple[str, ...] = ()
    """Nodes that have all of it, the origin first."""
    jobs: Mapping[str, Job] = field(default_factory=dict)
    blocks: Mapping[str, Block] = field(default_factory=dict)
    follows: Mapping[str, str] = field(default_factory=dict)
    """Nodes that see the same shared file system, each with the one that acts for it."""


_KEPT: dict[str, tuple[object, dict[str, Errand]]] = {}


def errands(plan: Plan, seen: Mapping[str, Seen]) -> dict[str, Errand]:
    """By folder. Every check of every node asks, so the last answer is kept while what was seen is the same."""
    key = (plan, *seen.values())
    last = _KEPT.get("last")
    if last is None or not _same(last[0], key):
        last = (key, {folder: errand(plan, seen, folder, model) for folder, model in source.models(plan.known).items()})
        _KEPT["last"] = last
    return last[1]


def _same(one: object, other: tuple[object, ...]) -> bool:
    return isinstance(one, tuple) and len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))


def errand(plan: Plan, seen: Mapping[str, Seen], folder: str, model: Model | None) -> Errand:
    which = "draft" if folder == plan.known.keys.draft else "main"
    nodes = [n for n in plan.nodes if n.name in seen and not seen[n.name].problem]
    has = {n.name: held(seen[n.name], which, folder) for n in nodes}
    follows = _follows(nodes, has)
    acting = [n.name for n in nodes if n.name not in follows]
    whole = sorted((n for n in acting if has[n].complete), key=lambda n: not _recorded(has[n]))
    repo = source.repo(model, plan.known.keys) if model else None
    plain = Errand(folder, model, repo, has, follows=follows)
    return _copying(plain, acting, whole) if whole else _downloading(plain, acting)


def _follows(nodes: Iterable[NodePlan], has: Mapping[str, Held]) -> dict[str, str]:
    first: dict[str, str] = {}
    for node in nodes:
        if has[node.name].shared:
            first.setdefault(has[node.name].shared, node.name)
    return {n.name: first[has[n.name].shared] for n in nodes if has[n.name].shared and first[has[n.name].shared] != n.name}


def _recorded(one: Held) -> bool:
    return all(one.sha256(n) for n in one.files if manifest.matters(n))


def _copying(plain: Errand, acting: list[str], whole: list[str]) -> Errand:
    """Some node has all of it; the others get what they lack."""
    origin = whole[0]
    wanted = {n: f.size for n, f in plain.held[origin].files.items() if manifest.matters(n)}
    jobs: dict[str, Job] = {}
    blocks: dict[str, Block] = {}
    for node in acting:
        part = _part(plain, node, origin, wanted)
        if isinstance(part, Job):
            jobs[node] = part
        elif part:
            blocks[node] = part
    for node, leader in plain.follows.items():
        one = plain.held[node]
        if leader in blocks:
            blocks[node] = blocks[leader]
        elif leader in jobs or any(not one.sha256(n) for n in wanted):
            jobs[node] = _note(plain.folder, leader)
    return Errand(plain.folder, plain.model, plain.repo, plain.held, origin, wanted, tuple(whole), jobs, blocks, plain.follows)


def _part(plain: Errand, node: str, origin: str, wanted: Mapping[str, int]) -> Job | Block | None:
    one, folder = plain.held[node], plain.folder
    if one.problem:
        return _unusable(one)
    missing = sorted(n for n in wanted if n not in one.files or n in one.broken)
    present = [n for n in wanted if n in one.files and n not in one.broken]
    other = sorted(n for n in present if one.files[n].size != wanted[n])
    if other:
        name = other[0]
        why = f"{folder}: {name} has {one.files[name].size} bytes, {wanted[name]} on {origin}"
        fix = f"remove the wrong {files(other)}, then {PREPARE} copies the other"
        return Block("weights.same", why, f"the same files as on {origin}", fix)
    hashes = tuple(sorted(n for n in present if not one.sha256(n)))
    if missing:
        need = max(sum(wanted[n] for n in missing) - one.parts, 0)
        words = f"copy {len(missing)} of {len(wanted)} files of {folder}, {size(need)}, from {origin}"
        return _barred(one, missing, need) or Job("copy", words, hashes, sum(wanted[n] for n in missing))
    if hashes:
        total = sum(wanted[n] for n in hashes)
        return Job("hash", f"hash {len(hashes)} files of {folder}, {size(total)}, for its manifest", hashes, total)
    return _tidy(one)


def _downloading(plain: Errand, acting: list[str]) -> Errand:
    """Nobody has all of it: one node downloads, the one that has most of it already."""
    blocks = {n: _unusable(plain.held[n]) for n in acting if plain.held[n].problem}
    jobs: dict[str, Job] = {}
    rest = [n for n in acting if n not in blocks]
    if plain.repo is None:
        blocks |= {n: _homeless(plain, plain.held[n]) for n in rest}
    else:
        about = int((plain.model.size_gb or 0) * 1e9) if plain.model else 0
        need = {n: max(int(about * 0.9) - plain.held[n].size - plain.held[n].parts, 0) for n in rest}
        barred = {n: _barred(plain.held[n], plain.held[n].lacking(), need[n]) for n in rest}
        blocks |= {n: block for n, block in barred.items() if block}
        able = sorted((n for n in rest if not barred[n]), key=lambda n: -(plain.held[n].size + plain.held[n].parts))
        for node in able:
            one = plain.held[node]
            hashes = tuple(sorted(n for n in one.files if manifest.matters(n) and n not in one.broken and not one.sha256(n)))
            if node == able[0]:
                words = f"download {plain.repo.title} into {plain.folder}" + (f", about {size(about)}" if about else "")
                jobs[node] = Job("download", words, hashes)
            else:
                jobs[node] = Job("copy", f"copy {plain.folder} from {able[0]} while it is downloaded there", hashes)
    for node, leader in plain.follows.items():
        if leader in blocks:
            blocks[node] = blocks[leader]
        else:
            jobs[node] = _note(plain.folder, leader)
    origin = next((n for n, job in jobs.items() if job.kind == "download"), "")
    return Errand(plain.folder, plain.model, plain.repo, plain.held, origin, None, (), jobs, blocks, plain.follows)


def _note(folder: str, leader: str) -> Job:
    return Job("note", f"note the hashes of {folder}, which it shares with {leader}")


def _tidy(one: Held) -> Job | None:
    return Job("tidy", f"remove what an interrupted copy left in {one.path}") if one.parts and one.writable else None


PREPARE = "pyinfra INVENTORY deploy/prepare.py"


def _unusable(one: Held) -> Block:
    return Block("weights.present", one.problem, "a folder that can be read", f"ls {one.path} on the node; see to its mount")


def _homeless(plain: Errand, one: Held) -> Block:
    name = plain.model.name if plain.model else "the draft"
    what = f"lacks {files(one.lacking())}" if one.shards else "holds no weights" if one.kind == "folder" else "is not there"
    check = "weights.index" if one.shards else "weights.present"
    return Block(check, f"{one.path} {what}", f"{name}, for which no hub is known", f"copy it to {one.path} on one node, then {PREPARE}")


def _barred(one: Held, missing: list[str], need: int) -> Block | None:
    """Why nothing can be put into this folder."""
    lacks = f"lacks {files(missing)}" if one.shards else "holds no weights" if one.kind == "folder" else "is not there"
    check = "weights.index" if one.shards else "weights.present"
    if one.kind == "file":
        return Block("weights.present", f"{one.path} is a file", "a folder", "name the checkpoint's folder in the inventory's weights")
    if not one.writable:
        why = f"{one.path} {lacks} and cannot be written"
        return Block(
            check, why, "the whole checkpoint, or a folder that can be filled", "complete it where it is kept, or name another folder"
        )
    if one.free is not None and need > one.free:
        why = f"{one.path}: {size(need)} missing, {size(one.free)} free"
        return Block("weights.space", why, f"{size(need)} free", f"make room on the file system of {one.path}, or name another folder")
    return None
