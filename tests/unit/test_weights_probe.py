"""The real probe on real folders: what it says of a checkpoint, and what is read from it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from roles.run.seen import Seen, sections
from roles.weights import manifest
from roles.weights.held import Held, held
from roles.weights.manifest import Manifest, Row

ROOT = Path(__file__).parents[2]
SHARDS = 3
SIZE = 1000


def shard(n: int) -> str:
    return f"model-{n:05d}-of-{SHARDS:05d}.safetensors"


def tensors(size: int = SIZE, spaced: bool = False) -> bytes:
    """A whole safetensors file with two tensors."""
    entries = {
        "__metadata__": {"format": "pt"},
        "b": {"dtype": "U8", "shape": [size - 10], "data_offsets": [10, size]},
        "a": {"dtype": "U8", "shape": [10], "data_offsets": [0, 10]},
    }
    head = json.dumps(entries, separators=None if spaced else (",", ":")).encode()
    return len(head).to_bytes(8, "little") + head + bytes(i % 251 for i in range(size))


def checkpoint(folder: Path, **config: object) -> Path:
    """Whole, of the lab's model."""
    folder.mkdir(parents=True)
    for n in range(1, SHARDS + 1):
        (folder / shard(n)).write_bytes(tensors())
    where = {f"layers.{i}.weight": shard(1 + i % SHARDS) for i in range(30)}
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": SHARDS * SIZE}, "weight_map": where}, indent=1)
    )
    (folder / "config.json").write_text(json.dumps({"architectures": ["MiniMaxM2ForCausalLM"], "max_position_embeddings": 32768, **config}))
    (folder / "tokenizer.json").write_text("{}")
    return folder


def look(folder: Path, state: Path, node: str = "n0", draft: str = "", vendor: str = "ascend") -> Seen:
    values = {"WEIGHTS": folder, "DRAFT": draft, "VENDOR": vendor, "IMAGE": "", "STATE": state, "CLUSTER": "test"}
    text = "".join(f"{k}={shlex.quote(str(v))}\n" for k, v in values.items())
    text += (ROOT / "roles/run/probe.sh").read_text() + (ROOT / "roles/weights/probe.sh").read_text() + "say end 0 ''\n"
    done = subprocess.run(["sh", "-c", text], capture_output=True, text=True, timeout=60, check=True)
    return Seen(node, sections(done.stdout))


def record(folder: Path, state: Path, **changed: str) -> None:
    """The manifest as prepare leaves it."""
    rows = {}
    for path in (p for p in folder.rglob("*") if p.is_file()):
        found, name = path.stat(), path.relative_to(folder).as_posix()
        rows[name] = Row(changed.get(name, "0" * 64), found.st_size, manifest.mtime(found.st_mtime_ns))
    place = Path(manifest.place(str(state), "test", str(folder)))
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(manifest.written(Manifest(rows, "M", "hub", len(rows))))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return checkpoint(tmp_path / "models" / "m")


@pytest.fixture
def ask(folder: Path, tmp_path: Path) -> Callable[[], Held]:
    return lambda: held(look(folder, tmp_path / "state"), "main", str(folder))


def test_a_whole_checkpoint_is_seen_whole(folder: Path, ask: Callable[[], Held]) -> None:
    one = ask()
    assert one.complete
    assert one.lacking() == []
    assert sorted(one.files) == sorted(p.name for p in folder.iterdir())
    assert one.files[shard(1)].size == (folder / shard(1)).stat().st_size
    assert one.index.names == {shard(n) for n in (1, 2, 3)}
    assert one.index.total == SHARDS * SIZE
    assert one.free
    assert one.writable
    assert set(one.digests) == {"config.json", "model.safetensors.index.json"}


def test_a_missing_folder_is_told_from_its_nearest_parent(tmp_path: Path) -> None:
    one = held(look(tmp_path / "a" / "b" / "c", tmp_path), "main", str(tmp_path / "a" / "b" / "c"))
    assert (one.kind, one.writable, one.complete, one.problem) == ("missing", True, False, "")
    assert one.free


def test_the_index_may_stand_on_one_line(folder: Path, ask: Callable[[], Held]) -> None:
    file = folder / "model.safetensors.index.json"
    file.write_text(json.dumps(json.loads(file.read_text()), separators=(",", ":")))
    assert ask().index.names == {shard(n) for n in (1, 2, 3)}
    assert ask().index.total == SHARDS * SIZE


@pytest.mark.parametrize("left", [0, 5, 8, 50, 700])
def test_a_shard_cut_short_anywhere_is_named(folder: Path, ask: Callable[[], Held], left: int) -> None:
    os.truncate(folder / shard(2), left)
    one = ask()
    assert list(one.broken) == [shard(2)]
    assert one.lacking() == [shard(2)]
    assert not one.complete


def test_a_header_with_spaces_is_read_too(folder: Path, ask: Callable[[], Held]) -> None:
    for n in (1, 2, 3):
        (folder / shard(n)).write_bytes(tensors(spaced=True))
    assert ask().complete
    os.truncate(folder / shard(3), 900)
    assert list(ask().broken) == [shard(3)]


def test_an_index_with_a_wrong_total_harms_nobody(folder: Path, ask: Callable[[], Held]) -> None:
    file = folder / "model.safetensors.index.json"
    file.write_text(file.read_text().replace(str(SHARDS * SIZE), "77"))
    assert ask().complete


def test_without_an_index_numbered_shards_say_how_many_they_are(folder: Path, ask: Callable[[], Held]) -> None:
    (folder / "model.safetensors.index.json").unlink()
    assert ask().complete
    (folder / shard(3)).unlink()
    assert ask().lacking() == [shard(3)]


def test_shards_may_be_counted_from_zero(folder: Path, ask: Callable[[], Held]) -> None:
    (folder / "model.safetensors.index.json").unlink()
    for n in (1, 2, 3):
        (folder / shard(n)).rename(folder / shard(n - 1))
    assert ask().complete


def test_one_file_alone_is_a_checkpoint(folder: Path, ask: Callable[[], Held]) -> None:
    for path in folder.glob("model*"):
        path.unlink()
    (folder / "model.safetensors").write_bytes(tensors())
    assert ask().complete


def test_links_are_followed_and_told(folder: Path, ask: Callable[[], Held], tmp_path: Path) -> None:
    (folder / shard(1)).rename(tmp_path / "blob")
    (folder / shard(1)).symlink_to("../../blob")
    one = ask()
    assert one.complete
    assert one.links == {shard(1): "../../blob"}


def test_a_folder_that_is_a_link_itself_is_a_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "here").symlink_to(folder)
    one = held(look(tmp_path / "here", tmp_path), "main", str(tmp_path / "here"))
    assert one.complete
    assert one.links == {}


def test_what_an_interrupted_copy_left_is_counted_and_is_no_part_of_the_checkpoint(folder: Path, ask: Callable[[], Held]) -> None:
    part = folder / manifest.PART / "copy" / shard(1)
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 77)
    one = ask()
    assert one.parts == 77
    assert one.complete
    assert not any(n.startswith(manifest.PART) for n in one.files)


def test_the_manifest_holds_while_size_and_time_are_the_same(folder: Path, ask: Callable[[], Held], tmp_path: Path) -> None:
    record(folder, tmp_path / "state", **{shard(1): "a" * 64})
    assert ask().sha256(shard(1)) == "a" * 64
    os.utime(folder / shard(1), ns=(1, 1))
    assert ask().sha256(shard(1)) == ""
    assert ask().sha256(shard(2)) == "0" * 64


def test_a_file_of_the_manifest_that_is_gone_is_lacking(folder: Path, ask: Callable[[], Held], tmp_path: Path) -> None:
    record(folder, tmp_path / "state")
    (folder / "tokenizer.json").unlink()
    assert ask().lacking() == ["tokenizer.json"]


def test_fewer_files_than_the_manifest_counts_is_an_interrupted_copy(folder: Path, ask: Callable[[], Held], tmp_path: Path) -> None:
    place = Path(manifest.place(str(tmp_path / "state"), "test", str(folder)))
    place.parent.mkdir(parents=True)
    place.write_text(manifest.written(Manifest({}, "M", "hub", 99)))
    assert not ask().complete
    place.write_text(manifest.written(Manifest({}, "M", "", 6)))
    assert ask().complete, "an interrupted hashing leaves a whole folder whole"


def test_a_silent_mount_is_a_problem_and_no_crash(tmp_path: Path) -> None:
    text = "\x1eweights.main.place 124\n"
    assert held(Seen("n0", sections(text)), "main", "/m").problem == "/m does not answer (no answer in time)"
    assert held(Seen("n0"), "main", "/m").problem == "not looked at"


def test_macos_is_left_alone(tmp_path: Path) -> None:
    assert not look(tmp_path, tmp_path, vendor="apple").sections.keys() - {"end"}


def test_both_folders_are_asked(folder: Path, tmp_path: Path) -> None:
    draft = checkpoint(tmp_path / "draft")
    seen = look(folder, tmp_path, draft=str(draft))
    assert held(seen, "draft", str(draft)).complete


@pytest.mark.parametrize(
    ("line", "file"),
    [
        ("head: cannot open 'model-1.safetensors' for reading: Permission denied", "model-1.safetensors"),
        ("head: error reading 'model-1.safetensors': Input/output error", "model-1.safetensors"),
        ("find: '/m/sub': Permission denied", "sub"),
    ],
)
def test_what_cannot_be_read_is_known_by_name(line: str, file: str) -> None:
    text = f"\x1eweights.main.place 0\nkind=folder\n\x1eweights.main.heads 123\nmodel-1.safetensors\nmodel-2.safetensors\n{line}\n= 5\n"
    assert list(held(Seen("n0", sections(text)), "main", "/m").unreadable) == [file]


def test_the_probe_only_reads(folder: Path, tmp_path: Path) -> None:
    os.truncate(folder / shard(1), 500)

    def all_of_it() -> list[tuple[str, int, int]]:
        return sorted((str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in tmp_path.rglob("*"))

    before = all_of_it()
    look(folder, tmp_path)
    assert all_of_it() == before
