"""The lab is root's, what its user needs afterwards is the user's: who ran sudo, as whom pyinfra is run, whose the key is."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import whole
from tests.lab import demo, machine, person
from tests.lab.place import Place

NOBODY = pwd.getpwnam("nobody")
SUDO = {"SUDO_UID": str(NOBODY.pw_uid), "SUDO_USER": "nobody", "HOME": "/root", "PATH": "/bin", "XDG_CONFIG_HOME": "/root/.config"}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")


def test_whoever_ran_sudo_in_their_own_checkout_is_the_person() -> None:
    found = person.keyboard(SUDO, NOBODY.pw_uid)
    assert found == person.Person(NOBODY.pw_uid, NOBODY.pw_gid, "nobody", NOBODY.pw_dir)


@pytest.mark.parametrize(
    ("environ", "owner"),
    [
        ({}, 0),
        ({}, 1000),
        ({"SUDO_UID": "0"}, 0),
        ({"SUDO_UID": "1000"}, 0),
        ({"SUDO_UID": "x"}, 0),
        ({"SUDO_UID": "4000000000"}, 4000000000),
    ],
    ids=["root", "root in another's checkout", "sudo by root", "root shell with root's checkout", "no number", "nobody this machine knows"],
)
def test_else_root_works_for_itself(environ: dict[str, str], owner: int) -> None:
    assert person.keyboard(environ, owner) is None


def test_a_session_has_the_persons_home_and_nothing_of_roots() -> None:
    who = person.keyboard(SUDO, NOBODY.pw_uid)
    assert who is not None
    session = who.session(SUDO)
    assert session["env"] == {"PATH": "/bin", "HOME": NOBODY.pw_dir, "USER": "nobody", "LOGNAME": "nobody"}
    assert (session["user"], session["group"]) == (NOBODY.pw_uid, NOBODY.pw_gid)
    assert 0 not in session["extra_groups"]


@as_root
def test_a_command_of_that_session_is_theirs() -> None:
    who = person.keyboard(SUDO, NOBODY.pw_uid)
    assert who is not None
    done = subprocess.run(["sh", "-c", "id -u; id -G; echo $HOME"], capture_output=True, text=True, check=True, **who.session(SUDO))
    assert done.stdout.split() == [str(NOBODY.pw_uid), str(NOBODY.pw_gid), NOBODY.pw_dir]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Below a folder that other users may enter, which pytest's own is not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@as_root
def test_the_key_is_theirs_alone_and_root_can_use_it_all_the_same(open_folder: Path) -> None:
    place = Place(open_folder / "lab")
    place.keys.mkdir(parents=True, mode=0o700)
    key = place.keys / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    person.hand_over(place, None)
    assert key.stat().st_uid == 0
    who = person.keyboard(SUDO, NOBODY.pw_uid)
    assert who is not None
    person.hand_over(place, who)
    assert (key.stat().st_uid, key.stat().st_mode & 0o777) == (NOBODY.pw_uid, 0o600)
    assert (place.keys / "id_ed25519.pub").stat().st_uid == 0, "it is root's authorized_keys in Vagrant's nodes"
    read = ["ssh-keygen", "-y", "-f", str(key)]  # reads and refuses private keys as ssh does
    theirs = subprocess.run(read, capture_output=True, text=True, check=True, **who.session(os.environ)).stdout
    assert theirs == subprocess.run(read, capture_output=True, text=True, check=True).stdout


def test_the_demos_hints_have_sudo_only_where_the_runs_became_roots() -> None:
    who = person.keyboard(SUDO, NOBODY.pw_uid)
    assert demo.hint(".venv/bin/pyinfra", who, SUDO) == ".venv/bin/pyinfra"
    assert demo.hint(".venv/bin/pyinfra", None, {}) == ".venv/bin/pyinfra"
    assert demo.hint(".venv/bin/pyinfra", None, SUDO) == "sudo .venv/bin/pyinfra"


@pytest.mark.parametrize(
    ("memory", "free", "says"),
    [
        (7_900_000, 9 * 10**9, ""),
        (7_900_000, None, ""),
        (4_000_000, 9 * 10**9, "this machine has 3.8 GiB of memory, expected 8"),
        (16_000_000, 7_500_000_000, "/x has 7.5 GB of disk left, expected 8"),
    ],
    ids=["sold as 8 GiB", "all is there already", "small", "full"],
)
def test_what_the_demo_needs_is_asked_before_anything_is_built(memory: int, free: int | None, says: str) -> None:
    said = machine.lacking(f"MemTotal:       {memory} kB\nMemFree: 1 kB\n", free, Path("/x"))
    assert said.startswith(says)
    assert bool(said) == bool(says)
    assert "\n" not in said


def test_a_lab_that_is_not_there_yet_is_looked_for_on_the_disk_where_it_will_be(tmp_path: Path) -> None:
    assert machine._free(Place(tmp_path / "a" / "b")) > 0


@as_root
def test_without_root_the_whole_test_run_refuses_in_one_sentence_unless_told_so() -> None:
    script = "import os, sys; from tests import whole; os.setuid(65534); print(whole.refused())"

    def said(**env: str) -> str:
        words = [sys.executable, "-B", "-c", script]
        return subprocess.run(words, cwd=whole.ROOT, capture_output=True, text=True, check=True, env={**os.environ, **env}).stdout

    assert said(LAB="no") == "None\n"
    assert said(LAB="yes").count("\n") == 1
    assert "the lab's tests need root: run `sudo make test`" in said(LAB="yes")
    assert whole.refused() is None, "root is never refused"
