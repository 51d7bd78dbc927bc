"""lab-sim: installing a node, changing it, breaking its tools."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from tests.lab.sim import driver, install, keys, model, state
from tests.unit.test_sim import Lab, sample

SIM = Path(__file__).parents[1] / "lab" / "sim"
FAMILIES = {"a2": "davinci7", "a3": "davinci15", "nvidia": "nvidia7", "rocm": "dri/renderD135"}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "a2")


def everything(lab: Lab) -> dict[str, tuple[str, str, int]]:
    """What the tools say about every device."""
    asks = [(str(i), c) for i in range(8) for c in ("-link", "-tls", "-ip", "-net_health", "-process")]
    told = {f"{i} {c}": tuple(lab.run("hccn_tool", "-i", i, c, "-g")) for i, c in asks}
    health = {f"{i} health": tuple(lab.run("npu-smi", "info", "-t", "health", "-i", str(i))) for i in range(8)}
    return {**told, **health, "-v": tuple(lab.run("npu-smi", "-v"))}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("change", "differ"),
    [
        ("link.3=DOWN", {"3 -link", "3 -net_health"}),
        ("net_health.3=Unreachable", {"3 -net_health"}),
        ("tls.0=1", {"0 -tls"}),
        ("ip.7=none", {"7 -ip"}),
        ("health.2=Alarm", {"2 health"}),
        ("hccp.6=exist", {"6 -process"}),
        ("driver=24.1.rc1", {"-v"}),
        ("tls.0-1=1", {"0 -tls", "1 -tls"}),
        ("device.4.present=false", {"4 -link", "4 -tls", "4 -ip", "4 -net_health", "4 -process", "4 health"}),
    ],
)
def test_a_change_changes_what_it_names_and_nothing_else(lab: Lab, change: str, differ: set[str]) -> None:
    before = everything(lab)
    lab.set(change)
    after = everything(lab)
    assert {k for k in before if before[k] != after[k]} == differ
    lab.sim("reset")
    assert everything(lab) == before


def test_lost_hbm_changes_one_number(lab: Lab) -> None:
    before = lab.info().splitlines()
    lab.set("hbm_lost.5=20000")
    changed = [(a, b) for a, b in zip(before, lab.info().splitlines(), strict=True) if a != b]
    assert [(a.split()[9], b.split()[9]) for a, b in changed] == [("3445", "23445")]


def test_a_value_for_all_replaces_those_of_single_devices(lab: Lab) -> None:
    lab.set("tls.3=1", "tls.*=0")
    assert lab.sim("show", "tls.*") == "tls.*=0,0,0,0,0,0,0,0\n"
    lab.set("device.5.tls=1")
    assert lab.sim("show", "tls.*", "tls.5") == "tls.*=0,0,0,0,0,1,0,0\ntls.5=1\n"


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("lnk.3=DOWN", "did you mean link.N?"),
        ("hcn.busy=3", "did you mean hccn.busy?"),
        ("device.3.helth=OK", "did you mean health.N?"),
        ("drivers=25.5.0", "did you mean driver?"),
        ("zzz=1", "known keys: amd_smi.exit,"),
        ("link.8=UP", "this node has devices 0 to 7"),
        ("link.3=sideways", "one of UP, DOWN"),
        ("temp.1=hot", "invalid literal for int"),
        ("present.1=maybe", "expected true or false"),
        ("install=half", "one of complete, incomplete, missing, directory"),
        ("link.3", "expected KEY=VALUE"),
        ("family=a3", "unknown key"),
        ("loss.10.0.0.1=much", "invalid literal for int"),
    ],
)
def test_a_wrong_key_or_value_is_refused_with_help_and_changes_nothing(lab: Lab, word: str, says: str) -> None:
    before = lab.paths.state.read_bytes()
    done = lab.run("lab-sim", "set", "tls.0=1", word)
    assert (done.out, done.code) == ("", 97)
    assert says in done.err
    assert lab.paths.state.read_bytes() == before


def test_every_key_can_be_read_and_written_back(lab: Lab) -> None:
    node = state.load(lab.paths)
    for key in keys.known(node):
        name = key.replace("ADDRESS", "10.0.0.9").replace(".N", ".1")
        kept = lab.sim("show", name).split("=", 1)[1].strip()
        if "loss" not in key:
            lab.set(f"{name}={kept}")
    assert state.load(lab.paths) == node


def test_no_field_has_two_meanings() -> None:
    top = {f.name for f in fields(model.Node)}
    assert top.isdisjoint({f.name for f in fields(model.Npu)} | {f.name for f in fields(model.Gpu)})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("family: b7", "'b7' is none of a2, a3, nvidia, rocm"),
        ("family: a2\nhcnn: {busy: 1}", "hcnn: unknown field (did you mean hccn?)"),
        ("family: a2\ndevices: {3: {lnk: DOWN}}", "devices.3.lnk: unknown field (did you mean link?)"),
        ("family: a2\ndevices: {30: {link: DOWN}}", "devices.30: this node has 0 to 7"),
        ("family: a2\ntool: off", "tool: False does not fit"),
        ("- a", "expected a mapping"),
        ("{", "state.yaml"),
    ],
)
def test_a_broken_state_file_is_named_as_such(lab: Lab, text: str, says: str) -> None:
    lab.paths.state.write_text(text)
    done = lab.run("npu-smi", "info")
    assert done.code == 97
    assert done.err.startswith("lab-sim: ")
    assert says in done.err


def test_a_state_file_written_by_hand_is_applied(lab: Lab) -> None:
    raw = {"family": "a2", "all": {"tls": 1}, "devices": {2: {"present": False}}, "fabric": {"loss": {"10.30.2.10": 100}}}
    lab.paths.state.write_text(yaml.safe_dump(raw))
    assert "tls switch[1]" in lab.hccn(0, "-tls", "-g").out
    assert lab.hccn(0, "-ping", "-g", "address", "10.30.2.10").code == 1
    lab.sim("apply")
    assert not (lab.paths.dev / "davinci2").exists()


@pytest.mark.parametrize("family", FAMILIES)
def test_an_installed_node_has_its_devices_and_its_tools(tmp_path: Path, family: str) -> None:
    lab = Lab(tmp_path / "n", family)
    assert (lab.paths.dev / FAMILIES[family]).is_file()
    for name in driver.TOOLS[family]:
        assert (lab.root / name).resolve() == SIM / ("hccn_tool.sh" if name.endswith("hccn_tool") else "main.py")
        assert os.access(lab.root / name, os.X_OK)


def test_an_installed_ascend_node_has_the_drivers_files(lab: Lab) -> None:
    lab.set("driver=25.3.rc1")
    etc = lab.root / "etc"
    ours = lab.root / "usr/local/Ascend"
    files = Path(__file__).parents[1] / "fixtures/accelerators/files"
    assert (etc / "ascend_install.info").read_text() == (files / "ascend_install.info").read_text()
    assert (ours / "driver/version.info").read_text() == (files / "driver-version.info").read_text()
    assert (ours / "firmware/version.info").read_text() == (files / "firmware-version.info").read_text()
    lab.set(
        *(f"ip.{i}=11.12.165.{80 + i}" for i in range(8)), "netmask.*=255.255.255.0", "netdetect.*=11.12.165.1", "gateway.*=11.12.165.1"
    )
    lab.sim("apply")
    assert (etc / "hccn.conf").read_text() == (files / "hccn.conf").read_text()
    lab.set("ip.0=none", "driver=24.1.rc1")
    assert "address_0" not in (etc / "hccn.conf").read_text()
    assert "package_version" not in (ours / "driver/version.info").read_text()


@pytest.mark.parametrize(("value", "kind"), [("missing", None), ("directory", stat.S_IFDIR), ("incomplete", stat.S_IFREG)])
def test_the_installation_status_follows_the_state(lab: Lab, value: str, kind: int | None) -> None:
    target = lab.root / "etc/ascend_install.info"
    lab.set(f"install={value}")
    assert (stat.S_IFMT(target.stat().st_mode) if target.exists() else None) == kind
    lab.sim("reset")
    assert "Driver_Install_Status=complete" in target.read_text()


def test_a_device_file_can_be_missing_while_the_card_is_there(lab: Lab) -> None:
    before = lab.info()
    lab.set("file.3=false")
    assert not (lab.paths.dev / "davinci3").exists()
    assert lab.info() == before
    lab.set("file.3=true")
    assert (lab.paths.dev / "davinci3").exists()


def test_a_second_installation_keeps_the_state_and_a_fresh_one_does_not(lab: Lab) -> None:
    lab.set("link.3=DOWN")
    lab.hccn(1, "-tls", "-s", "enable", "1")
    (lab.paths.dev / "davinci0").unlink()
    lab.sim("install", "--family", "a2")
    assert (lab.paths.dev / "davinci0").exists()
    assert lab.hccn(3, "-link", "-g").out == sample("hccn/link.bad")
    assert "tls_enable_1=1" in (lab.root / "etc/hccn.conf").read_text()
    lab.sim("install", "--family", "a2", "--fresh", "--node", "2")
    assert lab.hccn(3, "-link", "-g").out == sample("hccn/link.good")
    assert "address_0=10.30.2.10" in (lab.root / "etc/hccn.conf").read_text()


@pytest.mark.parametrize(
    ("argv", "env", "host", "number"),
    [(["a2", "/"], {}, "n2", "2"), (["a2", "/"], {"LAB_NODE": "7"}, "n2", "7"), (["a2"], {}, "lab", "1"), (["a2"], {}, "n0", "0")],
)
def test_at_boot_a_node_finds_its_number(argv: list[str], env: dict[str, str], host: str, number: str) -> None:
    assert install.words(argv, env, host) == ["install", "--family", "a2", "--node", number]


def test_the_boot_line_installs_a_node(tmp_path: Path) -> None:
    env = {**os.environ, "LAB_NODE": "3", "LAB_DEV": str(tmp_path / "dev")}
    subprocess.run([sys.executable, str(SIM / "install.py"), "a3", str(tmp_path)], env=env, check=True)
    assert yaml.safe_load((tmp_path / "lab/state.yaml").read_text())["node"] == 3
    assert (tmp_path / "dev/davinci15").exists()


def test_an_image_is_prepared_from_outside(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "builder")
    image = tmp_path / "image"
    lab.sim("install", "--family", "a3", "--root", str(image), "--at", "/opt/lab/sim", "--no-devices")
    assert (image / "usr/local/bin/npu-smi").readlink() == Path("/opt/lab/sim/main.py")
    assert yaml.safe_load((image / "lab/state.yaml").read_text())["family"] == "a3"
    assert not (image / "dev").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a device")
def test_a_real_device_behaves_as_null(tmp_path: Path) -> None:
    try:
        driver.make_device(tmp_path / "davinci0", plain=False)
    except PermissionError:
        pytest.skip("devices cannot be made here")
    mode = (tmp_path / "davinci0").stat()
    assert stat.S_ISCHR(mode.st_mode)
    assert mode.st_rdev == os.makedev(1, 3)


def test_garbage_is_half_an_answer_or_any_text(lab: Lab) -> None:
    whole = lab.info()
    lab.set("npu_smi.garbage=true")
    assert lab.info() == whole[: len(whole) // 2]
    assert lab.hccn(0, "-link", "-g").out == sample("hccn/link.good")
    lab.set("npu_smi.garbage=not a table")
    assert lab.info() == "not a table\n"
    lab.set("npu_smi.garbage=false")
    assert lab.info() == whole


def test_a_tool_can_end_with_any_code_and_any_words(lab: Lab) -> None:
    whole = lab.info()
    lab.set("npu_smi.exit=139")
    assert lab.run("npu-smi", "info") == (whole, "", 139)
    lab.set("npu_smi.exit=none", "npu_smi.fail=Segmentation fault")
    assert lab.run("npu-smi", "info") == ("Segmentation fault\n", "", 1)


def test_a_slow_tool_is_slow_and_the_others_are_not(lab: Lab) -> None:
    lab.set("hccn.slow=0.3")
    start = time.monotonic()
    lab.info()
    assert time.monotonic() - start < 0.3
    lab.hccn(0, "-link", "-g")
    assert time.monotonic() - start >= 0.3


def called(lab: Lab, path: str, *words: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    places = {"LAB_STATE": lab.paths.state, "LAB_PROC": lab.paths.proc, "LAB_DEV": lab.paths.dev, "LAB_ROOT": lab.root, "LAB_UID": 0}
    env = {**os.environ, **{k: str(v) for k, v in places.items()}, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **more}
    return subprocess.run([str(lab.root / path), *words], env=env, capture_output=True, check=False)


def test_the_name_it_is_called_by_decides_the_tool(lab: Lab) -> None:
    assert called(lab, "usr/local/bin/npu-smi", "-v").stdout.decode() == sample("npu-smi/version")
    done = called(lab, "usr/local/Ascend/driver/tools/hccn_tool", "-i", "9", "-link", "-g")
    assert (done.stdout, done.stderr.decode(), done.returncode) == (b"", sample("hccn/no-device.error"), 4)
    assert called(lab, "usr/local/bin/lab-sim", "set", "npu_smi.garbage=binary").returncode == 0
    with pytest.raises(UnicodeDecodeError):
        called(lab, "usr/local/bin/npu-smi", "info").stdout.decode()


def test_the_tool_works_as_a_single_mounted_file(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = lab.root / "mnt/npu-smi"
    alone.parent.mkdir()
    alone.write_bytes((SIM / "main.py").read_bytes())
    alone.chmod(0o755)
    monkeypatch.setenv("LAB_SIM", str(SIM))
    assert called(lab, "mnt/npu-smi", "-v").stdout.decode() == sample("npu-smi/version")


def test_the_simulator_needs_nothing_but_python_and_yaml() -> None:
    import ast

    for path in SIM.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert {n.partition(".")[0] for n in names} <= {*sys.stdlib_module_names, "yaml"}, path
        assert len(path.read_text(encoding="utf-8").splitlines()) < 300, path


def test_the_readme_lists_every_field() -> None:
    text = (SIM / "README.md").read_text(encoding="utf-8")
    kinds = (model.Npu, model.Gpu, model.Node, model.Tool, *model.SECTIONS.values())
    names = {f.name for kind in kinds for f in fields(kind)} - {"npus", "gpus", *model.SECTIONS}
    assert [n for n in sorted(names) if f"`{n}`" not in text and f".{n}`" not in text] == []
