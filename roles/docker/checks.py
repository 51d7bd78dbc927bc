"""Docker: there, running, new enough, on a good storage driver, with the inventory's settings."""

from __future__ import annotations

from functools import wraps

from packaging.version import Version

from roles.docker import packages
from roles.docker.daemon import FILE, ROOT, merge
from roles.docker.present import docker
from roles.docker.work import work
from roles.run.checks import Answer, Case, Test, check, fail, good, skip, warn

PREPARE = "pyinfra INVENTORY deploy/prepare.py"
RESTART = f"{PREPARE} --data restart_docker=true"
RUNTIMES = ("docker",)
OLDEST = Version("18.9")
"""What openEuler 22.03 ships, and the first with every option our units use but --gpus."""
GPUS = Version("19.3")
CGROUP2 = Version("20.10")
THREADS = Version("20.10.10")
GOOD_STORAGE = ("overlay2", "overlayfs", "btrfs", "zfs")


def looked(test: Test) -> Test:
    """A short probe leaves this part out, and is no occasion to judge."""

    @wraps(test)
    def judged(case: Case) -> Answer:
        return test(case) if "docker.host" in case.seen else None

    return judged


@check("docker.present", "Docker is installed", runtimes=RUNTIMES)
@looked
def present(case: Case) -> Answer:
    now = docker(case.seen)
    if now.podman:
        return fail(f"docker is podman here ({now.said})", "Docker Engine", "remove podman-docker, then prepare")
    if now.binary:
        return good(now.said or now.binary)
    if not packages.of(now.system, now.like):
        return fail(
            f"not installed, and no package is known for {now.system or 'this system'}", "Docker Engine", "install it, then prepare"
        )
    return warn("not installed", "Docker Engine", PREPARE)


@check("docker.running", "Docker answers, now and after a reboot", runtimes=RUNTIMES)
@looked
def running(case: Case) -> Answer:
    now = docker(case.seen)
    if not now.binary or now.podman:
        return skip("after prepare")
    if not now.info and now.active == "active":
        return fail(f"runs and does not answer: {now.why_not}", "an answer to docker info", "see journalctl -u docker on the node")
    if not now.info:
        return warn(f"does not run ({now.active or 'no docker.service'}): {now.why_not}", "running", PREPARE)
    return good("answers") if now.enabled else warn("answers, but is not started at boot", "enabled", PREPARE)


@check(
    "docker.version",
    "Docker is new enough for what the unit asks of it",
    why="18.09: all options but --gpus (19.03); 20.10: cgroup v2; 20.10.10: threads of images with glibc 2.34 (moby#42680)",
    runtimes=RUNTIMES,
)
@looked
def version(case: Case) -> Answer:
    now = docker(case.seen)
    if now.version is None:
        return skip("after prepare")
    upgrade = "install a newer Docker"
    needs = [(OLDEST, "the options our units use")]
    needs += [(GPUS, "--gpus")] if case.known.hardware.gpus else []
    needs += [(CGROUP2, "cgroup v2, which this node has")] if str(now.info.get("CgroupVersion")) == "2" else []
    lacking = [(least, what) for least, what in needs if now.version < least]
    if lacking:
        least, what = max(lacking)
        return fail(f"{now.version}, without {what}", f"{least} or newer", upgrade)
    if now.version < THREADS and not _unconfined(case):
        seen = f"{now.version}: its seccomp profile may stop threads of newer images (moby#42680)"
        return warn(seen, f"{THREADS} or newer", f'{upgrade}, or set "privileges": "seed"')
    return good(str(now.version))


def _unconfined(case: Case) -> bool:
    return any(w in case.node.run_argv for w in ("--privileged", "seccomp=unconfined"))


@check("docker.cgroup", "Docker accounts for its containers as systemd expects it", runtimes=RUNTIMES)
@looked
def cgroup(case: Case) -> Answer:
    info = docker(case.seen).info
    if not info:
        return skip("after prepare")
    driver, number = info.get("CgroupDriver"), str(info.get("CgroupVersion", "1"))
    if driver == "none":
        return fail("no cgroups at all: this Docker is rootless", "Docker run by root", "use the system's Docker")
    if number == "2" and driver != "systemd":
        return warn(f"driver {driver} on cgroup v2", "driver systemd", '"exec-opts": ["native.cgroupdriver=systemd"] in daemon.json')
    return good(f"driver {driver}, cgroup v{number}")


@check("docker.storage", "Docker keeps images in a way that is fast and takes little room", runtimes=RUNTIMES)
@looked
def storage(case: Case) -> Answer:
    info = docker(case.seen).info
    if not info:
        return skip("after prepare")
    driver, status = str(info.get("Driver")), dict(pair for pair in info.get("DriverStatus") or [] if len(pair) == 2)
    elsewhere = 'set "docker": {"data_root": ...} in the inventory, to a folder on ext4 or xfs with ftype=1'
    if driver not in GOOD_STORAGE:
        return warn(f"storage driver {driver}: every layer is copied, slow and large", " or ".join(GOOD_STORAGE), elsewhere)
    if status.get("Supports d_type") == "false":
        return fail(f"{driver} on a file system without d_type", "a file system with it", elsewhere)
    return good(f"{driver}{' on ' + status['Backing Filesystem'] if 'Backing Filesystem' in status else ''} in {info.get('DockerRootDir')}")


@check("docker.settings", "Docker has the inventory's mirrors, registries, data folder and proxy", runtimes=RUNTIMES)
@looked
def settings(case: Case) -> Answer:
    now, keys = docker(case.seen), case.known.keys
    if not now.info:
        return skip("after prepare")
    todo = work(case)
    allowed = work(case, restart_allowed=True)
    if allowed.problem:
        return fail(allowed.problem, "settings that can be merged", "mend it by hand, then prepare")
    if todo.problem:
        return warn(todo.problem, "the inventory's settings", RESTART)
    if odd := merge(now.daemon, {}).problem:
        return warn(f"{odd}: Docker would not start again", "JSON", f"mend {FILE} on the node")
    if todo.daemon is None and todo.proxy is None and not todo.action:
        asked = [n for n in ("mirrors", "insecure", "data_root") if getattr(keys.docker, n)] + (["proxy"] if keys.proxy else [])
        return good(f"{', '.join(asked)} as in the inventory" if asked else "its own")
    what = ", ".join(c.what for c in todo.changes)
    left = [r for r in now.in_force(ROOT) if keys.docker.data_root and r.rstrip("/") != str(keys.docker.data_root).rstrip("/")]
    stays = f"; images in {left[0]} stay there" if left and "io.containerd.snapshotter" not in str(now.info.get("DriverStatus")) else ""
    return warn(f"differ: to do: {what}{stays}", "the inventory's settings", PREPARE)
