"""Where a node's image comes from: decided from the look at all nodes of its replica."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from roles.image.present import Image, different, image
from roles.run.change import Change
from roles.run.checks import Case


@dataclass(frozen=True)
class Work:
    """Nothing to do where both are empty."""

    sources: tuple[str, ...] = ()
    """References to pull, until one works; the image is then called by the plan's name."""
    archive: str = ""
    why: str = ""


def work(case: Case) -> Work:
    """A name that is here stays as it is, unless the replica's nodes have different images under it."""
    node, keys = case.node, case.known.keys
    if node.runtime != "docker" or not node.image:
        return Work()
    here = stays(case)
    everywhere = images(case)
    if here and ("@sha256:" in node.image or not different(everywhere)):
        return Work()
    left = left_in(case) if image(case.seen) else ""
    absent = f"Docker leaves it in {left}" if left else "it is not on this node"
    why = "the nodes have different images under this name" if here else absent
    if keys.image_archive:
        return Work(archive=keys.image_archive, why=why)
    names = (node.image, *case.known.build.mirrors)
    exact = [] if different(everywhere) else _by_digest([i for _, i in everywhere], names)
    return Work(tuple(dict.fromkeys([*exact, *names])), why=why)


def left_in(case: Case) -> str:
    """The folder whose images Docker no longer sees once it has the inventory's data_root."""
    root, wanted = case.seen["image.host"].pairs.get("root", ""), case.known.keys.docker.data_root
    return root if root and wanted and root.rstrip("/") != str(wanted).rstrip("/") else ""


def stays(case: Case) -> Image | None:
    """The image of this node, where Docker still has it after it got the inventory's settings."""
    return None if left_in(case) else image(case.seen)


def images(case: Case) -> list[tuple[str, Image]]:
    """What the replica's nodes have, as far as they were seen."""
    found = [(n.name, stays(replace(case, node=n, seen=case.of(n)))) for n in case.replica.nodes]
    return [(name, i) for name, i in found if i]


def _by_digest(have: Sequence[Image], names: Sequence[str]) -> list[str]:
    """What the other nodes have, by digest: a tag may name another image by now."""
    repositories = {repository(name) for name in names}
    exact = [name for i in have for name in i.names if name.partition("@")[0] in repositories]
    return list(dict.fromkeys(exact))


def repository(reference: str) -> str:
    """A reference without tag and digest: registry.lab:5000/a/b of registry.lab:5000/a/b:v1."""
    name = reference.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]


def decide(case: Case) -> Sequence[Change]:
    todo = work(case)
    if todo.archive:
        return [Change(f"load {case.node.image} from {todo.archive}: {todo.why}")]
    if todo.sources:
        others = f", else from {', '.join(todo.sources[1:])}" if len(todo.sources) > 1 else ""
        return [Change(f"pull {todo.sources[0]}: {todo.why}{others}")]
    return []
