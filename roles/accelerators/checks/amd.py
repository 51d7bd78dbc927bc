"""AMD GPUs: tools, driver, device files, memory."""

from __future__ import annotations

from roles.accelerators.checks.gpus import complete, free
from roles.accelerators.checks.software import judged
from roles.accelerators.others import strangers, unit
from roles.accelerators.parse import amd
from roles.accelerators.parse.amd import Gpu, Holding
from roles.accelerators.words import count
from roles.run.checks import Answer, Case, check, fail, good, skip, warn
from roles.run.holders import holders as holders_of
from roles.run.seen import TIMED_OUT, Seen

V = ("amd",)
UNREAD = "neither amd-smi nor rocm-smi gave an answer; see amd.answers"
GROUPS = ("render", "video")


def read(seen: Seen) -> tuple[Gpu, ...]:
    """By whichever tool there is; a ValueError says why not."""
    if "rocm-smi" in seen:
        return amd.of_rocm_smi(seen["rocm-smi"].text)
    return amd.of_amd_smi(seen["amd-smi.static"].text, seen["amd-smi.metric"].text)


def shown(seen: Seen) -> tuple[Gpu, ...]:
    try:
        return read(seen)
    except ValueError:
        return ()


def planned(case: Case) -> list[Gpu]:
    return [g for g in shown(case.seen) if g.number in case.known.numbers]


def held(case: Case) -> list[Holding]:
    """Processes on the plan's GPUs; rocm-smi alone does not say which GPU, so that /dev/kfd must do."""
    if "amd-smi.process" in case.seen:
        try:
            found = amd.processes(case.seen["amd-smi.process"].text)
        except ValueError:
            return []
        return [h for h in found if h.gpu in case.known.numbers]
    return [Holding(n, h.pid, "", 0) for h in holders_of(case.seen) if h.has(["/dev/kfd"]) for n in case.known.numbers]


def serving(case: Case) -> bool:
    ours = {h.pid for h in holders_of(case.seen) if h.ours(unit(case))}
    everyone = {h.pid for h in held(case)}
    return bool(everyone) and everyone <= ours


@check("amd.answers", "amd-smi or rocm-smi answers", why="all that follows is read from them", vendors=V)
def answers(case: Case) -> Answer:
    tools = ("amd-smi.static", "amd-smi.metric", "amd-smi.process", "rocm-smi")
    asked = [case.seen[t] for t in tools if t in case.seen]
    if not asked:
        return fail("neither amd-smi nor rocm-smi found", "one of the driver's tools", "install amd-smi-lib of your ROCm release")
    if any(s.code in TIMED_OUT for s in asked):
        return fail("amd-smi: no answer in time", "an answer within 30 s", "reboot the node: its driver hangs (dmesg | grep amdgpu)")
    try:
        found = read(case.seen)
        if "amd-smi.process" in case.seen:
            amd.processes(case.seen["amd-smi.process"].text)
    except ValueError as e:
        loaded = "modprobe amdgpu; if that fails, install amdgpu-dkms for this kernel again"
        return fail(str(e), "a list of GPUs", loaded if "river" in str(e) or "amdgpu" in str(e) else "run amd-smi list on the node")
    return good(f"{len(found)} GPUs by {'rocm-smi' if 'rocm-smi' in case.seen else 'amd-smi'}")


@check("amd.count", "All the plan's GPUs are there", vendors=V)
def number(case: Case) -> Answer:
    return complete(case, {g.number for g in shown(case.seen)}, UNREAD, "dmesg | grep amdgpu")


@check("amd.rocm", "The kernel driver runs the ROCm of the image", vendors=V)
def rocm(case: Case) -> Answer:
    found = shown(case.seen)
    if not found:
        return skip(UNREAD)
    if not found[0].driver[:1].isdigit():
        return skip(f"the driver's version is not known ({found[0].driver or 'empty'})")
    return judged(case, found[0].driver, "install amdgpu-dkms of a newer ROCm release and reboot")


@check("amd.devices", "/dev/kfd and the render nodes are there", why="the container is given them", vendors=V)
def devices(case: Case) -> Answer:
    there = {path for _, _, path in (line.partition(" ") for line in case.seen["devices"].lines)}
    nodes = [p for p in there if p.startswith("/dev/dri/renderD")]
    if "/dev/kfd" not in there:
        return fail("missing: /dev/kfd", "the compute driver's device file", "modprobe amdgpu; the kernel needs it with KFD support")
    wanted = len(shown(case.seen)) or len(case.known.numbers)
    if len(nodes) < wanted:
        return fail(f"{count(len(nodes), 'render node')} in /dev/dri", str(wanted), "dmesg | grep amdgpu, then reboot")
    return good(f"/dev/kfd and {count(len(nodes), 'render node')}")


@check("amd.groups", "The device files belong to render or video", why="containers join those groups", vendors=V)
def groups(case: Case) -> Answer:
    found = [line.split(" ", 2) for line in case.seen["amd.groups"].lines if line.count(" ") == 2 and line[:4] != "stat"]
    closed = [path for group, mode, path in found if group not in GROUPS and mode[-1:] not in ("6", "7")]
    if closed:
        names = " ".join(f"/dev/{p.partition('/dev/')[2]}" for p in sorted(closed))
        seen = f"{names}: neither of group render or video nor open to all"
        return warn(seen, "group render or video", f"chgrp render {names} && chmod 660 {names}; amdgpu's udev rules do it at boot")
    return good(", ".join(sorted({g for g, _, _ in found})) or "nothing to see") if found else skip("no device files; see amd.devices")


@check("amd.idle", "The GPUs' memory is free", why="what nobody shows still takes the room of weights", vendors=V)
def idle(case: Case) -> Answer:
    found = planned(case)
    if not found:
        return skip(UNREAD)
    if serving(case):
        return good("our engine serves")
    return free(case, {g.number: g.used_mb for g in found}, ((h.gpu, h.mb) for h in held(case)), "/dev/kfd")


@check("amd.holders", "No other process computes on the GPUs", vendors=V)
def holders(case: Case) -> Answer:
    if not planned(case):
        return skip(UNREAD)
    found = strangers(case, {}, [(h.pid, h.name, h.gpu) for h in held(case)], "GPU")
    return found or good("our engine serves" if serving(case) else "nobody computes on them")
