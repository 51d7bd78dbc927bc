"""NVIDIA and AMD: a healthy node has only passes, and every fault its own check."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from roles.plan.finding import Finding
from roles.plan.plan import Plan
from tests.unit.sources import plan
from tests.unit.test_accelerators_probe import ID, Site, judged, look

NODE = "10.0.0.11"
OURS = "bringup-test-r0"
Setup = Callable[[Site], object]
F, W = "fail", "warn"


def nvidia(root: Path) -> Site:
    site = Site(root / "nvidia", "nvidia")
    site.stub("nvidia-ctk", "exit 0")
    site.set("driver=580.95.05")
    return site


def rocm(root: Path) -> Site:
    return Site(root / "rocm", "rocm")


def found(site: Site, made: Plan) -> list[Finding]:
    return judged(made, look({NODE: site}, made))


def bad(findings: list[Finding]) -> list[tuple[str, str]]:
    return sorted({(f.check, f.level) for f in findings if f.level in ("fail", "warn")})


def test_a_healthy_nvidia_node_has_only_passes(tmp_path: Path) -> None:
    findings = found(nvidia(tmp_path), plan("vllm/nvidia-dp8-ep"))
    names = ("answers", "count", "driver", "memory", "ecc", "idle", "holders", "nvlink", "persistence", "toolkit")
    assert {f.check: f.level for f in findings} == {f"nvidia.{n}": "pass" for n in names}


def test_a_healthy_amd_node_has_only_passes(tmp_path: Path) -> None:
    findings = found(rocm(tmp_path), plan("sglang/mi300x-tp8-ep8"))
    names = ("answers", "count", "rocm", "devices", "groups", "idle", "holders")
    assert {f.check: f.level for f in findings} == {f"amd.{n}": "pass" for n in names}


def change(*words: str) -> Setup:
    return lambda site: site.set(*words)


NVIDIA: list[tuple[str, Setup, list[tuple[str, str]], str, str]] = [
    ("no driver", change("nvidia_smi.fault=driver"), [("answers", F)], "couldn't communicate with the", "modprobe nvidia"),
    ("mismatch", change("nvidia_smi.fault=mismatch"), [("answers", F)], "Driver/library version mismatch", "reboot"),
    ("lost", change("nvidia_smi.fault=lost"), [("answers", F)], "GPU is lost", "dmesg | grep -i xid"),
    ("none", change("present.*=false"), [("answers", F)], "No devices were found", "lspci -d 10de:"),
    ("garbage", change("nvidia_smi.garbage=binary"), [("answers", F)], "is not understood at", "nvidia-smi"),
    ("oops", change("nvidia_smi.fail=oops"), [("answers", F)], 'at "oops"', "nvidia-smi"),
    ("not found", lambda s: (s.root / "usr/bin/nvidia-smi").unlink(), [("answers", F)], "nvidia-smi: not found", "install"),
    ("one is gone", change("present.3=false"), [("count", F)], "GPU 3 not there: 7 of 8", '"devices"'),
    ("a very old driver", change("driver=520.61.05"), [("driver", F)], "driver 520.61.05: ", "newer NVIDIA driver"),
    ("an old driver", change("driver=570.172.08"), [("driver", W)], "CUDA 13", "newer NVIDIA driver"),
    ("a small one", change("hbm_total.3=81559"), [("memory", F)], "GPU 3 81.6 GB, others 143.8 GB", '"devices"'),
    ("small ones", change("hbm_total.*=24576"), [("memory", F)], "8 GPUs of 24.6 GB: 197 GB in all", "more GPUs"),
    ("ECC errors", change("ecc_uncorrected.1=3"), [("ecc", F)], "GPU 1: uncorrectable ECC errors since", "reboot"),
    ("ECC is off", change("ecc.2=false", "ecc.3=false"), [("ecc", W)], "GPUs 2, 3: ECC is off", "nvidia-smi -i 2,3 -e 1"),
    ("memory", change("hbm_lost.5=20000"), [("idle", F)], "GPU 5: memory in use that no process shows (5: 20004 MB)", "fuser"),
    ("a holder", lambda s: s.holder(4711, "nvidia1", "nvidiactl"), [("holders", F)], "GPU 1 held by pid 4711 (python3", "ask whoever"),
    ("a container", lambda s: s.contained(9, "nvidia0", "nvidia1", name="job"), [("holders", F)], "GPUs 0, 1 held", "ask whoever"),
    ("ours", lambda s: [s.contained(9 + n, f"nvidia{n}", name=OURS) for n in range(8)], [], "", ""),
    ("links", change("nvlink_down.3=1,2"), [("nvlink", W)], "inactive: GPU 3: links 1, 2", "fabricmanager"),
    ("no links", change("nvlinks.*=0"), [], "", ""),
    ("persistence", change("persistence.*=false"), [("persistence", W)], "GPUs 0-7: persistence mode is off", "nvidia-smi -pm 1"),
    ("no toolkit", lambda s: (s.root / "stubs/nvidia-ctk").unlink(), [("toolkit", F)], "toolkit: not found", "nvidia-ctk runtime"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "setup", "expected", "seen", "fix"), NVIDIA, ids=[n[0] for n in NVIDIA])
def test_an_nvidia_fault_is_found_by_its_own_check(
    tmp_path: Path, name: str, setup: Setup, expected: list[tuple[str, str]], seen: str, fix: str
) -> None:
    site = nvidia(tmp_path)
    setup(site)
    findings = found(site, plan("vllm/nvidia-dp8-ep"))
    assert bad(findings) == [(f"nvidia.{check}", level) for check, level in expected]
    assert not seen or any(seen in f.observed and fix in f.fix for f in findings)


def toolless(site: Site) -> None:
    for folder in ("usr/bin", "opt/rocm/bin"):
        for tool in (site.root / folder).iterdir():
            tool.unlink()


AMD: list[tuple[str, Setup, list[tuple[str, str]], str, str]] = [
    ("garbage", change("amd_smi.garbage=true"), [("answers", F)], "is not understood at", "amd-smi list"),
    ("oops", change("amd_smi.fail=oops"), [("answers", F)], 'is not understood at "oops"', "amd-smi list"),
    ("one is gone", change("present.3=false"), [("count", F)], "GPU 3 not there: 7 of 8", '"devices"'),
    ("no kfd", lambda s: (s.paths.dev / "kfd").unlink(), [("answers", F), ("devices", F)], "missing: /dev/kfd", "modprobe amdgpu"),
    ("no node", change("file.3=false"), [("devices", F)], "7 render nodes in /dev/dri", "reboot"),
    ("closed", lambda s: (s.paths.dev / "kfd").chmod(0o600), [("groups", W)], "/dev/kfd: neither of group", "chgrp render /dev/kfd"),
    ("a very old driver", change("driver=6.2.4"), [("rocm", F)], "driver 6.2.4: ", "amdgpu-dkms"),
    ("an old driver", change("driver=6.7.0"), [("rocm", W)], "ROCm 7 in the image", "amdgpu-dkms"),
    ("memory", change("hbm_lost.5=20000"), [("idle", F)], "GPU 5: memory in use that no process shows (5: 20297 MB)", "fuser"),
    ("a holder", lambda s: s.holder(4711, "kfd", "dri/renderD129"), [("holders", F)], "GPU 1 held by pid 4711", "ask whoever"),
    ("ours", lambda s: [s.contained(9 + n, "kfd", f"dri/renderD{128 + n}", name=OURS) for n in range(8)], [], "", ""),
    ("no tool", toolless, [("answers", F)], "neither amd-smi nor", "amd-smi-lib"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "setup", "expected", "seen", "fix"), AMD, ids=[n[0] for n in AMD])
def test_an_amd_fault_is_found_by_its_own_check(
    tmp_path: Path, name: str, setup: Setup, expected: list[tuple[str, str]], seen: str, fix: str
) -> None:
    site = rocm(tmp_path)
    setup(site)
    findings = found(site, plan("sglang/mi300x-tp8-ep8"))
    assert bad(findings) == [(f"amd.{check}", level) for check, level in expected]
    assert not seen or any(seen in f.observed and fix in f.fix for f in findings)


def test_rocm_smi_stands_in_for_amd_smi(tmp_path: Path) -> None:
    site = rocm(tmp_path)
    for folder in ("usr/bin", "opt/rocm/bin"):
        (site.root / folder / "amd-smi").unlink()
    made = plan("sglang/mi300x-tp8-ep8")
    assert bad(found(site, made)) == []
    site.holder(4711, "kfd", "dri/renderD129")
    assert bad(found(site, made)) == [("amd.holders", F)]


def test_gpus_the_plan_does_not_use_may_be_busy_or_gone(tmp_path: Path) -> None:
    site = nvidia(tmp_path)
    site.contained(9, "nvidia0", name="job")
    site.set("hbm_lost.1=20000", "present.2=false")
    findings = found(site, plan("vllm/nvidia-tp4", devices=[4, 5, 6, 7]))
    assert bad(findings) == [("nvidia.count", W)]


def test_the_container_id_is_the_last_one_of_the_path() -> None:
    from roles.run.holders import holders
    from roles.run.seen import Seen, sections

    line = "\t".join(["7", "1", "1", "S", "root", "/dev/nvidia0", f"/docker/{'0' * 64}/docker/{ID}", "x"])
    (one,) = holders(Seen("n", sections(f"\x1eholders 0\n{line}\n")))
    assert one.container == ID
