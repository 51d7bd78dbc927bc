"""A node of the lab is a real machine where it matters: init, SSH, sudo, Docker, NICs, kernel view."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.lab import nodes
from tests.lab.conftest import RunningLab
from tests.lab.place import docker, sh

pytestmark = pytest.mark.lab
NODES = ["n0", "n1"]


@pytest.mark.parametrize("node", NODES)
def test_systemd_runs_without_a_failed_unit(lab: RunningLab, node: str) -> None:
    assert lab.ssh(node, "systemctl is-system-running --wait").strip() == "running"


@pytest.mark.parametrize("node", NODES)
def test_each_node_has_its_own_docker_on_overlay2(lab: RunningLab, node: str) -> None:
    assert lab.ssh(node, "docker info --format '{{.Driver}} {{.Name}}'").strip() == f"overlay2 {node}"


def test_nodes_have_two_networks_and_reach_each_other(lab: RunningLab) -> None:
    number = 0
    lines = lab.ssh("n0", "ip -4 -br addr")
    assert f"{nodes.CLUSTER_NIC}" in lines
    assert lab.place.address(number) in lines
    assert nodes.MANAGEMENT_NIC in lines
    assert lab.place.ssh_address(number) in lines
    assert " 0% packet loss" in lab.ssh("n0", f"ping -c1 -W3 -I {nodes.CLUSTER_NIC} {lab.place.address(1)}")


def test_a_node_has_no_way_out(lab: RunningLab) -> None:
    own = sh("sh", "-c", 'ip -4 -br addr show up | awk \'$1 != "lo" && $1 !~ /^brlab/ {split($3, a, "/"); print a[1]; exit}\'').strip()
    reached = lab.ssh("n0", f"curl -s -m 3 telnet://{own or '192.0.2.1'}:22 >/dev/null 2>&1; echo $?").strip()
    assert reached != "0"


def test_a_changed_host_key_is_refused(lab: RunningLab, tmp_path: Path) -> None:
    node = nodes.named(lab.place, "n0")
    other = (lab.place.node_folder("n1") / "ssh_host_ed25519_key.pub").read_text().split()[:2]
    known = tmp_path / "known_hosts"
    known.write_text(f"{lab.place.ssh_address(node.number)} {' '.join(other)}\n")
    options = [o.replace(str(lab.place.keys / "known_hosts"), str(known)) for o in nodes.ssh_options(lab.place)]
    done = subprocess.run(["ssh", *options, f"root@{lab.place.ssh_address(0)}", "true"], capture_output=True, text=True, check=False)
    assert done.returncode == 255
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in done.stderr


def test_host_keys_survive_a_restart(lab: RunningLab) -> None:
    before = (lab.place.keys / "known_hosts").read_text()
    assert (lab.place.node_folder("n1") / "ssh_host_ed25519_key.pub").read_text().split()[1] in before
    assert lab.ssh("n1", "cut -d' ' -f2 /lab/ssh_host_ed25519_key.pub").strip() in before


def test_a_sudo_user_becomes_root_and_password_login_is_off(lab: RunningLab) -> None:
    assert lab.ssh("n0", "id -un; sudo -n id -un", user="ops").split() == ["ops", "root"]
    assert "passwordauthentication no" in lab.ssh("n0", "sshd -T")


def test_tuning_is_really_written_and_never_reaches_the_machine(lab: RunningLab) -> None:
    machine = sh("sysctl", "-n", "vm.swappiness", "kernel.numa_balancing", check=False)
    knobs = (
        "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor /sys/kernel/mm/transparent_hugepage/enabled "
        "/sys/kernel/debug/sched/migration_cost_ns"
    )
    script = (
        "sysctl -q -w vm.swappiness=1 kernel.numa_balancing=0 kernel.sched_migration_cost_ns=50000 fs.file-max=123456;"
        "echo performance | tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor >/dev/null;"
        "echo never > /sys/kernel/mm/transparent_hugepage/enabled; echo 60000 > /sys/kernel/debug/sched/migration_cost_ns;"
        f"sysctl -n vm.swappiness kernel.numa_balancing kernel.sched_migration_cost_ns fs.file-max; cat {knobs}"
    )
    assert lab.ssh("n0", script).split() == ["1", "0", "50000", "123456", "performance", "never", "60000"]
    assert sh("sysctl", "-n", "vm.swappiness", "kernel.numa_balancing", check=False) == machine
    assert lab.ssh("n1", "sysctl -n vm.swappiness").strip() != "1"


def test_network_sysctls_are_the_nodes_own(lab: RunningLab) -> None:
    machine = sh("sysctl", "-n", "net.core.somaxconn")
    assert lab.ssh("n0", "sysctl -q -w net.core.somaxconn=5001; sysctl -n net.core.somaxconn").strip() == "5001"
    assert sh("sysctl", "-n", "net.core.somaxconn") == machine


def test_a_nodes_clock_can_be_wrong(lab: RunningLab) -> None:
    (lab.place.node_folder("n1") / "clock").write_text("3600\n")
    try:
        offset = int(lab.ssh("n1", "date +%s")) - int(lab.ssh("n0", "date +%s"))
    finally:
        (lab.place.node_folder("n1") / "clock").unlink()
    assert 3590 <= offset <= 3610
    assert abs(int(lab.ssh("n1", "date +%s")) - int(lab.ssh("n0", "date +%s"))) < 10


@pytest.fixture(scope="module")
def tiny(lab: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The smallest image that runs: one static program; pushed to the lab's registry."""
    tar = tmp_path_factory.mktemp("image") / "tiny.tar"
    with tarfile.open(tar, "w") as archive:
        archive.add("/sbin/ldconfig", "ldconfig")
        note = b"tiny\n"
        info = tarfile.TarInfo("note")
        info.size = len(note)
        archive.addfile(info, io.BytesIO(note))
    name = f"{lab.place.registry}/bringup/tiny:v1"
    docker(lab.place, "import", tar, name)
    docker(lab.place, "push", "-q", name)
    return "registry.lab:5000/bringup/tiny:v1"


def test_both_nodes_pull_the_same_digest(lab: RunningLab, tiny: str) -> None:
    digests = {
        lab.ssh(n, f"docker pull -q {tiny} >/dev/null && docker image inspect -f '{{{{index .RepoDigests 0}}}}' {tiny}").strip()
        for n in NODES
    }
    assert len(digests) == 1
    assert digests.pop().startswith("registry.lab:5000/bringup/tiny@sha256:")


def test_a_container_runs_with_the_options_our_recipes_use(lab: RunningLab, tiny: str) -> None:
    options = "--rm --privileged --network host --ipc host --stop-timeout 60 --entrypoint '' --ulimit memlock=-1 --group-add 44"
    mount = "--mount type=bind,source=/etc/hostname,target=/name,readonly"
    assert "ldconfig" in lab.ssh("n0", f"docker pull -q {tiny} >/dev/null; docker run {options} {mount} {tiny} /ldconfig --version")


def test_a_mount_whose_source_is_missing_stops_the_container_and_leaves_nothing(lab: RunningLab, tiny: str) -> None:
    script = f"docker run --rm --mount type=bind,source=/no/such,target=/x {tiny} /ldconfig --version 2>&1; echo $?; ls -d /no 2>&1"
    said = lab.ssh("n0", f"docker pull -q {tiny} >/dev/null; {script} || :")
    assert "bind source path does not exist" in said
    assert "cannot access '/no'" in said


def test_a_node_that_was_cut_off_comes_back_with_its_files(lab: RunningLab) -> None:
    lab.ssh("n1", "echo kept > /root/kept; sync")
    docker(lab.place, "kill", "n1")
    assert nodes.states(lab.place)["n1"] == "exited"
    from tests.lab import image

    nodes.up(lab.place, image.node_image(lab.place), nodes.described(lab.place))
    assert lab.ssh("n1", "cat /root/kept; systemctl is-system-running --wait").split() == ["kept", "running"]
