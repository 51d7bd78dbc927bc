"""The host: reached, root, system, clock, memory, disk."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from roles.run.checks import Case, Say, check, fail, good, skip, warn
from roles.run.lock import held

GIB = 1 << 30
SHM = "/dev/shm"  # noqa: S108
SKEW_WARN, SKEW_FAIL = 2.0, 60.0
SUPPORTED = {
    "debian", "ubuntu", "openeuler", "kylin", "uos", "anolis", "alinux", "bclinux", "hce", "euleros",
    "rhel", "rocky", "almalinux", "centos", "fedora", "ol", "amzn",
}  # fmt: skip


@check("node.reached", "the node answers SSH and its probe ends", why="nothing of a replica is started unless all its nodes were reached")
def reached(case: Case) -> Say:
    if case.seen.problem:
        return fail(case.seen.problem, "an answer to the probe", f"ssh to {case.node.name} by hand with the inventory's user, port and key")
    return good("reached")


@check("node.root", "commands run as root", why="device files, hccn_tool, Docker and sysctl need it")
def root(case: Case) -> Say:
    host = case.seen["host"].pairs
    if host.get("uid") == "0":
        return good("root")
    user = host.get("user", "the user")
    return fail(f"commands run as {user}", "root", f'"_sudo": True in the inventory, and for {user}: NOPASSWD: ALL in /etc/sudoers.d')


@check("node.system", "a Linux the roles know, with systemd and bash")
def system(case: Case) -> Iterator[Say]:
    host = case.seen["host"].pairs
    name = f"{host.get('os') or 'unknown'} {host.get('os_version', '')}".strip()
    family = {word.lower() for word in (host.get("os", ""), *host.get("os_like", "").split())}  # openEuler's ID has a capital
    known, systemd, bash = bool(family & SUPPORTED), host.get("systemd") == "yes", bool(host.get("bash"))
    if not systemd:
        yield fail(f"{name} without systemd", "systemd as first process", "use a system with systemd; each engine runs as a unit")
    if not bash:
        yield fail("bash is missing", "bash, for checks of ports", "install bash")
    if not known:
        yield warn(name, "Debian, Ubuntu, openEuler or of the RHEL family", "go on if Docker is installed; prepare cannot install it here")
    if known and systemd and bash:
        yield good(f"{name}, kernel {host.get('kernel')}")


@check("node.arch", "the processor is the plan's", why="image and jemalloc's path depend on it")
def arch(case: Case) -> Say:
    seen, wanted = case.seen["host"].pairs.get("arch", "unknown"), case.known.keys.arch or case.known.hardware.arch
    if seen == wanted:
        return good(seen)
    return fail(seen, wanted, f'"arch": "{seen}" in the inventory, if the image is made for it')


@check("node.clock", "clocks agree", nodes=2, why="logs of all ranks are merged by time, and tokens and certificates expire by it")
def clock(case: Case) -> Say:
    offsets = {n.name: o for n in case.replica.nodes if (o := _offset(case, n.name)) is not None}
    own = offsets.get(case.node.name)
    if own is None:
        return fail("the node's clock could not be read", "seconds since 1970", "date +%s.%N on the node")
    others = [o for name, o in offsets.items() if name != case.node.name]
    if not others:
        return skip("no other node to compare with")
    apart = own - median(others) if len(others) > 1 or abs(own) > abs(others[0]) else 0.0
    seen = f"{abs(apart):.1f} s {'ahead of' if apart > 0 else 'behind'} the other nodes"
    if abs(apart) > SKEW_WARN:
        say = fail if abs(apart) > SKEW_FAIL else warn
        return say(seen, f"at most {SKEW_WARN:.0f} s", "timedatectl set-ntp true (or chronyc makestep)")
    return good("agrees with the other nodes")


def _offset(case: Case, name: str) -> float | None:
    seen = case.all.get(name)
    text = seen["clock"].first if seen else ""
    try:
        return float(text) - seen.arrived if seen and text else None
    except ValueError:
        return None


@check("node.name", "the host's own name resolves", why="gloo and torch look it up, and wait for a resolver that does not answer")
def name(case: Case) -> Say:
    own, answer = case.seen["host"].pairs.get("hostname", ""), case.seen["resolve"].first
    if answer:
        return good(answer.split()[0])
    return warn(f"{own} does not resolve", "an address", f'echo "{case.node.address} {own}" >> /etc/hosts')


@check("node.memory", "enough memory is free", why="weights pass through the page cache of the host")
def memory(case: Case) -> Say:
    host = case.seen["host"].pairs
    total, free = (int(host[k]) / (1 << 20) for k in ("memory_kib", "available_kib"))
    need = max(2.0, (case.known.model.size_gb or 0) / 4)
    seen = f"{free:.0f} of {total:.0f} GiB available"
    if free < need and not _serving(case):
        return warn(seen, f"at least {need:.0f} GiB", "end what uses it (ps aux --sort -rss | head), or expect slow loading")
    return good(seen)


@check("node.swap", "nothing is swapped out", why="a swapped worker makes every collective wait")
def swap(case: Case) -> Say:
    host = case.seen["host"].pairs
    used = (int(host["swap_kib"]) - int(host["swap_free_kib"])) / (1 << 20)
    if used > 1:
        return warn(f"{used:.1f} GiB in swap", "less than 1 GiB", "swapoff -a")
    return good("none" if host["swap_kib"] == "0" else f"{used:.1f} GiB used")


@check("node.disk", "space where we keep what is ours")
def disk(case: Case) -> Iterator[Say]:
    for path, size, free, mount in _disks(case):
        if path == SHM:
            continue
        if free < GIB:
            yield fail(f"{path}: {free / GIB:.1f} of {size / GIB:.0f} GiB free on {mount}", "at least 1 GiB", f"free space on {mount}")
        else:
            yield good(f"{path}: {free / GIB:.0f} GiB free on {mount}")


@check("node.shm", f"{SHM} is large enough", why="workers of a node pass tensors and messages through it")
def shm(case: Case) -> Say:
    need = 1.0
    for path, size, free, mount in _disks(case):
        if path == SHM and mount not in ("/", "/dev"):  # there, df answered for what it is not mounted on
            seen = f"{free / GIB:.1f} of {size / GIB:.1f} GiB free"
            if case.known.recipe.ipc == "host" and free < need * GIB:
                return fail(seen, f"at least {need:.0f} GiB (the container shares the host's)", "mount -o remount,size=50% /dev/shm")
            return good(seen)
    return fail("not mounted", "a tmpfs", "mount -t tmpfs tmpfs /dev/shm")


@check("node.lock", "no other controller works on the node")
def lock(case: Case) -> Say:
    who = held(case.seen)
    if who:
        return warn(f"held by {who}", "nobody", "wait for it, or --data takeover=true when that controller is gone")
    return good("free")


def _disks(case: Case) -> Iterator[tuple[str, int, int, str]]:
    for line in case.seen["disk"].lines:
        words = line.split()
        if len(words) == 4:
            yield words[0], int(words[1]), int(words[2]), words[3]


def _serving(case: Case) -> bool:
    unit = case.seen["unit"].pairs
    return unit.get("container") == "running" or (case.node.runtime == "venv" and unit.get("active") == "active")
