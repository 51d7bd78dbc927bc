"""The simulated accelerators on real nodes: device files, tools, holders that are really there, faults by make lab-set."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab import __main__ as cli
from tests.lab import image, nodes
from tests.lab.conftest import RunningLab
from tests.lab.place import docker

pytestmark = pytest.mark.lab
HCCN = "/usr/local/Ascend/driver/tools/hccn_tool"


def change(*settings: str, node: str = "n1") -> int:
    return cli.main(["set", node, *settings])


@pytest.fixture(autouse=True)
def healthy_again(lab: RunningLab) -> Iterator[None]:
    yield
    for node in ("n0", "n1"):
        lab.exec(node, "python3 /opt/lab/sim/main.py reset >/dev/null")


def test_an_a2_node_has_its_device_and_driver_files(lab: RunningLab) -> None:
    listed = lab.ssh("n0", "ls /dev/davinci? /dev/davinci_manager /dev/devmm_svm /dev/hisi_hdc").split()
    assert listed == [*(f"/dev/davinci{i}" for i in range(8)), "/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc"]
    files = "/usr/local/Ascend/driver/version.info /etc/ascend_install.info /etc/hccn.conf /usr/local/dcmi /usr/local/bin/npu-smi"
    assert lab.ssh("n0", f"for f in {files}; do [ -e $f ] || echo $f; done") == ""


def test_every_source_a_recipe_mounts_exists_on_a_node(lab: RunningLab) -> None:
    from roles.plan.library import library

    sources = [m.split(":")[0] for m in library().hardware("atlas-a2", "test").mounts if not m.startswith("${state}")]
    assert lab.ssh("n0", f"for f in {' '.join(sources)}; do [ -e $f ] || echo $f; done") == ""


def test_npu_smi_shows_who_really_holds_a_device_and_forgets_it_at_once(lab: RunningLab) -> None:
    lab.ssh("n0", "systemd-run -q --unit holder --property=StandardInput=file:/dev/davinci5 sleep 300")
    try:
        pid = lab.ssh("n0", "systemctl show -P MainPID holder").strip()
        assert f"| {pid} " in lab.ssh("n0", "npu-smi info")
    finally:
        lab.ssh("n0", "systemctl stop holder")
    assert f"| {pid} " not in lab.ssh("n0", "npu-smi info")
    assert "No running processes found in NPU 5" in lab.ssh("n0", "npu-smi info")


def test_npus_of_the_two_nodes_reach_each_other_rail_by_rail(lab: RunningLab) -> None:
    for rail in (0, 7):
        peer = lab.ssh("n1", f"{HCCN} -i {rail} -ip -g").split("ipaddr:")[1].split()[0]
        assert "0.00% packet loss" in lab.ssh("n0", f"{HCCN} -i {rail} -ping -g address {peer}")


@pytest.mark.parametrize(
    ("setting", "command", "words"),
    [
        ("link.3=DOWN", f"{HCCN} -i 3 -link -g", "link status: DOWN"),
        ("tls.2=1", f"{HCCN} -i 2 -tls -g", "tls switch[1]"),
        ("health.6=Alarm", "npu-smi info", "| Alarm "),
        ("driver=24.1.rc1", "cat /usr/local/Ascend/driver/version.info", "24.1.rc1"),
        ("install=incomplete", "npu-smi info", "may not be completely installed"),
        ("hbm_lost.5=20000", "npu-smi info", "23445"),
        ("hccn.busy=1", f"{HCCN} -i 0 -link -g 2>&1", "hccn_tool is busy"),
        ("npu_smi.dcmi=-8005", "npu-smi info 2>&1", "-8005"),
        ("netdetect.1=", f"{HCCN} -i 1 -netdetect -g 2>&1", ""),
        ("lldp.4=", f"{HCCN} -i 4 -lldp -g 2>&1", ""),
    ],
)
def test_a_fault_shows_on_the_node_it_was_set_on_and_nowhere_else(lab: RunningLab, setting: str, command: str, words: str) -> None:
    healthy = lab.ssh("n0", f"{command} || :")
    assert change(setting) == 0
    broken = lab.ssh("n1", f"{command} || :")
    assert words in broken
    assert words == "" or words not in healthy
    assert lab.ssh("n0", f"{command} || :") == healthy


def test_a_missing_device_file_is_really_missing(lab: RunningLab) -> None:
    assert change("file.7=false") == 0
    assert lab.ssh("n1", "ls /dev/davinci7 2>&1 || :").startswith("ls: cannot access")
    assert change("file.7=true") == 0
    assert lab.ssh("n1", "ls /dev/davinci7").strip() == "/dev/davinci7"


def test_an_unknown_knob_gets_a_near_miss(lab: RunningLab, capfd: pytest.CaptureFixture[str]) -> None:
    assert change("lnk.3=DOWN") != 0
    assert "link" in capfd.readouterr().err


def test_the_other_families_answer_with_their_own_tools(lab: RunningLab) -> None:
    others = [nodes.Node(20, "a3", True), nodes.Node(21, "nvidia", True), nodes.Node(22, "rocm", True)]
    kept = nodes.described(lab.place)
    try:
        nodes.up(lab.place, image.node_image(lab.place), [*kept, *others])
        a3 = nodes.ssh(lab.place, others[0], "npu-smi info; ls /dev/davinci15")
        assert "Phy-ID" in a3
        assert "/dev/davinci15" in a3
        assert "NVIDIA H200" in nodes.ssh(lab.place, others[1], "nvidia-smi -L")
        assert "MI300X" in nodes.ssh(lab.place, others[2], "rocm-smi --showproductname; ls /dev/kfd")
    finally:
        docker(lab.place, "rm", "-f", "-v", *(n.name for n in others), check=False)
        nodes.up(lab.place, image.node_image(lab.place), kept)
