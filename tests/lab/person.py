"""Who is at the keyboard: the lab needs root, whoever asked for it with sudo does not become root for the rest."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.place import Place

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Person:
    """A user of this machine."""

    uid: int
    gid: int
    name: str
    home: str

    def session(self, environ: Mapping[str, str]) -> dict[str, Any]:
        """What `subprocess.run` takes to start a command as them, with their own home and nothing of root's."""
        kept = {k: v for k, v in environ.items() if not k.startswith(("SUDO_", "XDG_"))}
        return {
            "user": self.uid, "group": self.gid, "extra_groups": os.getgrouplist(self.name, self.gid),
            "env": {**kept, "HOME": self.home, "USER": self.name, "LOGNAME": self.name},
        }  # fmt: skip


def keyboard(environ: Mapping[str, str], owner: int) -> Person | None:
    """Whoever ran sudo in a checkout of their own; None where root works for itself, as in a root shell with root's checkout."""
    uid = sudo_uid(environ)
    if uid is None or uid != owner:
        return None
    try:
        found = pwd.getpwuid(uid)
    except KeyError:
        return None
    return Person(found.pw_uid, found.pw_gid, found.pw_name, found.pw_dir)


def here() -> Person | None:
    return keyboard(os.environ, ROOT.stat().st_uid)


def sudo_uid(environ: Mapping[str, str]) -> int | None:
    """Who ran sudo, unless that was root."""
    text = environ.get("SUDO_UID", "")
    return int(text) if text.isdigit() and int(text) else None


def hand_over(place: Place, person: Person | None) -> None:
    """The lab's private key becomes theirs: SSH wants it readable by its owner alone, and root may use it all the same.

    The public half stays root's: Vagrant's nodes have it as root's authorized_keys.
    """
    if person is None:
        return
    for folder in (place.root, place.keys):
        folder.chmod(0o755)
    os.chown(place.keys / "id_ed25519", person.uid, person.gid)
