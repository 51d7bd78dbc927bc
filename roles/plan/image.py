"""Which image, and which engine version it holds."""

from __future__ import annotations

import re
from dataclasses import dataclass

from packaging.version import Version

from roles.plan.errors import PlanError
from roles.plan.keys import ClusterKeys
from roles.plan.options import Table, version_of_tag
from roles.plan.recipe import Hardware, Recipe

MOVING = ("latest", "nightly", "main", "dev", "")
OFFICIAL_ASCEND = re.compile(r"(?:[^/]+/)*ascend/vllm-ascend:v(?P<version>\d[\w.]*)(?P<suffix>(?:-[a-z0-9]+)*)")
JEMALLOC = {
    "ubuntu": "/usr/lib/{arch}-linux-gnu/libjemalloc.so.2",
    "openeuler": "/usr/lib64/libjemalloc.so.2",
}


@dataclass(frozen=True)
class Engine:
    """The engine as it will run: its image (None in a venv), where else to get it, and its version."""

    image: str | None
    mirrors: tuple[str, ...]
    version: Version
    system: str
    warnings: tuple[str, ...]

    def jemalloc(self, arch: str) -> str:
        return JEMALLOC[self.system].format(arch=arch)


def choose(recipe: Recipe, hardware: Hardware, keys: ClusterKeys, runtime: str, table: Table, place: str) -> Engine:
    """The recipe's image with the hardware's and system's suffix, or the inventory's own, and its version."""
    own, image = keys.image, recipe.image
    warnings: list[str] = []
    if runtime == "venv" or image is None:
        version = _explicit(keys) or _default(recipe) or table.newest()
        return Engine(None, (), version, keys.image_os, tuple(_table_warnings(version, table, place)))
    if own is not None:
        ref, mirrors = own, tuple[str, ...]()
        said = version_of_tag(own)
        version = _explicit(keys) or said or _default(recipe) or table.newest()
        if said and keys.version and said != version:
            warnings.append(f'{place}: "version" is {version} but the tag of {own} says {said}; taken as {version}')
        elif not said and not keys.version:
            warnings.append(f'{place}: "image" {own} does not say its engine\'s version; taken as {version}, set "version" to be sure')
        _refuse_wrong_suffix(own, hardware, place)
    else:
        tag = _tag(recipe, keys, place) + (
            hardware.image_suffix + ("-openeuler" if keys.image_os == "openeuler" else "") if image.suffixes else ""
        )
        ref, mirrors = f"{image.repository}:{tag}", tuple(f"{m}:{tag}" for m in image.mirrors)
        version = _explicit(keys) or version_of_tag(ref) or _default(recipe) or table.newest()
    tag_part = ref.rsplit("/", 1)[-1].partition(":")[2]
    if "@sha256:" not in ref and (tag_part in MOVING or (own is None and image.moving)):
        warnings.append(f"{place}: image {ref} is a moving tag: tomorrow it is another image; pin a version or a digest (image@sha256:...)")
    warnings.extend(_table_warnings(version, table, place))
    system = "openeuler" if "openeuler" in tag_part else keys.image_os
    return Engine(ref, mirrors, version, system, tuple(warnings))


def _explicit(keys: ClusterKeys) -> Version | None:
    return Version(keys.version) if keys.version else None


def _default(recipe: Recipe) -> Version | None:
    image = recipe.image
    if image is None:
        return None
    return Version(image.version) if image.version else version_of_tag(f"x:{image.tag}")


def _tag(recipe: Recipe, keys: ClusterKeys, place: str) -> str:
    """The default tag, with another version in it where the inventory asks for one."""
    assert recipe.image is not None
    tag = recipe.image.tag
    if keys.version is None:
        return tag
    said = version_of_tag(f"x:{tag}")
    if said is None:
        raise PlanError(
            f'{place}: "version" is {keys.version} but the recipe\'s tag "{tag}" names none; expected "image" to say which image holds it'
        )
    return re.sub(r"\d+(\.\d+)+((a|b|rc)\d+)?(\.post\d+)?", keys.version, tag, count=1)


def _refuse_wrong_suffix(image: str, hardware: Hardware, place: str) -> None:
    """An A2 image on A3 (or the reverse) starts and dies on a missing operator (VA#6206)."""
    match = OFFICIAL_ASCEND.fullmatch(image.split("@", 1)[0])
    if not match or hardware.vendor != "ascend":
        return
    parts = [p for p in match["suffix"].split("-") if p and p != "openeuler"]
    wanted = hardware.image_suffix.lstrip("-")
    if parts != ([wanted] if wanted else []):
        right = f"v{match['version']}{hardware.image_suffix}" + ("-openeuler" if "openeuler" in match["suffix"] else "")
        raise PlanError(f'{place}: "image" is {image}, built for other chips than {hardware.title}; expected the tag {right}')


def _table_warnings(version: Version, table: Table, place: str) -> list[str]:
    release = Version(version.base_version)
    if release > table.newest():
        return [f"{place}: {table.engine} {version} is newer than any release whose options were read; judged as {table.newest()}"]
    if release < table.oldest():
        return [f"{place}: {table.engine} {version} is older than any release whose options were read; judged as {table.oldest()}"]
    return []
