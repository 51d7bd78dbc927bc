"""Who may read what is written: here and on the nodes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from roles.enrol import store
from roles.run import key
from roles.run.folder import Folder

ROOT = Path(__file__).parents[2]
EVALUATE = ("image/probe_last.sh", "venv/make.sh", "bench/inside.sh")
"""What these evaluate was quoted by the plan, or is a variable's name; test_injection.py holds the first two to it."""


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    """The worst that a user's shell may have set."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_key_kept_on_this_machine_is_its_owners(tmp_path: Path) -> None:
    file = tmp_path / "bringup" / "site" / "api-key"
    key.keep(file, "sk-1")
    assert mode(file) == 0o600
    assert mode(file.parent) == 0o700


def test_a_key_file_that_was_open_is_closed_before_the_key_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "api-key"
    file.write_text("")
    file.chmod(0o644)
    seen: list[tuple[int, int]] = []
    real = os.fchmod
    monkeypatch.setattr(os, "fchmod", lambda fd, m: (real(fd, m), seen.append((os.fstat(fd).st_size, os.fstat(fd).st_mode & 0o777)))[0])
    key.keep(file, "sk-1")
    assert seen == [(0, 0o600)]


def test_a_run_folder_is_closed_to_everyone_else(tmp_path: Path) -> None:
    folder = Folder("site", "check", str(tmp_path / "runs"))
    before = os.umask(0)
    try:
        folder.event("x")
        folder.report({})
        folder.keep("n0", "log", "x")
    finally:
        os.umask(before)
    assert mode(folder.path) == 0o750, "whatever lies in it, nobody else comes to it"


def test_known_hosts_is_its_owners_even_where_it_was_not(tmp_path: Path) -> None:
    file = tmp_path / ".ssh" / "known_hosts"
    store.write(file, "a\n")
    assert (mode(file), mode(file.parent)) == (0o600, 0o700)
    file.chmod(0o666)
    store.write(file, "b\n")
    assert mode(file) == 0o600
    assert [p.name for p in file.parent.iterdir()] == ["known_hosts"]


def test_a_write_that_breaks_off_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "known_hosts"
    store.write(file, "a\n")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space"):
        store.write(file, "b\n")
    assert file.read_text() == "a\n"
    assert [p.name for p in tmp_path.iterdir()] == ["known_hosts"]


@pytest.mark.parametrize("path", sorted((ROOT / "roles").rglob("*.sh")), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_script_for_a_node_opens_anything_to_everyone(path: Path) -> None:
    """A script that writes files sets its umask or their mode; none gives write permission away or follows a name in /tmp."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"chmod\s+(-R\s+)?(a\+w|o\+w|[0-7]?[0-7]{2}[2367])\b", text)
    assert not re.search(r"umask\s+0*0\b", text)
    assert "/tmp/" not in text
    assert not re.search(r"\beval\b", text) or f"{path.parent.name}/{path.name}" in EVALUATE
