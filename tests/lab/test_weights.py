"""Weights on real nodes: downloaded once, copied between nodes, never seen half written; and what happens when it goes wrong."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.lab import nodes
from tests.lab.conftest import RunningLab
from tests.lab.hub_image import REPO, hub_image
from tests.lab.place import docker, until
from tests.lab.weights_site import (
    FIRST,
    FOLDER,
    NUMBERS,
    ROOT,
    SECOND,
    SECRET,
    SHARD_MB,
    SHARDS,
    THIRD,
    Site,
    checkpoint,
    hub_of,
    shard,
    wanted,
)  # fmt: skip

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def three(lab: RunningLab) -> Iterator[str]:
    """Three nodes of our own, and the image on all of them."""
    image = hub_image(lab.place)
    with lab.added(*(nodes.Node(n, "a2") for n in NUMBERS)), ThreadPoolExecutor(3) as pool:
        ready = f"until docker info >/dev/null 2>&1; do sleep 0.2; done; docker pull -q {image}"
        list(pool.map(lambda n: lab.exec(n, ready), (FIRST, SECOND, THIRD)))
        yield image


@pytest.fixture
def site(lab: RunningLab, three: str, tmp_path: Path) -> Iterator[Site]:
    yield Site(lab, three, tmp_path)
    for node in (FIRST, SECOND, THIRD):
        lab.exec(
            node,
            f"umount {FOLDER} 2>/dev/null; rm -rf /models /var/lib/bringup/wl; tc qdisc del dev {nodes.CLUSTER_NIC} root 2>/dev/null; :",
        )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("weights") / "lab")


def test_one_node_downloads_through_429_and_a_break_and_the_others_copy_from_it(site: Site, tmp_path: Path) -> None:
    large = checkpoint(tmp_path / "large", 2, 24)  # the client writes in pieces of 10 MB, and resumes after the last whole one
    with hub_of(site.lab, large) as hub:
        hub.faults.token = SECRET
        hub.faults.busy = 2
        hub.faults.cut[shard(2, 2)] = 21_000_000
        done = site.run(FIRST, SECOND, THIRD, hub_endpoint=hub.url, hub_token="env:LAB_HUB_TOKEN")
        asked = sum(count for path, count in hub.requests.items() if path.startswith("GET") and path.endswith(shard(1, 2)))
        resumed = [r for r in hub.ranges if r.startswith(shard(2, 2))]
    assert done.code == 0, done.text
    assert asked <= 3, "by one node, and no more often than the hub refused it"
    assert resumed
    assert int(resumed[0].split()[1]) >= 10_000_000
    for node in (FIRST, SECOND, THIRD):
        assert site.sums(node) == wanted(large)
    notes = site.lab.exec(SECOND, "cat /var/lib/bringup/wl/manifests/*")
    assert f"huggingface {REPO}@" in notes
    assert wanted(large)[shard(2, 2)] in notes
    assert SECRET not in done.text + "".join(p.read_text() for p in done.runs.rglob("*") if p.is_file())
    assert site.run(FIRST, SECOND, THIRD).changed == 0
    assert docker(site.lab.place, "exec", FIRST, "docker", "ps", "-aq") == ""


def test_modelscope_has_its_own_client(site: Site, whole: Path) -> None:
    with hub_of(site.lab, whole) as hub:
        done = site.run(FIRST, hub="modelscope", hub_endpoint=hub.url)
    assert done.code == 0, done.text
    assert site.sums(FIRST) == wanted(whole)


def test_nodes_give_on_what_they_got_so_that_a_slow_link_carries_it_about_once(site: Site, whole: Path) -> None:
    site.put(FIRST, whole)
    site.slow(FIRST)
    site.slow(SECOND)
    site.slow(THIRD)
    before = site.sent(FIRST)
    done = site.run(FIRST, SECOND, THIRD)
    assert done.code == 0, done.text
    assert site.sums(SECOND) == site.sums(THIRD) == wanted(whole)
    sent = (site.sent(FIRST) - before) / (SHARDS * SHARD_MB << 20)
    print(f"sent {sent:.2f} times")
    assert sent < 1.6, f"the first node sent the checkpoint {sent:.2f} times for two copies"


def test_a_flipped_byte_is_noticed_and_named(site: Site, whole: Path) -> None:
    site.put(FIRST, whole)
    assert site.run(FIRST).code == 0
    flip = f"touch -r {shard(3)} /tmp/then && printf X | dd of={shard(3)} bs=1 seek=1000000 conv=notrunc && touch -r /tmp/then {shard(3)}"
    site.lab.exec(FIRST, f"cd {FOLDER} && {flip}")
    done = site.run(FIRST, SECOND)
    assert done.code == 1
    (failure,) = done.report()["failures"]  # type: ignore[misc]
    assert failure["node"] == site.lab.place.ssh_address(NUMBERS[1])
    assert shard(3) in failure["why"]
    assert site.lab.place.ssh_address(NUMBERS[0]) in failure["why"]
    assert f"{FOLDER}/{shard(3)}" not in site.lab.exec(SECOND, f"ls {FOLDER}/*")


def test_a_shard_cut_short_is_seen_and_got_again_and_a_wrong_beginning_is_not_trusted(site: Site, whole: Path) -> None:
    for node in (FIRST, SECOND):
        site.put(node, whole)
    site.lab.exec(SECOND, f"truncate -s 2000000 {FOLDER}/{shard(2)}")
    site.lab.exec(SECOND, f"mkdir -p {FOLDER}/.bringup-part/copy && head -c 1000000 /dev/urandom > {FOLDER}/.bringup-part/copy/{shard(2)}")
    done = site.run(FIRST, SECOND)
    assert done.code == 0, done.text
    assert f"{shard(2)} is cut short (2000000 of" in done.text
    assert "tried again" in done.text
    assert site.sums(SECOND) == wanted(whole)


def test_a_full_disk_is_said_before_and_when_it_comes(site: Site, whole: Path) -> None:
    site.put(FIRST, whole)
    site.lab.exec(SECOND, f"mkdir -p {FOLDER} && mount -t tmpfs -o size=10m tmpfs {FOLDER}")
    site.lab.exec(THIRD, f"mkdir -p {FOLDER} && mount -t tmpfs -o size=40m tmpfs {FOLDER}")
    site.slow(FIRST)
    child = site.start(FIRST, SECOND, THIRD)
    until(lambda: "bringup-part" in site.lab.exec(THIRD, f"ls -a {FOLDER}"), "the copy", 60)
    site.lab.exec(THIRD, f"fallocate -l 30m {FOLDER}/somebody-elses || dd if=/dev/zero of={FOLDER}/somebody-elses bs=1M count=30")
    text, _ = child.communicate(timeout=120)
    assert child.returncode == 1
    assert re.search(rf"fail {re.escape(site.lab.place.ssh_address(NUMBERS[1]))}: weights.space: .*: 25.2 MB missing, 10.5 MB free", text)
    assert "no space left for model-" in text
    shown = {n: sha for n, sha in site.sums(THIRD).items() if n.startswith("model")}
    assert shown.items() <= wanted(whole).items()


@pytest.mark.parametrize(("end", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_an_ended_controller_leaves_no_copier_and_the_next_run_goes_on(site: Site, whole: Path, end: signal.Signals, code: int) -> None:
    site.put(FIRST, whole)
    site.slow(FIRST, "20mbit")
    child = site.start(FIRST, SECOND)
    until(lambda: half(site) > 5 << 20, "the copy", 60)
    os.kill(child.pid, end)
    child.communicate(timeout=30)
    assert child.returncode == code
    for node in (FIRST, SECOND):
        until(lambda n=node: docker(site.lab.place, "exec", n, "docker", "ps", "-q") == "", f"the end of the copier on {node}", 20)  # type: ignore[misc]
    kept = half(site)
    shown = {n: sha for n, sha in site.sums(SECOND).items() if not n.startswith(".bringup-part")}
    assert shown.items() <= wanted(whole).items(), "what has its own name is whole"
    site.slow(FIRST, "1gbit")
    before = site.sent(FIRST)
    done = site.run(FIRST, SECOND, options=("takeover=true",) if end == signal.SIGKILL else ())
    assert done.code == 0, done.text
    assert "goes on after" in done.text
    assert site.sums(SECOND) == wanted(whole)
    left = (SHARDS * SHARD_MB << 20) - kept
    assert site.sent(FIRST) - before < left * 1.15 + (1 << 20), "only what was missing was sent"


def half(site: Site) -> int:
    """Bytes that are there, under whatever name."""
    return int(site.lab.exec(SECOND, f"du -sb {FOLDER} 2>/dev/null | cut -f1").strip() or 0)


def test_one_look_at_a_large_checkpoint_is_quick(site: Site) -> None:
    """130 shards of 1.8 GB, with nothing in them: what the probe reads is headers and names."""
    one = "f=model-00$i-of-00130.safetensors; printf '\\2\\0\\0\\0\\0\\0\\0\\0{}' > $f; truncate -s 1800M $f"
    site.lab.exec(FIRST, f"mkdir -p {FOLDER} && cd {FOLDER} && for i in $(seq -w 1 130); do {one}; done")
    script = (ROOT / "roles/weights/probe.sh").read_text()
    head = (ROOT / "roles/run/probe.sh").read_text()
    began = time.monotonic()
    values = f"WEIGHTS={FOLDER} DRAFT= VENDOR=ascend IMAGE= STATE=/var/lib/bringup CLUSTER=wl\n"
    text = docker(site.lab.place, "exec", "-i", FIRST, "sh", text=values + head + script)
    assert text.count(" 1800") >= 130 or "1887436800" in text
    assert time.monotonic() - began < 10
