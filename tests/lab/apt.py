"""python -m tests.lab.apt: Debian packages for nodes without a way out, in a folder that is apt-get's one source there."""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

from tests.lab.image import bare_image, base_image, digest, node_image
from tests.lab.place import LabError, Place, Step, docker, locked, say, sh

PACKAGES = ("docker.io", "nginx")
STAMP = "made-of"


def apt_folder(place: Place) -> Path:
    """The folder, made once; nodes see it read-only at /opt/lab/shared/apt and have no other source."""
    folder = place.root / "shared" / "apt"
    with locked(place.cache / "apt.lock"):
        bare = bare_image(place, node_image(place))
        if not made(place):
            with Step(f"downloading {', '.join(PACKAGES)} and what a bare node lacks for it"), tempfile.TemporaryDirectory() as work:
                found = _download(place, Path(work), bare)
                _publish(found, folder, _made_of())
    return folder


def made(place: Place) -> bool:
    stamp = place.root / "shared" / "apt" / STAMP
    return stamp.exists() and stamp.read_text() == _made_of()


def _made_of() -> str:
    return digest(base_image(), *PACKAGES)


def _download(place: Place, work: Path, bare: str) -> list[Path]:
    """What apt-get would install on that very node, by the node's list of packages and Debian's own sources and keys."""
    _copy(place, bare, "/var/lib/dpkg/status", work)
    for path in ("/etc/apt/sources.list", "/etc/apt/trusted.gpg.d"):
        _copy(place, base_image(), path, work)
    for name in ("state/lists/partial", "cache/archives/partial"):
        (work / name).mkdir(parents=True)
    settings = {
        "Dir::State": work / "state", "Dir::State::status": work / "status", "Dir::Cache": work / "cache",
        "Dir::Etc::sourcelist": work / "sources.list", "Dir::Etc::trustedparts": work / "trusted.gpg.d",
        **{f"Dir::Etc::{name}": "/dev/null" for name in ("sourceparts", "trusted", "preferences", "preferencesparts")},
        "APT::Sandbox::User": "root", "APT::Install-Recommends": "false", "Acquire::Languages": "none", "Acquire::Retries": 2,
    }  # fmt: skip
    apt_get = ["apt-get", "-qq", *(word for key, value in settings.items() for word in ("-o", f"{key}={value}"))]
    sh(*apt_get, "--error-on=any", "update")
    sh(*apt_get, "-y", "--download-only", "install", *PACKAGES)
    return sorted((work / "cache" / "archives").glob("*.deb"))


def _copy(place: Place, image: str, path: str, work: Path) -> None:
    container = docker(place, "create", image, "true").strip()
    try:
        docker(place, "cp", f"{container}:{path}", work)
    finally:
        docker(place, "rm", "-v", container)


def _publish(packages: list[Path], folder: Path, made_of: str) -> None:
    """A folder with its index, in place only when it is whole."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for package in packages:
        shutil.copyfile(package, part / package.name)
    (part / "Packages").write_text("\n".join(entry(part / p.name) for p in packages), encoding="utf-8")
    (part / STAMP).write_text(made_of)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def entry(package: Path) -> str:
    """A package in the index: its own fields, and which file it is."""
    data = package.read_bytes()
    fields = {"Filename": f"./{package.name}", "Size": len(data), "SHA256": hashlib.sha256(data).hexdigest()}
    return sh("dpkg-deb", "--field", package) + "".join(f"{name}: {value}\n" for name, value in fields.items())


def main() -> int:
    try:
        folder = apt_folder(Place())
    except LabError as e:
        say(f"lab: {e}")
        return 1
    files = list(folder.glob("*.deb"))
    print(f"{folder}: {len(files)} packages, {sum(f.stat().st_size for f in files) / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
