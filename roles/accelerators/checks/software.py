"""Ascend: driver, firmware and how they were installed."""

from __future__ import annotations

from packaging.version import Version

from roles.accelerators.ascend import npu_table
from roles.accelerators.parse import files
from roles.plan.recipe import DriverRule
from roles.run.checks import Answer, Case, Say, check, fail, good, skip, warn
from roles.run.seen import Seen

HDK = "https://www.hiascend.com/hardware/firmware-drivers"
INSTALL = "run the driver package's installer again, --full --install-for-all, and reboot"
NO_FILE = "/usr/local/Ascend/driver/version.info"


def version(seen: Seen) -> str | None:
    """The driver's version file, else what npu-smi says of it."""
    section = seen["ascend.driver-version"]
    if section.ok:
        return files.driver_version(section.text)
    shown = npu_table(seen)
    return shown.driver if shown else None


def rule(case: Case, driver: str) -> DriverRule | None:
    """What the hardware's table says about this driver."""
    known = [
        r
        for r in case.known.hardware.drivers
        if files.older(driver, r.below)
        and r.engine in (None, case.known.recipe.engine)
        and (r.since is None or case.known.build.version >= Version(r.since))
    ]
    return min(known, key=lambda r: files.numbers(r.below), default=None)


def judged(case: Case, driver: str, fix: str) -> Say:
    """A driver against its hardware's table."""
    found = rule(case, driver)
    if found is None:
        return good(f"driver {driver}")
    say = fail if found.level == "fail" else warn
    return say(f"driver {driver}: {found.why} ({found.source})", f"{found.below} or newer", fix)


@check("ascend.driver", "The driver is one the engine works with", why="old drivers end in timeouts of the cores", vendors=("ascend",))
def driver(case: Case) -> Answer:
    found = version(case.seen)
    if found is None:
        return fail(f"no driver: {NO_FILE} is {case.seen['ascend.driver-version'].why_not}", "an installed driver", f"install one: {HDK}")
    return judged(case, found, f"install a newer driver and firmware ({HDK}) and reboot")


@check(
    "ascend.driver-same", "All nodes of a replica have the same driver", why="HCCL compares versions (EI0008)", vendors=("ascend",), nodes=2
)
def same(case: Case) -> Answer:
    found = {n.name: v for n in case.replica.nodes if (v := _quietly(case.of(n)))}
    own = found.get(case.node.name)
    if own is None:
        return skip("the driver's version is not known")
    if len(found) == 1:
        return skip("no other node's driver is known")
    newest, at = max(((v, n) for n, v in found.items()), key=lambda pair: (files.numbers(pair[0]), pair[0]))
    if own == newest:
        return good(f"driver {own} on all {len(found)} nodes" if len(set(found.values())) == 1 else f"driver {own}, the newest")
    return warn(f"driver {own}, but {newest} on {at}", "the same on all nodes", f"install {newest} here too")


def _quietly(seen: Seen) -> str | None:
    try:
        return version(seen)
    except ValueError:
        return None


@check("ascend.firmware", "The firmware is one the driver accepts", vendors=("ascend",))
def firmware(case: Case) -> Answer:
    here, wanted = case.seen["ascend.firmware-version"], case.seen["ascend.driver-version"]
    limits = files.firmware_range(wanted.text) if wanted.ok else None
    if not here.ok or limits is None:
        return skip("no firmware version file" if not here.ok else "the driver does not say which firmware it accepts")
    found = files.firmware_version(here.text)
    if files.within(found, *limits):
        return good(f"firmware {found}")
    return fail(f"firmware {found}", f"{limits[0]} to {limits[1]}, as the driver says", f"install the driver's firmware package ({HDK})")


@check("ascend.install", "The driver was installed to its end", why="containers mount its record", vendors=("ascend",))
def install(case: Case) -> Answer:
    section, path = case.seen["ascend.install-info"], "/etc/ascend_install.info"
    if section.code == 21:
        return fail(f"{path} is a directory: docker -v made it of a missing file", "a file", f"rmdir {path}; then {INSTALL}")
    if not section.ok:
        return fail(f"{path} is {section.why_not}", "a file that the container mounts", INSTALL)
    status = section.pairs.get("Driver_Install_Status", "")
    if status != "complete":
        return fail(f"Driver_Install_Status={status} in {path}", "Driver_Install_Status=complete", INSTALL)
    shown = npu_table(case.seen)
    if shown and shown.incomplete:
        return warn("npu-smi says that the driver package may not be completely installed", "no such warning", INSTALL)
    return good("installation complete")
