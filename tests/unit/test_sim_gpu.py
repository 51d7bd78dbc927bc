"""The simulated NVIDIA and AMD tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_sim import SAMPLES, Lab, sample, stripped


@pytest.fixture
def nvidia(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "nvidia", "nvidia")


@pytest.fixture
def rocm(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "rocm", "rocm")


def test_the_nvidia_table_is_the_real_one(nvidia: Lab) -> None:
    nvidia.set("present.*=false", "present.0=true", "driver=550.54.15", "cuda=12.4", "name.0=NVIDIA H100 80GB HBM3")
    nvidia.set("persistence.0=off", "temp.0=28", "power.0=88", "hbm_total.0=81559", "hbm_idle.0=0")
    seen = stripped(nvidia.run("nvidia-smi").out)
    real = stripped(sample("gpu/nvidia-smi-550.excerpt"))
    assert seen[1 : 1 + len(real)] == real
    assert seen[-2] == f"|  {'No running processes found':<87}|"


def test_the_nvidia_table_has_one_width_and_the_real_processes(nvidia: Lab) -> None:
    nvidia.process(4711, "nvidia3", "nvidiactl", comm="VLLM::Worker_TP3", rss_mb=1234)
    lines = nvidia.run("nvidia-smi").out.splitlines()
    assert {len(line) for line in lines[1:]} == {91}
    assert [line.split()[1:] for line in lines if "4711" in line] == [["3", "N/A", "N/A", "4711", "C", "VLLM::Worker_TP3", "1234MiB", "|"]]
    assert sum("1238MiB / 143771MiB" in line for line in lines) == 1


def test_the_list_of_gpus(nvidia: Lab) -> None:
    lines = nvidia.run("nvidia-smi", "-L").out.splitlines()
    assert len(lines) == 8
    assert lines[0].startswith("GPU 0: NVIDIA H200 (UUID: GPU-")
    assert len({line.split("UUID: ")[1] for line in lines}) == 8


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("csv", ["index, memory.total [MiB], persistence_mode", "2, 143771 MiB, Enabled"]),
        ("csv,noheader", ["2, 143771 MiB, Enabled"]),
        ("csv,noheader,nounits", ["2, 143771, Enabled"]),
        ("csv,nounits", ["index, memory.total [MiB], persistence_mode", "2, 143771, Enabled"]),
    ],
)
def test_a_query_in_every_form(nvidia: Lab, form: str, expected: list[str]) -> None:
    done = nvidia.run("nvidia-smi", "--query-gpu=index,memory.total,persistence_mode", f"--format={form}", "-i", "2")
    assert (done.out.splitlines(), done.code) == (expected, 0)


def test_queries_show_errors_memory_and_processes(nvidia: Lab) -> None:
    nvidia.set("ecc_uncorrected.1=3", "hbm_lost.1=9000", "ecc.2=false", "process_mb.1=70000")
    nvidia.process(11, "nvidia1", comm="python3")
    asked = "--query-gpu=ecc.errors.uncorrected.volatile.total,memory.used,memory.free"
    rows = nvidia.run("nvidia-smi", asked, "--format=csv,noheader,nounits").out.splitlines()
    assert rows[:3] == ["0, 4, 143767", "3, 79004, 64767", "N/A, 4, 143767"]
    apps = nvidia.run("nvidia-smi", "--query-compute-apps=pid,process_name,used_memory", "--format=csv,noheader")
    assert apps.out == "11, python3, 70000 MiB\n"


def test_unknown_fields_are_refused(nvidia: Lab) -> None:
    done = nvidia.run("nvidia-smi", "--query-gpu=index,colour", "--format=csv")
    assert (done.out, done.code) == ('Field "colour" is not a valid field to query.\n', 2)
    assert nvidia.run("nvidia-smi", "--make-coffee").code == 2


def test_links_down_are_inactive(nvidia: Lab) -> None:
    nvidia.set("nvlinks.3=6", "nvlink_speed.3=25.781", "nvlink_down.3=3,5", "name.3=Tesla V100-SXM2-32GB")
    seen = [line.split() for line in nvidia.run("nvidia-smi", "nvlink", "--status", "-i", "3").out.splitlines()]
    assert seen[1:] == [line.split() for line in sample("gpu/nvlink-status").splitlines()[1:]]
    assert nvidia.run("nvidia-smi", "nvlink", "-s").out.count("GB/s") == 7 * 18 + 4


def test_the_long_query_shows_ecc(nvidia: Lab) -> None:
    nvidia.set("ecc_uncorrected_total.0=5")
    out = nvidia.run("nvidia-smi", "-q", "-d", "ECC", "-i", "0").out
    assert "        Aggregate\n" in out
    assert out.count("DRAM Uncorrectable            : 5") == 1
    assert "Attached GPUs                             : 1" in out


@pytest.mark.parametrize(
    ("change", "says", "code"),
    [
        ("nvidia_smi.fault=driver", "couldn't communicate with the NVIDIA driver", 9),
        ("nvidia_smi.fault=mismatch", "Driver/library version mismatch\nNVML library version: 570.172", 18),
        ("nvidia_smi.fault=lost", "GPU0000:18:00.0: GPU is lost", 15),
        ("present.*=false", "No devices were found", 6),
    ],
)
def test_nvidia_failures(nvidia: Lab, change: str, says: str, code: int) -> None:
    nvidia.set(change)
    done = nvidia.run("nvidia-smi")
    assert says in done.out
    assert done.code == code


def test_a_tool_of_another_family_finds_no_driver(nvidia: Lab, rocm: Lab) -> None:
    assert rocm.run("nvidia-smi").code == 9
    assert nvidia.run("rocm-smi", "--json").err.startswith("ERROR:root:Driver not initialized")
    assert nvidia.run("npu-smi", "info").code == 1


def asked(lab: Lab, *words: str) -> Any:
    done = lab.run(*words)
    assert done.code == 0, done
    return json.loads(done.out)


def test_rocm_smi_in_json(rocm: Lab) -> None:
    rocm.process(31, "dri/renderD130", "kfd", rss_mb=1000)
    data = asked(rocm, "rocm-smi", "--showproductname", "--showmeminfo", "vram", "--showdriverversion", "--json")
    assert list(data) == [*(f"card{i}" for i in range(8)), "system"]
    assert data["system"] == {"Driver version": "6.12.12"}
    assert data["card0"]["Card Series"] == "AMD Instinct MI300X OAM"
    assert data["card0"]["VRAM Total Memory (B)"] == "206141652992"
    used = [int(data[f"card{i}"]["VRAM Total Used Memory (B)"]) >> 20 for i in range(4)]
    assert used == [297, 297, 1297, 297]


def test_rocm_smi_in_text(rocm: Lab) -> None:
    out = rocm.run("rocm-smi", "--showmeminfo", "vram").out
    assert "GPU[7]\t\t: VRAM Total Memory (B): 206141652992\n" in out
    assert "End of ROCm SMI Log" in rocm.run("rocm-smi").out
    assert rocm.run("rocm-smi", "--nothing").code == 2


@pytest.mark.parametrize(("version", "wrapped"), [("6.3.1", False), ("6.4.3", True), ("7.0.2", True)])
def test_amd_smi_static_and_metric_in_json(rocm: Lab, version: str, wrapped: bool) -> None:
    rocm.set(f"rocm={version}", "hbm_lost.4=5000", "ecc_uncorrected.4=2")
    for verb in ("static", "metric"):
        data = asked(rocm, "amd-smi", verb, "--json")
        assert isinstance(data, dict) == wrapped
        entries = data["gpu_data"] if wrapped else data
        assert [e["gpu"] for e in entries] == list(range(8))
    assert entries[4]["mem_usage"]["used_vram"] == {"value": 5297, "unit": "MB"}
    assert entries[4]["ecc"]["total_uncorrectable_count"] == 2


def test_amd_smi_processes_are_the_real_holders(rocm: Lab) -> None:
    (idle,) = asked(rocm, "amd-smi", "process", "--json", "-g", "0")
    assert [idle] == json.loads((SAMPLES / "gpu/amd-smi-process.idle.json").read_text())
    rocm.process(77, "dri/renderD128", comm="python3", rss_mb=2)
    (held,) = asked(rocm, "amd-smi", "process", "--json", "-g", "0")
    info = held["process_list"][0]["process_info"]
    assert (info["pid"], info["name"], info["memory_usage"]["vram_mem"]) == (77, "python3", {"value": 2 << 20, "unit": "B"})


def test_amd_smi_list_version_and_text(rocm: Lab) -> None:
    assert len(asked(rocm, "amd-smi", "list", "--json")) == 8
    assert "ROCm version: 6.4.3" in rocm.run("amd-smi", "version").out
    text = rocm.run("amd-smi", "metric", "-g", "0").out
    assert text.startswith("GPU: 0\n    USAGE:\n        GFX_ACTIVITY: 0 %\n")
    assert rocm.run("amd-smi", "dance").code == 2


def test_without_kfd_there_is_no_driver(rocm: Lab) -> None:
    (rocm.paths.dev / "kfd").unlink()
    assert rocm.run("amd-smi", "list").code == 255
    assert rocm.run("rocm-smi").code == 2
