"""The lab's own Docker daemon and registry, in a network namespace of their own: the machine's stay as they were."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

from tests.lab.place import HERE, LabError, Place, Step, docker, inside, sh, until

UP, DOWN = "brlab-up", "brlab-dn"
NETWORKS = {"cluster": "enp67s0f0np", "management": "enp1s0f"}


def up(place: Place) -> None:
    """Namespace, daemon, networks and registry; what runs already is left as it is."""
    _refuse_another(place)
    for folder in (place.run, place.keys, place.cache, place.root / "registry"):
        folder.mkdir(parents=True, exist_ok=True)
    _namespace(place)
    _dockerd(place)
    _networks(place)
    _registry(place)


def down(place: Place) -> None:
    """Everything `up` made that is not a file."""
    for name in ("registry", "dockerd"):
        _end(place, name)
    for mount in _mounts_below(place.run):
        sh("umount", "-l", mount, check=False)
    if place.namespace in sh("ip", "netns", "list"):
        sh("ip", "netns", "delete", place.namespace, check=False)
    if _our_link(place):
        sh("ip", "link", "delete", UP, check=False)
    shutil.rmtree(place.run, ignore_errors=True)


def running(place: Place, name: str = "dockerd") -> int | None:
    """The process we started under this name, if it still is that process."""
    try:
        pid = int((place.run / f"{name}.pid").read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if any(str(place.run).encode() in w or str(place.root).encode() in w for w in words) else None


def processes(place: Place) -> list[int]:
    """Whatever still runs for this lab: Docker, its shims, the registry; nodes are below the shims."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if f"{place.run}/".encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return sorted(set(found) - {os.getpid()})


def remains(place: Place) -> bool:
    """No Docker of this lab, but something it left: a machine that was cut off, or processes that were killed."""
    if running(place):
        return False
    return bool(processes(place)) or place.namespace in sh("ip", "netns", "list") or _our_link(place)


def _our_link(place: Place) -> bool:
    return _owner() == str(place.root)


def _owner() -> str | None:
    """The folder of the lab that has the link, by this process's network namespace; /sys may show another's."""
    links = json.loads(sh("ip", "-j", "link", "show", check=False) or "[]")
    return next((str(link.get("ifalias", "")) for link in links if link["ifname"] == UP), None)


def _namespace(place: Place) -> None:
    """The namespace and the one link to it; each part is made only where it is missing."""
    ns, net = place.namespace, place.uplink
    if ns not in sh("ip", "netns", "list"):
        sh("ip", "netns", "add", ns)
        sh("ip", "-n", ns, "link", "set", "lo", "up")
    if _owner() is None:
        sh("ip", "link", "add", UP, "type", "veth", "peer", "name", DOWN, "netns", ns)
        sh("ip", "link", "set", UP, "alias", place.root)
    sh("ip", "addr", "replace", f"{net}.1/30", "dev", UP)
    sh("ip", "link", "set", UP, "up")
    sh("ip", "-n", ns, "addr", "replace", f"{net}.2/30", "dev", DOWN)
    sh("ip", "-n", ns, "link", "set", DOWN, "up")
    for range_ in (place.cluster, place.management):  # and no default route: the lab has no way out
        sh("ip", "route", "replace", f"{range_}.0/23", "via", f"{net}.2")


def _refuse_another(place: Place) -> None:
    """One lab a machine: a second would take the first one's addresses."""
    owner = _owner()
    if owner is None or owner == str(place.root):
        return
    if owner and not running(Place(Path(owner))):
        sh("ip", "link", "delete", UP)  # left over from a lab that is gone
        return
    raise LabError(f"another lab runs from {owner or 'somewhere'}; the two would take each other's addresses: make lab-down there first")


def _dockerd(place: Place) -> None:
    if running(place):
        return
    runtime = place.run / "runc-lab"
    shutil.copy(HERE / "node" / "runc-lab", runtime)
    runtime.chmod(0o755)
    config = {
        "data-root": str(place.root / "docker"),
        "exec-root": str(place.run / "exec"),
        "pidfile": str(place.run / "dockerd.pid"),
        "hosts": [place.socket],
        "bridge": "none",
        "storage-driver": "overlay2",
        "log-level": "warn",
        "insecure-registries": [place.registry],
        "default-cgroupns-mode": "private",
        "default-runtime": "lab",
        "runtimes": {"lab": {"path": str(runtime)}},
    }
    (place.run / "daemon.json").write_text(json.dumps(config))
    for stale in ("dockerd.pid", "exec/containerd/containerd.pid"):  # a Docker that was killed takes its containerd with it
        (place.run / stale).unlink(missing_ok=True)
    with Step("starting the lab's own Docker"):
        _start(place, "dockerd", ["dockerd", "--config-file", str(place.run / "daemon.json")], own_pidfile=True)
        until(lambda: bool(docker(place, "version", "--format", "{{.Server.Version}}", check=False).strip()), "the lab's dockerd", 60)


def _networks(place: Place) -> None:
    have = docker(place, "network", "ls", "--format", "{{.Name}}").split()
    for name, prefix in NETWORKS.items():
        if name in have:
            continue
        net = place.cluster if name == "cluster" else place.management
        docker(
            place, "network", "create", "--subnet", f"{net}.0/23", "--gateway", f"{net}.1",
            "-o", f"com.docker.network.bridge.name=lab-{name[:7]}", "-o", "com.docker.network.bridge.enable_ip_masquerade=false",
            "-o", f"com.docker.network.container_iface_prefix={prefix}", name,
        )  # fmt: skip
    for direction in ("-i", "-o"):  # Docker forwards nothing it does not know, and forgets rules with the namespace
        rule = ["FORWARD", direction, DOWN, "-j", "ACCEPT"]
        if subprocess.run(inside(place, "iptables", "-C", *rule), capture_output=True, check=False).returncode:
            sh(*inside(place, "iptables", "-I", *rule))


def _registry(place: Place) -> None:
    if running(place, "registry"):
        return
    config = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(place.root / "registry")}, "delete": {"enabled": True}},
        "http": {"addr": place.registry},
    }
    path = place.run / "registry.yml"
    path.write_text(json.dumps(config))  # JSON is YAML
    _start(place, "registry", ["docker-registry", "serve", str(path)])


def _start(place: Place, name: str, words: list[str], own_pidfile: bool = False) -> None:
    """A process of its own session in the lab's network namespace, its output kept."""
    with (place.run / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(inside(place, *words), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    if not own_pidfile:
        (place.run / f"{name}.pid").write_text(str(process.pid))
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.3)
        last = (place.run / f"{name}.log").read_text(errors="replace").strip().splitlines()[-1:]
        raise LabError(f"{name} ended at once: {' '.join(last) or 'see ' + str(place.run)}")


def _end(place: Place, name: str) -> None:
    pid = running(place, name)
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    try:
        until(lambda: running(place, name) is None or _zombie(pid), f"the end of {name}", 30)
    except LabError:
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _mounts_below(folder: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line.split()[1] for line in reversed(lines) if line.split()[1].startswith(f"{folder}/")]
