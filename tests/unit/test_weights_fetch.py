"""An errand with real couriers, each a process with a folder of its own instead of a node; what breaks is said by name."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent import subprocess
from gevent.event import Event

from roles.plan.plan import Plan
from roles.run.remote import CANCELLED, Done
from roles.weights import fetch, launch, manifest
from roles.weights.errand import errands
from roles.weights.fetch import carry
from tests.unit.sources import plan
from tests.unit.test_weights_checks import N1, N2, roomy
from tests.unit.test_weights_probe import checkpoint, look, shard

N3 = "10.0.0.13"


@dataclass(frozen=True)
class Node:
    name: str


@dataclass
class Site:
    """As much of a Run as an errand uses; a node is a folder."""

    root: Path
    plan: Plan
    cancel: Event = field(default_factory=Event)
    facts: dict[str, Any] = field(default_factory=dict)
    logs: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    children: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.hosts = {n.name: Node(n.name) for n in self.plan.nodes}
        self.state = SimpleNamespace(failed_hosts=set())

    def on(self, node: str) -> Path:
        return self.root / node

    def call(self, host: Any, name: str, text: str, *, secret: str = "", on_line: Any = None, cancel: Any = None, limit: float = 0) -> Done:
        if name != "weights":
            done = subprocess.run(
                ["sh", "-c", text.replace("/var/lib", str(self.on(host.name)))], input=secret.encode(), capture_output=True
            )
            return Done(done.returncode, tuple(done.stdout.decode().splitlines()))
        if host.name in self.broken:
            return Done(1, (self.broken[host.name],))
        modules, order = secret.splitlines()
        changed = json.loads(order) | {"address": "127.0.0.1", "folder": str(self.on(host.name) / "models")}
        changed["manifest"] = changed["manifest"].replace("/var/lib", str(self.on(host.name)))
        Path(changed["manifest"]).parent.mkdir(parents=True, exist_ok=True)
        child = subprocess.Popen(
            ["python3", "-I", "-c", launch.BOOT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.children[host.name] = child
        child.stdin.write(f"{modules}\n{json.dumps(changed)}\n".encode())
        child.stdin.flush()

        def reply(line: str) -> None:
            with suppress(OSError):  # as remote.py does
                child.stdin.write(line.encode())
                child.stdin.flush()

        def read() -> None:
            for raw in child.stdout:
                self.logs.append(raw.decode())
                on_line(raw.decode().rstrip("\n"), reply)

        reader = gevent.spawn(read)
        while not reader.ready():
            gevent.sleep(0.01)
            if cancel.is_set():
                child.kill()
                return Done(CANCELLED)
        return Done(child.wait())


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    from roles.weights.board import Member

    monkeypatch.setattr(fetch, "Member", lambda name, address, *more: Member(name, "127.0.0.1", *more))
    monkeypatch.setattr(fetch, "TICK", 0.01)
    one = Site(tmp_path, plan("lab/a2-single", replicas=3, model="MiniMax-M2-lab", weights=str(tmp_path / "models")))
    for node in (N1, N2, N3):
        one.on(node).mkdir()
    return one


def errand_of(site: Site, change: Callable[[dict[str, Any]], None] = lambda _: None) -> Any:
    seen = {}
    for node in (N1, N2, N3):
        (site.root / "models").unlink(missing_ok=True)
        (site.root / "models").symlink_to(site.on(node) / "models")
        seen[node] = look(site.root / "models", site.on(node) / "bringup", node)
    change(seen)
    (errand,) = errands(site.plan, seen).values()
    return errand


def same(site: Site, node: str) -> bool:
    one, other = (site.on(n) / "models" for n in (N1, node))
    return {p.name: p.read_bytes() for p in one.iterdir()} == {p.name: p.read_bytes() for p in other.iterdir()}


def carried(site: Site, errand: Any) -> dict[str, str]:
    with gevent.Timeout(60):
        return carry(site, errand)  # type: ignore[arg-type]


def test_one_has_it_and_two_get_it_and_all_know_its_hashes(site: Site) -> None:
    checkpoint(site.on(N1) / "models")
    assert carried(site, errand_of(site)) == {}
    assert same(site, N2)
    assert same(site, N3)
    assert errand_of(site).jobs == {}, "the second time there is nothing to do"
    assert site.facts["report.weights"][str(site.root / "models")]["bytes"][N2] > 3000


def test_a_node_whose_courier_does_not_start_fails_alone(site: Site) -> None:
    checkpoint(site.on(N1) / "models")
    image = site.plan.nodes[0].image
    site.broken = {N2: f"docker: Error response from daemon: No such image: {image}."}
    assert carried(site, errand_of(site)) == {N2: f"image {image} is not on this node; prepare loads it first"}
    assert same(site, N3)


def test_when_the_only_holder_does_not_start_everyone_is_told_at_once(site: Site) -> None:
    checkpoint(site.on(N1) / "models")
    site.broken = {N1: "sh: 1: docker: not found"}
    why = carried(site, errand_of(site))
    assert set(why) == {N1, N2, N3}
    assert "should come from 10.0.0.11, which failed: its courier ended: sh: 1: docker: not found" in why[N2]


def test_a_copier_that_is_killed_is_missed_and_the_others_go_on(site: Site) -> None:
    checkpoint(site.on(N1) / "models")
    errand = errand_of(site)

    def kill() -> None:
        while N2 not in site.children:
            gevent.sleep(0.005)
        site.children[N2].kill()

    killer = gevent.spawn(kill)
    why = carried(site, errand)
    killer.join()
    assert set(why) <= {N2}
    assert same(site, N3)


def test_a_cancelled_run_ends_soon_and_says_so(site: Site) -> None:
    checkpoint(site.on(N1) / "models")
    errand = errand_of(site)
    site.cancel.set()
    assert carried(site, errand) == dict.fromkeys((N1, N2, N3), "interrupted")


def test_nodes_of_one_mount_get_the_manifest_of_the_one_that_acted(site: Site) -> None:
    for node in (N1, N2):
        checkpoint(site.on(node) / "models")

    def shared(seen: dict[str, Any]) -> None:
        for node in (N1, N2):
            seen[node] = roomy(seen[node], 10**9, "nfs4", "10.0.0.5:/models")

    errand = errand_of(site, shared)
    assert [errand.jobs[n].kind for n in (N1, N2, N3)] == ["hash", "note", "copy"]
    assert carried(site, errand) == {}
    place = manifest.place("/var/lib/bringup", "test", str(site.root / "models")).replace("/var/lib", "")
    one, two = (manifest.parse(Path(f"{site.on(n)}{place}").read_text()) for n in (N1, N2))
    assert one == two
    assert one.count == 6


def test_a_missing_token_is_said_before_anything_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_TOKEN", raising=False)
    made = plan("vllm-ascend/a2-dual", weights=str(tmp_path / "models"), hub_token="env:NO_TOKEN")
    site = Site(tmp_path, made)
    seen = {n: roomy(look(tmp_path / "models", tmp_path, n), 10**12) for n in (N1, N2)}
    (errand,) = errands(made, seen).values()
    assert set(carried(site, errand).values()) == {"hub_token names the variable NO_TOKEN, which is not set on this machine"}


def test_a_conflict_names_the_file_and_changes_nothing(site: Site) -> None:
    for node in (N1, N2, N3):
        checkpoint(site.on(node) / "models")
    errand = errand_of(site)
    damaged = site.on(N2) / "models" / shard(2)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\xff")
    why = carried(site, errand)
    assert list(why) == [N2]
    assert why[N2].startswith(f"{shard(2)} is not the one of 10.0.0.11 (SHA-256 ")
    assert damaged.read_bytes().endswith(b"\xff")


def test_progress_of_many_nodes_is_one_line(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint(site.on(N1) / "models")
    monkeypatch.setattr(fetch, "MANY", 2)
    out = io.StringIO()
    monkeypatch.setattr("sys.stderr", out)
    assert carried(site, errand_of(site)) == {}
    assert "nodes have all" in out.getvalue()
