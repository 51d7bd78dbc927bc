"""Where a folder lies: room, mounts, links and rights decide what can be put into it, and who can read it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from roles.run import checks
from roles.run.seen import Section, Seen
from tests.unit.sources import plan
from tests.unit.test_weights_checks import FP8, N1, N2, Pair, brief, jobs, judged, pair_of, roomy
from tests.unit.test_weights_probe import checkpoint, look, shard


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return pair_of(tmp_path)


def test_too_little_room_is_a_failure_that_says_how_much(pair: Pair) -> None:
    shutil.rmtree(pair.on(N2))
    seen = pair.seen()
    seen[N2] = roomy(seen[N2], 1000)
    assert brief(judged(pair, seen)) == ["n2 space!"]
    (finding,) = [f for f in judged(pair, seen) if f.level == "fail"]
    assert finding.observed.endswith("5.3 kB missing, 1.0 kB free")


def test_what_is_there_already_needs_no_room(pair: Pair) -> None:
    shutil.rmtree(pair.on(N2))
    part = pair.on(N2) / ".bringup-part" / "copy"
    part.mkdir(parents=True)
    (part / shard(1)).write_bytes(b"x" * 4500)
    seen = pair.seen()
    seen[N2] = roomy(seen[N2], 1000)
    assert brief(judged(pair, seen)) == ["n2 present?"]


def test_a_read_only_folder_is_taken_when_whole_and_refused_when_not(pair: Pair) -> None:
    seen = pair.seen()
    seen[N2] = roomy(seen[N2], 10**9, writable="no")
    assert brief(judged(pair, seen)) == []
    (pair.on(N2) / shard(3)).unlink()
    seen = pair.seen()
    seen[N2] = roomy(seen[N2], 10**9, writable="no")
    assert brief(judged(pair, seen)) == ["n2 index!"]
    assert jobs(pair, seen) == ["n1 hash"]


def test_a_shared_mount_is_hashed_and_filled_by_one_node(pair: Pair) -> None:
    seen = {n: roomy(s, 10**9, "nfs4", "10.0.0.5:/models") for n, s in pair.seen().items()}
    assert jobs(pair, seen) == ["n1 hash", "n2 note"]
    for node in (N1, N2):
        pair.hashed(node)
    assert jobs(pair, {n: roomy(s, 10**9, "nfs4", "10.0.0.5:/models") for n, s in pair.seen().items()}) == []


def test_a_mount_that_does_not_answer_is_a_failure(pair: Pair) -> None:
    seen = pair.seen()
    seen[N2] = Seen(N2, {"weights.main.place": Section("weights.main.place", 124)})
    assert brief(judged(pair, seen)) == ["n2 present!"]
    assert jobs(pair, seen) == ["n1 hash"]


def test_a_file_where_the_folder_should_be(pair: Pair) -> None:
    shutil.rmtree(pair.on(N2))
    pair.on(N2).write_text("")
    assert brief(judged(pair)) == ["n2 present!"]


def test_a_link_out_of_the_folder_is_nothing_for_a_container(pair: Pair, tmp_path: Path) -> None:
    (pair.on(N2) / shard(1)).rename(tmp_path / "blob")
    (pair.on(N2) / shard(1)).symlink_to("../blob")
    assert brief(judged(pair)) == ["n2 readable!"]
    (pair.on(N2) / shard(1)).unlink()
    (tmp_path / "blob").rename(pair.on(N2) / "inside.safetensors.real")
    (pair.on(N2) / shard(1)).symlink_to("inside.safetensors.real")
    assert "n2 readable!" not in brief(judged(pair))


def test_files_that_only_their_owner_may_read_matter_when_the_image_has_a_user(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "m", **FP8)
    (path / shard(1)).chmod(0o600)
    made = plan("vllm/nvidia-tp4", model="MiniMax-M2.5", weights=str(path))
    seen = look(path, tmp_path, N1)
    assert not [f for f in checks.judge(made, {N1: seen}) if f.check == "weights.readable" and f.level == "fail"]
    seen = replace(seen, sections={**seen.sections, "weights.user": Section("weights.user", 0, ("user=2000:0",))})
    (finding,) = [f for f in checks.judge(made, {N1: seen}) if f.check == "weights.readable"]
    assert finding.observed.endswith(f"{shard(1)} cannot be read by user 2000 of the image")


def test_an_unreadable_shard_is_named(pair: Pair) -> None:
    seen = pair.seen()
    lines = ("model-00001-of-00003.safetensors", f"head: error reading '{shard(2)}': Input/output error")
    heads = Section("weights.main.heads", 123, lines)
    seen[N2] = replace(seen[N2], sections={**seen[N2].sections, "weights.main.heads": heads})
    assert brief(judged(pair, seen)) == ["n2 readable!"]
