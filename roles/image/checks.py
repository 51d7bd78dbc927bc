"""The image: here, the same on all nodes, for this processor, with room to come; and an engine in it that takes our command."""

from __future__ import annotations

from functools import wraps
from pathlib import Path

from roles.image.parse import verdict
from roles.image.present import different, image
from roles.image.work import images, left_in, repository, stays, work
from roles.plan.yamlfile import read_mapping
from roles.run.checks import Answer, Case, Test, check, fail, good, skip, warn
from roles.run.seen import NOTHING

PREPARE = "pyinfra INVENTORY deploy/prepare.py"
RUNTIMES = ("docker",)
SIZES = Path(__file__).with_name("sizes.yaml")
GB = 1e9
UNKNOWN_GB = 15
LATER = "after prepare"


def looked(test: Test) -> Test:
    """A short probe leaves this part out, and is no occasion to judge."""

    @wraps(test)
    def judged(case: Case) -> Answer:
        return test(case) if "image.host" in case.seen else None

    return judged


@check("image.present", "The engine's image is on the node", runtimes=RUNTIMES)
@looked
def present(case: Case) -> Answer:
    here = stays(case)
    if here:
        return good(f"{case.node.image} is {here.short}")
    left = left_in(case) if image(case.seen) else ""
    seen = f"{case.node.image} is {f'in {left}, and Docker is to leave that folder' if left else 'not here'}"
    archive = case.known.keys.image_archive
    if archive and not case.seen["image.archive"].ok:
        return fail(f"{seen}; {archive} is not here", "the archive on every node", "copy it there")
    return warn(seen, f"loaded from {archive}" if archive else "pulled", PREPARE)


@check("image.same", "The nodes of the replica have the same image", why="EI0005, EI0008: ranks must match", runtimes=RUNTIMES, nodes=2)
@looked
def same(case: Case) -> Answer:
    here = stays(case)
    if not here:
        return skip(LATER)
    have = images(case)
    pair = different(have)
    if not pair:
        return good(f"{here.short} on {len(have)} of {len(case.replica.nodes)} nodes")
    (a, one), (b, other) = pair
    return warn(f"{case.node.image} is {one.short} on {a} and {other.short} on {b}", "one image on all nodes", PREPARE)


@check("image.arch", "The image is made for this processor", runtimes=RUNTIMES)
@looked
def arch(case: Case) -> Answer:
    here, machine = image(case.seen), case.seen["image.host"].pairs.get("arch", "")
    if not here:
        return skip(LATER)
    if here.arch != machine:
        return fail(f"made for {here.arch}", f"{machine}, as this node is", f"docker image rm {case.node.image} on the node, then prepare")
    return good(here.arch)


def needs_gb(name: str) -> float | None:
    """Room the unpacked image takes, where it is known."""
    sizes = read_mapping(SIZES, SIZES.name)
    size = sizes.get(repository(name).rpartition("/")[2])
    return None if size is None else float(size)


@check(
    "image.space", "There is room for the image where Docker keeps its own", why="layers are kept packed and unpacked", runtimes=RUNTIMES
)
@looked
def space(case: Case) -> Answer:
    host = case.seen["image.host"].pairs
    if "free" not in host:
        return skip("the room could not be read")
    free, where = int(host["free"]) / GB, host.get("on", "/")
    todo = work(case)
    if not todo.sources and not todo.archive:
        return good(f"the image is here; {free:.0f} GB are free on {where}")
    size = needs_gb(case.node.image or "")
    seen = f"{free:.0f} GB are free on {where}"
    remedy = 'make room, or set "docker": {"data_root": ...} in the inventory'
    if size is None:
        return warn(seen, f"{UNKNOWN_GB} GB for an image of unknown size", remedy) if free < UNKNOWN_GB else good(seen)
    if free < size:
        return fail(seen, f"{2 * size:.0f} GB: the image takes {size:.0f}, and as much while it is unpacked", remedy)
    if free < 2 * size:
        return warn(seen, f"{2 * size:.0f} GB: the image takes {size:.0f}, and as much while it is unpacked", remedy)
    return good(seen)


@check("image.registry", "A registry that has the image can be reached", runtimes=RUNTIMES)
@looked
def registry(case: Case) -> Answer:
    keys = case.known.keys
    if stays(case):
        return skip("the image is here")
    if keys.image_archive:
        return skip("the image comes from an archive")
    direct = dict(case.seen.under("image.reach"))
    if not direct:
        return skip("the node has no bash to try it with")
    proxy, through = next(case.seen.under("image.proxy"), ("", NOTHING))
    tried = {
        name: (name, s) if not proxy or _host(name) in keys.docker.insecure else (f"the proxy {proxy}", through)
        for name, s in direct.items()
    }
    reached = [name for name, (_, section) in tried.items() if section.ok]
    if reached:
        way = tried[reached[0]][0]
        return good(f"{reached[0]} answers" if way == reached[0] else f"{way} answers, for {reached[0]}")
    if keys.docker.mirrors and not any(_host(name) for name in tried):
        return skip(f"Docker Hub is not reached; its mirrors {', '.join(keys.docker.mirrors)} are tried by prepare")
    seen = "; ".join(dict.fromkeys(f"{way}: {section.why_not.rpartition(': ')[2]}" for way, section in tried.values()))
    return fail(seen, "one of them reached", "set proxy, mirrors in docker, image or image_archive in the inventory")


def _host(name: str) -> str:
    """The registry of a reference; nothing where it is Docker Hub."""
    first = name.partition("/")[0]
    return first if "/" in name and any(c in first for c in ".:") else ""


@check(
    "image.command",
    "The engine in the image takes the plan's command",
    why="a flag that this release lacks ends the start after minutes",
    runtimes=RUNTIMES,
)
@looked
def command(case: Case) -> Answer:
    found = verdict(case.seen)
    if found is None:
        return None if image(case.seen) else skip(LATER)
    if found.verdict == "refused":
        expected = f"a command that {case.known.recipe.engine} in {case.node.image} takes"
        return fail(f"refused: {found.why}", expected, "correct flags or version in the inventory")
    if found.verdict == "ok":
        return good(f"{found.release} takes it")
    if not found.asked:
        return skip(found.why)
    return warn(
        f"could not be asked: {found.why}",
        "the engine's own word",
        "nothing need be done: a wrong flag would show in the first minutes of the start",
    )


@check("image.jemalloc", "jemalloc can be preloaded from where the plan says", why="it must be inside the image", runtimes=RUNTIMES)
@looked
def jemalloc(case: Case) -> Answer:
    path, found = case.node.env.get("LD_PRELOAD"), verdict(case.seen)
    if not path:
        return None
    if found is None:
        return None if image(case.seen) else skip(LATER)
    if found.jemalloc is None:
        return skip(f"not known: {found.why}")
    if found.jemalloc:
        return warn(
            f"{path}: {found.jemalloc}", "a library the engine can preload", "set image_os or arch in the inventory as the image is"
        )
    return good(path)
