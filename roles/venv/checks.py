"""What an engine without a container needs."""

from __future__ import annotations

import shlex

from roles.run.checks import Case, Say, check, fail, good, skip, warn
from roles.venv.role import made, wanted

RUNTIMES = ("venv",)
ROOM = 20 << 30


@check("venv.present", "the engine's environment is made, of the plan's packages", runtimes=RUNTIMES)
def present(case: Case) -> Say:
    python, packages = wanted(case)
    found = made(case)
    if found.get("packages") == shlex.join(packages) and found.get("python") == python:
        return good(f"python {python}, {', '.join(packages)}")
    seen = f"made of {found['packages']} for python {found.get('python')}" if found.get("packages") else "not made"
    return warn(seen, f"python {python}, {', '.join(packages)}", "pyinfra INVENTORY deploy/prepare.py")


@check("venv.uv", "uv is there, or can be had", runtimes=RUNTIMES, why="it makes the environment; nodes need no pip")
def uv(case: Case) -> Say:
    host = case.seen["venv.host"].pairs
    if host.get("uv"):
        return good(host["uv"])
    folder = case.known.keys.wheels
    if folder and not host.get("wheel"):
        return fail(
            f"{folder} has {host.get('wheels') or 'no'} wheels and none of uv", f"uv-*.whl in {folder}", f"put uv's wheel into {folder}"
        )
    if folder and not host.get("unpack"):
        return fail("nothing here unpacks a wheel", "python3, unzip or bsdtar", "install unzip")
    if not folder and not host.get("curl"):
        return fail("no uv, and no curl to fetch it", "uv, curl, or wheels in the inventory", 'install curl, or set "wheels"')
    return good("comes from its wheel" if folder else "comes from astral.sh")


@check("venv.same", "the nodes have the same versions", runtimes=RUNTIMES, nodes=2)
def same(case: Case) -> Say | None:
    own, first = made(case).get("digest"), case.of(case.head)["venv.made"].pairs.get("digest")
    if own and first and own != first:
        fix = f"rm -r /var/lib/bringup/{case.plan.cluster}/venv, then pyinfra INVENTORY deploy/prepare.py; pin the versions"
        return fail(f"versions {own}", f"{first} as on {case.head.name}", fix)
    return good(own) if own else None


@check("venv.room", "room for the environment", runtimes=RUNTIMES)
def room(case: Case) -> Say:
    text = case.seen["venv.host"].pairs.get("free", "")
    if not text:
        return skip("the room could not be read")
    free = int(text)
    if free < ROOM and not made(case):
        return warn(f"{free / (1 << 30):.0f} GiB free", f"{ROOM >> 30} GiB", "free space under /var/lib/bringup")
    return good(f"{free / (1 << 30):.0f} GiB free")
