"""How a verb reaches its nodes: strict host keys, a jump host."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.conftest import RunningLab
from tests.lab.place import sh
from tests.lab.verbs import Site

pytestmark = pytest.mark.lab


def site(lab: RunningLab, path: Path, **data: object) -> Site:
    return Site(lab.place, path, ["n0"], "lab/a2-single", dict(data), "ways")


def test_another_host_key_is_refused_and_nothing_runs(lab: RunningLab, tmp_path: Path) -> None:
    key = tmp_path / "other"
    sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    words = " ".join(key.with_suffix(".pub").read_text(encoding="utf-8").split()[:2])
    known = tmp_path / "known_hosts"
    known.write_text(f"{lab.place.ssh_address(0)} {words}\n", encoding="utf-8")
    ran = site(lab, tmp_path / "site", ssh_known_hosts_file=str(known)).run("check", "-y")
    assert ran.code == 1
    assert "ost key" in ran.err
    assert known.read_text(encoding="utf-8").count("\n") == 1


def test_an_unknown_host_is_refused_under_strict_checking(lab: RunningLab, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text("", encoding="utf-8")
    assert site(lab, tmp_path / "site", ssh_known_hosts_file=str(known)).run("check", "-y").code == 1
    assert known.read_text(encoding="utf-8") == ""


def test_a_jump_host_of_the_ssh_config_leads_to_the_node(lab: RunningLab, tmp_path: Path) -> None:
    key, hosts = lab.place.keys / "id_ed25519", lab.place.keys / "known_hosts"
    config = tmp_path / "ssh_config"
    config.write_text(
        f"Host {lab.place.ssh_address(0)}\n  ProxyJump root@{lab.place.ssh_address(1)}\n"
        f"Host *\n  IdentityFile {key}\n  UserKnownHostsFile {hosts}\n",
        encoding="utf-8",
    )
    before = lab.exec("n1", "journalctl -u ssh -q --no-pager | grep -c Accepted || :").strip()
    ran = site(lab, tmp_path / "site", ssh_config_file=str(config)).run("check", "-y", "--data", "fabric=off")
    assert ran.code == 0, ran.err + ran.out
    assert int(lab.exec("n1", "journalctl -u ssh -q --no-pager | grep -c Accepted || :")) > int(before or 0)
