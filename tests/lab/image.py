"""The node image: Debian from mmdebstrap, then the lab's own few files on top; both cached by what they are made of."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from tests.lab.place import HERE, Place, Step, docker, sh

SUITE = "bookworm"
BARE = "bringup-lab-bare"
LATEST = "bringup-lab-node:latest"  # what the Vagrantfile names
DROPPED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")


def base_image() -> str:
    """The name of the Debian below the node image."""
    return f"bringup-lab-base:{digest(SUITE, *_packages(), *DROPPED)}"


def _packages() -> list[str]:
    return (HERE / "node" / "packages.txt").read_text().split()


def node_image(place: Place) -> str:
    """The image's name; made when its parts changed."""
    base = base_image()
    parts = sorted(p for folder in (HERE / "node", HERE / "sim") for p in folder.rglob("*") if p.is_file() and not _passed_over(p))
    image = f"bringup-lab-node:{digest(base, *(p.name + p.read_text(encoding='utf-8') for p in parts))}"
    if not have_image(place, base):
        make_base(place, base, _packages())
    if not have_image(place, image):
        _make_node(place, image, base)
    return image


def bare_image(place: Place, node: str) -> str:
    """The same node on which Docker is not installed."""
    image = f"{BARE}:{digest(node)}"
    if not have_image(place, image):
        with Step("building the node image without Docker"):
            file = HERE / "node" / "Dockerfile.bare"
            docker(
                place, "build", "-q", "--network=none", "--build-arg", f"NODE={node}", "-t", image, "-f", file, file.parent,
            )  # fmt: skip
    return image


def _passed_over(path: Path) -> bool:
    """Caches that tools leave beside the code."""
    return any(part == "__pycache__" or part.startswith(".") for part in path.relative_to(HERE).parts)


def digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def have_image(place: Place, image: str) -> bool:
    return bool(docker(place, "image", "ls", "-q", image).strip())


def tar(place: Place, image: str) -> Path:
    """What mmdebstrap made of it, kept."""
    return place.cache / f"{image.replace(':', '-')}.tar"


def make_base(place: Place, image: str, packages: list[str]) -> None:
    file = tar(place, image)
    if not file.exists():
        part = file.with_suffix(".part")
        with Step(f"Debian {SUITE} with {len(packages)} packages of our own choice, downloaded (about a minute and a half)"):
            sh(
                "mmdebstrap", "--variant=minbase", "--format=tar", f"--include={','.join(packages)}",
                "--aptopt=APT::Install-Recommends \"false\"", *(f"--dpkgopt=path-exclude={d}" for d in DROPPED), SUITE, part,
            )  # fmt: skip
        part.rename(file)
    with Step("importing it"):
        docker(place, "import", file, image)


def _make_node(place: Place, image: str, base: str) -> None:
    with tempfile.TemporaryDirectory() as folder, Step("building the node image"):
        context = Path(folder) / "context"
        shutil.copytree(HERE / "node", context)
        (context / "sim").mkdir()
        if (HERE / "sim").is_dir():
            shutil.copytree(HERE / "sim", context / "sim", dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        docker(place, "build", "-q", "--network=none", "--build-arg", f"BASE={base}", "-t", image, "-t", LATEST, context)
