"""Three nodes for the tests of weights: a run on them, a checkpoint put there by hand, a slow link, a hub they can reach."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import random
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab import nodes
from tests.lab.conftest import RunningLab
from tests.lab.hub_double import HubDouble
from tests.lab.hub_image import REPO
from tests.lab.place import Place

ROOT = Path(__file__).parents[2]
NUMBERS = (33, 34, 35)
FIRST, SECOND, THIRD = (f"n{n}" for n in NUMBERS)
FOLDER = "/models/lab"
SHARDS, SHARD_MB = 8, 3
SECRET = "hf_planted_token_of_the_lab"


@dataclass(frozen=True)
class Done:
    code: int
    text: str
    runs: Path

    @property
    def changed(self) -> int:
        """Hosts whose operation changed something: pyinfra's own Success column."""
        found = re.findall(r"Grand total\s+\d+\s+(\S+)", self.text)
        return int(found[-1].replace("-", "0")) if found else -1

    def report(self) -> dict[str, object]:
        file = max(self.runs.rglob("report.json"), key=lambda p: p.stat().st_mtime)
        value: dict[str, object] = json.loads(file.read_text())
        return value


@dataclass(frozen=True)
class Site:
    """Three nodes and the runs on them."""

    lab: RunningLab
    image: str
    work: Path

    def start(self, *members: str, options: tuple[str, ...] = (), **keys: object) -> subprocess.Popen[str]:
        hosts = [
            (self.lab.place.ssh_address(n), {"replica": f"r{i}", "address": self.lab.place.address(n), "nic": nodes.CLUSTER_NIC})
            for i, n in enumerate(int(m[1:]) for m in members)
        ]
        data = {
            "recipe": "lab/a2-single", "model": "MiniMax-M2-lab", "weights": FOLDER, "arch": "x86_64",
            "image": self.image, "version": "0.32.0",
            "ssh_user": "root", "ssh_key": str(self.lab.place.keys / "id_ed25519"), "ssh_strict_host_key_checking": "yes",
            "ssh_known_hosts_file": str(self.lab.place.keys / "known_hosts"), **keys,
        }  # fmt: skip
        inventory = self.work / "wl.py"
        inventory.write_text(f"wl = ({hosts!r}, {data!r})\n")
        argv = [str(Path(sys.executable).parent / "pyinfra"), str(inventory), str(ROOT / "tests/lab/deploys/weights.py"), "-y"]
        argv += [w for o in (f"runs={self.work / 'runs'}", *options) for w in ("--data", o)]
        return subprocess.Popen(
            argv, cwd=self.work, env=os.environ | {"LAB_HUB_TOKEN": SECRET}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *members: str, options: tuple[str, ...] = (), **keys: object) -> Done:
        child = self.start(*members, options=options, **keys)
        text, _ = child.communicate(timeout=240)
        return Done(child.returncode, text, self.work / "runs")

    def put(self, node: str, folder: Path) -> None:
        """A checkpoint as somebody copied it there by hand."""
        to = self.lab.place.node_folder(node) / "weights"
        subprocess.run(["cp", "-rT", str(folder), str(to)], check=True)
        self.lab.exec(node, f"mkdir -p /models && mv /lab/weights {FOLDER}")

    def sums(self, node: str) -> dict[str, str]:
        lines = self.lab.exec(node, f"cd {FOLDER} && find . -type f | xargs -r sha256sum").splitlines()
        return {line.split("  ./")[1]: line.split()[0] for line in lines}

    def slow(self, node: str, rate: str = "40mbit") -> None:
        self.lab.exec(node, f"tc qdisc replace dev {nodes.CLUSTER_NIC} root tbf rate {rate} burst 64k latency 100ms")

    def sent(self, node: str) -> int:
        found = re.search(r"Sent (\d+) bytes", self.lab.exec(node, f"tc -s qdisc show dev {nodes.CLUSTER_NIC}"))
        assert found
        return int(found[1])


def checkpoint(folder: Path, shards: int = SHARDS, megabytes: int = SHARD_MB) -> Path:
    """Small, and right in every respect that a look can judge."""
    folder.mkdir()
    draw = random.Random(7)
    where: dict[str, str] = {}
    size = megabytes << 20
    for n in range(1, shards + 1):
        header = json.dumps({f"t{n}": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
        (folder / shard(n, shards)).write_bytes(len(header).to_bytes(8, "little") + header + draw.randbytes(size))
        where[f"t{n}"] = shard(n, shards)
    index = {"metadata": {"total_size": shards * size}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps({"architectures": ["MiniMaxM2ForCausalLM"], "max_position_embeddings": 32768}))
    (folder / "tokenizer.json").write_text("{}")
    return folder


def wanted(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def shard(n: int, of: int = SHARDS) -> str:
    return f"model-{n:05d}-of-{of:05d}.safetensors"


def in_namespace(place: Place, work: Callable[[], HubDouble]) -> HubDouble:
    """A server whose socket is in the lab's network: a socket stays where its thread was when it was made."""
    made: list[HubDouble] = []

    def there() -> None:
        with open(f"/run/netns/{place.namespace}") as file:
            assert ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0x40000000) == 0
        made.append(work())

    thread = threading.Thread(target=there)
    thread.start()
    thread.join()
    return made[0]


@contextmanager
def hub_of(lab: RunningLab, folder: Path) -> Iterator[HubDouble]:
    with in_namespace(lab.place, lambda: HubDouble(folder, REPO, (f"{lab.place.cluster}.1", 0))) as double:
        yield double
