"""The hub double is good enough for the real hf client: download, resume, 429, wrong bytes, tokens."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines import environment
from tests.lab.hub_double import Faults, HubDouble

pytestmark = pytest.mark.engines
REPO = "MiniMaxAI/MiniMax-M2"
SHARD = "model-00001-of-00002.safetensors"


@pytest.fixture(scope="module")
def hf() -> Path:
    """The real client, from the cached environment that has it."""
    if os.environ.get("BRINGUP_ENGINES") == "off":
        pytest.skip("BRINGUP_ENGINES=off")
    try:
        return environment.python_of("vllm-0.32.0").parent / "hf"
    except environment.Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubDouble]:
    folder = tmp_path / "repo"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / SHARD).write_bytes(bytes(range(256)) * 98304)  # the client writes in pieces of 10 MB, and resumes after the last whole one
    (folder / SHARD.replace("00001-", "00002-")).write_bytes(bytes(range(256)) * 4096)
    with HubDouble(folder, REPO, faults=Faults()) as double:
        yield double


def download(hf: Path, hub: HubDouble, to: Path, *more: str, token: str = "") -> subprocess.CompletedProcess[str]:
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(to.parent),
        "HF_ENDPOINT": hub.url,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    env |= {"HF_TOKEN": token} if token else {}
    command = [str(hf.parent / "python"), str(hf), "download", REPO, "--local-dir", str(to), *more]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)


def same(hub: HubDouble, to: Path) -> bool:
    return all((to / name).read_bytes() == file.read_bytes() for name, file in hub.files().items())


def test_a_repository_arrives_whole(hf: Path, hub: HubDouble, tmp_path: Path) -> None:
    done = download(hf, hub, tmp_path / "to")
    assert done.returncode == 0, done.stderr
    assert same(hub, tmp_path / "to")


def test_a_broken_connection_is_resumed_where_it_broke(hf: Path, hub: HubDouble, tmp_path: Path) -> None:
    hub.faults.cut[SHARD] = 21_000_000
    for _ in range(3):
        done = download(hf, hub, tmp_path / "to")
        if done.returncode == 0:
            break
    assert done.returncode == 0, done.stderr
    assert same(hub, tmp_path / "to")
    assert any(r.startswith(f"{SHARD} ") and int(r.split()[1]) > 0 for r in hub.ranges)


def test_a_busy_hub_is_asked_again(hf: Path, hub: HubDouble, tmp_path: Path) -> None:
    hub.faults.busy = 1
    for _ in range(3):
        done = download(hf, hub, tmp_path / "to")
        if done.returncode == 0:
            break
    assert done.returncode == 0, done.stderr
    assert hub.faults.busy == 0
    assert same(hub, tmp_path / "to")


def test_wrong_bytes_are_served_under_the_right_hash(hf: Path, hub: HubDouble, tmp_path: Path) -> None:
    """The client does not hash what it gets (it compares sizes), so whoever downloads must."""
    hub.faults.flipped = SHARD
    assert download(hf, hub, tmp_path / "to").returncode == 0
    got, wanted = (tmp_path / "to" / SHARD).read_bytes(), (hub.folder / SHARD).read_bytes()
    assert len(got) == len(wanted)
    assert got != wanted


def test_a_listed_file_that_is_missing_fails(hf: Path, hub: HubDouble, tmp_path: Path) -> None:
    hub.faults.missing = SHARD
    assert download(hf, hub, tmp_path / "to").returncode != 0


def test_a_gated_repository_wants_its_token(hf: Path, hub: HubDouble, tmp_path: Path) -> None:
    hub.faults.token = "hf_planted"
    assert download(hf, hub, tmp_path / "a").returncode != 0
    assert download(hf, hub, tmp_path / "b", token="hf_planted").returncode == 0
