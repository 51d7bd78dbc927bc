"""nginx for tests: the machine's own, else Debian's package unpacked into the cache. Nothing is installed, and no service is started."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.engines.environment import cache_folder

PACKAGES = ("nginx", "nginx-core", "nginx-light")
"""Which of them holds the program differs from release to release."""


def found() -> Path | None:
    """The program, where it is at hand without asking anybody."""
    on_path = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    kept = _kept()
    return Path(on_path) if on_path else kept if kept.exists() else None


def ready() -> str:
    """Nothing when there is one now; else why not."""
    if found():
        return ""
    if not shutil.which("apt-get"):
        return "nginx is not here, and no apt-get to bring it"
    if os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], capture_output=True, check=False)
    said = ""
    for package in PACKAGES:
        with tempfile.TemporaryDirectory() as work:
            done = subprocess.run(["apt-get", "download", "-qq", package], cwd=work, capture_output=True, text=True, check=False)
            said = (done.stderr.strip().splitlines() or [said])[-1]
            for deb in Path(work).glob("*.deb"):
                subprocess.run(["dpkg", "-x", deb, f"{work}/root"], check=True)
                program = Path(work, "root/usr/sbin/nginx")
                if program.exists():
                    _kept().parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(program, f"{_kept()}.part")
                    os.replace(f"{_kept()}.part", _kept())
                    return ""
    return f"nginx could not be downloaded: {said}"


def _kept() -> Path:
    return cache_folder() / "nginx" / "nginx"
