"""Writes what a driver installation leaves on a node: device files, version files, tools."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from . import conf
from .model import Node
from .state import Paths

NULL = os.makedev(1, 3)
TOOLS = {
    "a2": ("usr/local/bin/npu-smi", "usr/local/Ascend/driver/tools/hccn_tool", "usr/bin/hccn_tool"),
    "nvidia": ("usr/bin/nvidia-smi",),
    "rocm": ("opt/rocm/bin/rocm-smi", "opt/rocm/bin/amd-smi", "usr/bin/rocm-smi", "usr/bin/amd-smi"),
}
TOOLS["a3"] = TOOLS["a2"]
MANAGERS = {
    "a2": ("davinci_manager", "devmm_svm", "hisi_hdc"),
    "nvidia": ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"),
    "rocm": ("kfd", "mem"),
}
MANAGERS["a3"] = MANAGERS["a2"]
STATUS_FILE = {
    **{"UserName": "HwHiAiUser", "UserGroup": "HwHiAiUser"},
    **{"Firmware_Install_Type": "full", "Firmware_Install_Path_Param": "/usr/local/Ascend"},
    **{"Driver_Install_Type": "full", "Driver_Install_Path_Param": "/usr/local/Ascend"},
    **{"Driver_Install_For_All": "no", "Driver_Install_Mode": "normal", "Driver_Install_Status": "complete"},
}


def numbered(node: Node, index: int) -> list[str]:
    """The device files of one device."""
    if node.ascend:
        return [f"davinci{index}"]
    return [f"nvidia{index}"] if node.family == "nvidia" else [f"dri/renderD{128 + index}", f"dri/card{index}"]


def version_tuple(text: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", text))


def driver_info(version: str) -> str:
    """The driver's version file; before 25 it had no package version."""
    new = version_tuple(version) >= (25,)
    lines = {
        **{"Version": version, "ascendhal_version": "7.35.23", "aicpu_version": "1.0", "tdt_version": "1.0", "log_version": "1.0"},
        **{"prof_version": "2.0", "dvppkernels_version": "1.1", "tsfw_version": "1.0"},
        "compatible_version_fw": "[7.0.0,8.9.9]" if new else "[7.0.0,7.2.99]",
        **({"package_version": version} if new else {}),
    }
    return "".join(f"{k}={v}\n" for k, v in lines.items())


def firmware_info(version: str) -> str:
    return f"Version={version}\nfirmware_version=1.0\n"


def status_text(status: str) -> str:
    return "".join(f"{k}={v}\n" for k, v in (STATUS_FILE | {"Driver_Install_Status": status}).items())


def files(node: Node) -> Iterator[tuple[str, str]]:
    """Version files by their path below the root."""
    if node.ascend:
        yield "usr/local/Ascend/driver/version.info", driver_info(node.driver)
        yield "usr/local/Ascend/firmware/version.info", firmware_info(node.firmware)
    elif node.family == "rocm":
        yield "opt/rocm/.info/version", f"{node.rocm}\n"


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_files(node: Node, paths: Paths) -> None:
    for name, text in files(node):
        put(paths.root / name, text)
    if node.ascend:
        write_status(node, paths)
        for folder in ("usr/local/dcmi", "usr/local/Ascend/driver/lib64", "usr/local/sbin"):
            (paths.root / folder).mkdir(parents=True, exist_ok=True)


def write_status(node: Node, paths: Paths) -> None:
    """/etc/ascend_install.info as the state wants it: a file, nothing, or the directory docker makes of a missing file."""
    target = paths.root / "etc/ascend_install.info"
    with contextlib.suppress(OSError):
        target.rmdir() if target.is_dir() else target.unlink()
    if node.install == "directory":
        target.mkdir(parents=True, exist_ok=True)
    elif node.install != "missing":
        put(target, status_text("complete" if node.install == "complete" else "doing"))


def write_tools(node: Node, paths: Paths, target: Path) -> None:
    """One link per tool; the name it is called by decides what it is."""
    for name in (*TOOLS[node.family], "usr/local/bin/lab-sim"):
        link = paths.root / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(target.with_name("hccn_tool.sh") if link.name == "hccn_tool" else target)


def write_devices(node: Node, paths: Paths) -> None:
    """Device files that are there, and none for devices that are absent or have lost theirs."""
    for name in MANAGERS[node.family]:
        make_device(paths.dev / name, paths.plain)
    for index, device in node.devices.items():
        for name in numbered(node, index):
            if device.present and device.file:
                make_device(paths.dev / name, paths.plain)
            else:
                (paths.dev / name).unlink(missing_ok=True)


def make_device(path: Path, plain: bool) -> None:
    """A character device that behaves as /dev/null, or a plain file where none can be made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(path):
        return
    if plain:
        path.touch()
        return
    os.mknod(path, stat.S_IFCHR | 0o666, NULL)
    path.chmod(0o666)


def install(node: Node, paths: Paths, target: Path, devices: bool = True) -> None:
    """Everything, over what is there; hccn.conf only where there is none, because hccn_tool -s keeps its settings in it."""
    write_files(node, paths)
    if node.ascend and not (paths.root / "etc/hccn.conf").exists():
        put(paths.root / "etc/hccn.conf", conf.render(node))
    write_tools(node, paths, target)
    if devices:
        write_devices(node, paths)


def restore(node: Node, paths: Paths) -> None:
    """Every file as the state has it, whatever happened to it since."""
    write_files(node, paths)
    if node.ascend:
        put(paths.root / "etc/hccn.conf", conf.render(node))
    write_devices(node, paths)


def follow(before: Node, after: Node, paths: Paths) -> None:
    """Bring files in line with a changed state; what did not change in the state is left as it is on disk."""
    if dict(files(before)) != dict(files(after)):
        for name, text in files(after):
            put(paths.root / name, text)
    if after.ascend and before.install != after.install:
        write_status(after, paths)
    for index, device in after.npus.items():
        old = before.npus[index]
        changed = {n: getattr(device, n) for n in conf.KEYS if getattr(device, n) != getattr(old, n)}
        if changed:
            conf.update(paths, index, changed)
    if any((d.present, d.file) != (before.devices[i].present, before.devices[i].file) for i, d in after.devices.items()):
        write_devices(after, paths)
