"""NVIDIA GPUs: driver, memory, errors, links, and the container toolkit."""

from __future__ import annotations

from functools import lru_cache

from roles.accelerators.checks.gpus import complete, free
from roles.accelerators.checks.software import judged
from roles.accelerators.others import strangers, unit
from roles.accelerators.parse import nvidia
from roles.accelerators.parse.nvidia import Gpu
from roles.accelerators.words import cards, gb
from roles.run.checks import Answer, Case, check, fail, good, skip, warn
from roles.run.holders import holders as holders_of
from roles.run.seen import Seen

V = ("nvidia",)
UNREAD = "nvidia-smi gave no answer; see nvidia.answers"
ROOM = 0.95
TOOLKIT = "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html"
_gpus = lru_cache(maxsize=256)(nvidia.gpus)


def shown(seen: Seen) -> tuple[Gpu, ...]:
    try:
        return _gpus(seen["nvidia-smi.gpus"].text)
    except ValueError:
        return ()


def planned(case: Case) -> list[Gpu]:
    return [g for g in shown(case.seen) if g.number in case.known.numbers]


def apps(case: Case) -> list[tuple[int, str, int, int]]:
    """pid, name, GPU, MB of every process on the plan's GPUs."""
    numbers = {g.uuid: g.number for g in planned(case)}
    try:
        found = nvidia.apps(case.seen["nvidia-smi.apps"].text)
    except ValueError:
        return []
    return [(a.pid, a.name, numbers[a.uuid], a.mb) for a in found if a.uuid in numbers]


def serving(case: Case) -> bool:
    ours = {h.pid for h in holders_of(case.seen) if h.ours(unit(case))}
    everyone = {pid for pid, _, _, _ in apps(case)}
    return bool(everyone) and everyone <= ours


@check("nvidia.answers", "nvidia-smi answers", why="all that follows is read from it", vendors=V)
def answers(case: Case) -> Answer:
    section = case.seen["nvidia-smi.gpus"]
    if section.code == 127:
        return fail("nvidia-smi: not found", "the driver's tool", "install the NVIDIA driver; nvidia-smi comes with it")
    if section.code in (124, 137):
        return fail("nvidia-smi: no answer in time", "an answer within 30 s", "reboot the node: its driver hangs")
    try:
        found = nvidia.gpus(section.text)
        nvidia.apps(case.seen["nvidia-smi.apps"].text)
    except ValueError as e:
        return fail(str(e), "a list of GPUs", _remedy(str(e)))
    return good(f"{len(found)} GPUs")


def _remedy(words: str) -> str:
    if "mismatch" in words:
        return "reboot: the loaded kernel module is older than the installed driver"
    if "lost" in words or "device handle" in words:
        return "reboot the node; a GPU that is lost again must be replaced (dmesg | grep -i xid)"
    if "communicate" in words or "NVML" in words:
        return "modprobe nvidia; if that fails, install the driver for this kernel again"
    if "No devices" in words:
        return "lspci -d 10de: must list the GPUs; if it does not, they are not powered or not seated"
    return "run nvidia-smi on the node"


@check("nvidia.count", "All the plan's GPUs are there", vendors=V)
def number(case: Case) -> Answer:
    return complete(case, {g.number for g in shown(case.seen)}, UNREAD, "dmesg | grep -i xid")


@check("nvidia.driver", "The driver runs the CUDA the engine was built with", vendors=V)
def driver(case: Case) -> Answer:
    found = shown(case.seen)
    return judged(case, found[0].driver, "install a newer NVIDIA driver and reboot") if found else skip(UNREAD)


@check("nvidia.memory", "The GPUs are alike and their memory holds the weights", vendors=V)
def memory(case: Case) -> Answer:
    found = planned(case)
    if not found:
        return skip(UNREAD)
    sizes = {g.total_mb for g in found}
    if max(sizes) > 1.02 * min(sizes):
        small = [g.number for g in found if g.total_mb == min(sizes)]
        return fail(
            f"{cards(small, 'GPU')} {gb(min(sizes))}, others {gb(max(sizes))}", "GPUs of one size", 'choose alike ones with "devices"'
        )
    weights = case.known.model.size_gb
    total = len(found) * len(case.replica.nodes) * min(sizes) / 1000
    if weights and weights > ROOM * total:
        seen = f"{len(found)} GPUs of {gb(min(sizes))}: {total:.0f} GB in all"
        return fail(seen, f"more than {weights:.0f} GB, the weights alone", "a recipe with more GPUs, or a smaller checkpoint")
    return good(f"{len(found)} GPUs of {gb(min(sizes))}, {found[0].name}")


@check("nvidia.ecc", "The GPUs' memory has no uncorrectable errors", vendors=V)
def ecc(case: Case) -> Answer:
    found = planned(case)
    if not found:
        return skip(UNREAD)
    bad = {g.number: g.uncorrected for g in found if g.uncorrected}
    off = [g.number for g in found if g.ecc is False]
    if bad:
        each = ", ".join(f"{n}: {errors}" for n, errors in bad.items())
        fix = 'reboot the node; if they come back, replace the GPU, or choose others with "devices"'
        return fail(f"{cards(bad, 'GPU')}: uncorrectable ECC errors since the driver loaded ({each})", "none", fix)
    if off:
        return warn(f"{cards(off, 'GPU')}: ECC is off", "on", f"nvidia-smi -i {','.join(map(str, off))} -e 1; then reboot")
    return good("no uncorrectable errors")


@check("nvidia.idle", "The GPUs' memory is free", why="what nobody shows still takes the room of weights", vendors=V)
def idle(case: Case) -> Answer:
    found = planned(case)
    if not found:
        return skip(UNREAD)
    if serving(case):
        return good("our engine serves")
    return free(case, {g.number: g.used_mb for g in found}, ((gpu, mb) for _, _, gpu, mb in apps(case)), "/dev/nvidia*")


@check("nvidia.holders", "No other process computes on the GPUs", vendors=V)
def holders(case: Case) -> Answer:
    if not planned(case):
        return skip(UNREAD)
    found = strangers(case, {}, [(pid, name, gpu) for pid, name, gpu, _ in apps(case)], "GPU")
    return found or good("our engine serves" if serving(case) else "nobody computes on them")


@check("nvidia.nvlink", "NVLinks are active", why="tensor parallel falls back to PCIe", vendors=V)
def nvlink(case: Case) -> Answer:
    if len(case.known.numbers) < 2:
        return None
    try:
        found = {n: v for n, v in nvidia.links(case.seen["nvidia-smi.nvlink"].text).items() if n in case.known.numbers}
    except ValueError:
        return skip(UNREAD)
    down = {n: links for n, (_, links) in found.items() if links}
    if down:
        each = "; ".join(f"GPU {n}: {cards(links, 'link')}" for n, links in down.items())
        fix = "systemctl restart nvidia-fabricmanager (where NVSwitch is); then reboot; then the baseboard"
        return warn(f"inactive: {each}", "all links active", fix)
    return good(f"{sum(c for c, _ in found.values())} links active") if found else good("these GPUs have no NVLink")


@check("nvidia.persistence", "The driver stays loaded between jobs", why="else every start and every look waits for it", vendors=V)
def persistence(case: Case) -> Answer:
    found = planned(case)
    if not found:
        return skip(UNREAD)
    off = [g.number for g in found if g.persistent is False]
    if off:
        return warn(
            f"{cards(off, 'GPU')}: persistence mode is off", "on", "nvidia-smi -pm 1, and systemctl enable --now nvidia-persistenced"
        )
    return good("on")


@check("nvidia.toolkit", "Docker can hand GPUs to a container", vendors=V, runtimes=("docker",))
def toolkit(case: Case) -> Answer:
    found = [line for line in case.seen["nvidia.toolkit"].lines if line]
    runtimes = case.seen["nvidia.runtimes"]
    if found or (runtimes.ok and '"nvidia"' in runtimes.text):
        return good(", ".join(found) or "runtime nvidia")
    fix = f"install nvidia-container-toolkit ({TOOLKIT}), then: nvidia-ctk runtime configure --runtime=docker && systemctl restart docker"
    return fail("NVIDIA container toolkit: not found", "nvidia-container-toolkit, which docker run --gpus needs", fix)
