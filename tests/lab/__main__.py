"""python -m tests.lab up|down|status|shell|set: a cluster of real nodes on this machine."""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab import apt, daemon, image, machine, nodes, session
from tests.lab.place import FAMILIES, LabError, Place, Step, say


def main(argv: list[str] | None = None) -> int:
    """0 when what was asked is done, 1 with a sentence when not, 2 for a wrong command line."""
    args = _parser().parse_args(argv)
    place = Place()
    try:
        with _alone(place, args.verb in ("up", "down", "purge")):
            code: int = args.do(place, args) or 0
    except LabError as e:
        say(f"lab: {e}")
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)

    def verb(name: str, do: object, text: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text, description=text)
        added.set_defaults(do=do)
        return added

    up = verb("up", _up, "start the lab, or what is missing of it")
    up.add_argument("--nodes", type=int, default=2, metavar="N", help="how many nodes (2)")
    up.add_argument("--family", choices=FAMILIES, default="a2", help="which accelerators they seem to have (a2)")
    up.add_argument("--light", action="store_true", help="sshd only, without systemd and Docker: for many nodes")
    up.add_argument("--bare", action="store_true", help="without Docker, which can be installed from a folder of cached packages")
    up.add_argument("--yes", action="store_true", help="install missing packages with apt-get")
    verb("down", _down, "stop the lab and remove everything of it but its caches")
    verb("purge", _purge, "down, and remove its images and caches too")
    verb("status", _status, "what runs")
    shell = verb("shell", _shell, "a shell on a node")
    shell.add_argument("node")
    shell.add_argument("command", nargs="*", help="a command instead of a shell")
    set_ = verb("set", _set, "change what a node's simulated accelerators say, such as link.3=DOWN")
    set_.add_argument("node")
    set_.add_argument("settings", nargs="*", metavar="KEY=VALUE")
    return parser


@contextmanager
def _alone(place: Place, changing: bool) -> Iterator[None]:
    """One `up` or `down` at a time."""
    if not changing or os.geteuid() != 0:
        yield
        return
    place.root.mkdir(parents=True, exist_ok=True)
    with (place.root / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LabError(f"another lab-up or lab-down is at work in {place.root}; wait for it") from None
        yield


def _up(place: Place, args: argparse.Namespace) -> None:
    if not 1 <= args.nodes <= 256:
        raise LabError(f"NODES is {args.nodes}, expected 1 to 256")
    machine.prepare(place, args.yes)
    daemon.up(place)
    wanted = [nodes.Node(i, args.family, args.light, args.bare) for i in range(args.nodes)]
    different = [n for n in nodes.described(place) if n.number < args.nodes and n != wanted[n.number]]
    if different:
        kind = f"{different[0].family}{', light' * different[0].light}{', bare' * different[0].bare}"
        raise LabError(f"{different[0].name} runs as {kind}, not as asked; expected the same, or make lab-down first")
    nodes.up(place, image.node_image(place), wanted)
    if args.bare:
        apt.apt_folder(place)
    _status(place, args)


def _down(place: Place, args: argparse.Namespace) -> None:
    _take_down(place)
    second = place.second
    if second.root.exists() and session.free(second) and (daemon.running(second) or daemon.remains(second)):
        _take_down(second)


def _take_down(place: Place) -> None:
    with Step("removing nodes, networks, daemon and registry"):
        if not daemon.running(place) and daemon.processes(place):
            daemon.up(place)  # Docker was killed, and its nodes run on until another one ends them
        if daemon.running(place):
            nodes.down(place)
        daemon.down(place)
    say(f"lab: down; caches stay in {place.root} (make lab-purge removes them)")


def _purge(place: Place, args: argparse.Namespace) -> None:
    _down(place, args)
    for entry in place.root.iterdir():
        if not entry.name.startswith("lock"):
            shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink()


def _status(place: Place, args: argparse.Namespace) -> int:
    if not daemon.running(place):
        say("lab: down")
        return 1
    states = nodes.states(place)
    for node in nodes.described(place):
        where = f"ssh {place.ssh_address(node.number)}  cluster {place.address(node.number)} on {nodes.CLUSTER_NIC}"
        print(f"{node.name:<5} {states[node.name]:<8} {node.family:<7} {where}")
    print(f"registry.lab:5000 (from this machine {place.registry})")
    print(f"key {place.keys / 'id_ed25519'}, host keys {place.keys / 'known_hosts'}")
    return 0


def _shell(place: Place, args: argparse.Namespace) -> None:
    node = nodes.named(place, args.node)
    words = ["ssh", *nodes.ssh_options(place), f"root@{place.ssh_address(node.number)}", *args.command]
    sys.stdout.flush()
    os.execvp("ssh", words)


def _set(place: Place, args: argparse.Namespace) -> int:
    node = nodes.named(place, args.node)
    words = ["python3", "/opt/lab/sim/main.py", "set" if args.settings else "show", *args.settings]
    return subprocess.run(["docker", "-H", place.socket, "exec", node.name, *words], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
