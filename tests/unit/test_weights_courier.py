"""The courier on loopback: what arrives is hashed before it is shown, what broke off goes on, and it ends with its input."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from roles.weights import launch, manifest
from roles.weights.courier import copies
from roles.weights.courier.copies import Missed, Server, take
from roles.weights.courier.shelf import Shelf
from roles.weights.courier.talk import Talk, Trouble

TOKEN = "token-of-this-run"
BYTES = bytes(i % 251 for i in range(300_000))
SHA = hashlib.sha256(BYTES).hexdigest()


def shelf(folder: Path) -> Shelf:
    folder.mkdir(parents=True, exist_ok=True)
    return Shelf(folder, folder.parent / f"{folder.name}.manifest", "M", Talk(io.StringIO()))


def said(one: Shelf, event: str = "") -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in one.talk.out.getvalue().splitlines()]  # type: ignore[attr-defined]
    return [line for line in lines if event in ("", line["ev"])]


@pytest.fixture
def giver(tmp_path: Path) -> Shelf:
    one = shelf(tmp_path / "giver")
    (one.folder / "sub").mkdir()
    (one.folder / "a.safetensors").write_bytes(BYTES)
    (one.folder / "sub" / "b c.json").write_bytes(b"{}")
    (one.folder / "empty.txt").write_bytes(b"")
    one.hash(["a.safetensors", "sub/b c.json", "empty.txt"])
    return one


@pytest.fixture
def server(giver: Shelf) -> Iterator[Server]:
    with Server(giver, "127.0.0.1", TOKEN) as one:
        threading.Thread(target=one.serve_forever, daemon=True).start()
        yield one
        one.shutdown()


@pytest.fixture
def getter(tmp_path: Path) -> Shelf:
    return shelf(tmp_path / "getter")


def get(getter: Shelf, server: Server, name: str = "a.safetensors", sha: str = SHA, size: int = len(BYTES), token: str = TOKEN) -> None:
    take(getter, name, size, sha, "127.0.0.1", server.server_address[1], token)


def test_a_file_arrives_and_is_on_record(getter: Shelf, server: Server) -> None:
    get(getter, server)
    assert (getter.folder / "a.safetensors").read_bytes() == BYTES
    assert said(getter, "have") == [{"ev": "have", "files": [["a.safetensors", len(BYTES), SHA]]}]
    assert manifest.parse(getter.record_file.read_text()).rows["a.safetensors"].sha256 == SHA
    assert getter.done == len(BYTES)


@pytest.mark.parametrize(("name", "data"), [("sub/b c.json", b"{}"), ("empty.txt", b"")])
def test_names_with_folders_and_spaces_and_empty_files_arrive_too(getter: Shelf, server: Server, name: str, data: bytes) -> None:
    get(getter, server, name, hashlib.sha256(data).hexdigest(), len(data))
    assert (getter.folder / name).read_bytes() == data


@pytest.mark.parametrize("there", [1, 123_456, len(BYTES)])
def test_what_broke_off_goes_on(getter: Shelf, server: Server, there: int) -> None:
    getter.part("copy", "a.safetensors").write_bytes(BYTES[:there])
    get(getter, server)
    assert (getter.folder / "a.safetensors").read_bytes() == BYTES
    assert said(getter, "resumed") == [{"ev": "resumed", "name": "a.safetensors", "at": there}]


def test_a_longer_part_is_begun_anew(getter: Shelf, server: Server) -> None:
    getter.part("copy", "a.safetensors").write_bytes(BYTES + b"x")
    get(getter, server)
    assert (getter.folder / "a.safetensors").read_bytes() == BYTES


def test_a_wrong_byte_is_noticed_nothing_is_shown_and_the_next_try_begins_anew(getter: Shelf, server: Server) -> None:
    getter.part("copy", "a.safetensors").write_bytes(b"X" + BYTES[1:1000])
    with pytest.raises(Missed) as e:
        get(getter, server)
    assert e.value.kind == "hash"
    assert not (getter.folder / "a.safetensors").exists()
    assert getter.done == 0
    get(getter, server)
    assert (getter.folder / "a.safetensors").read_bytes() == BYTES


def test_a_source_cut_short_meanwhile_is_a_broken_link(getter: Shelf, server: Server, giver: Shelf) -> None:
    os.truncate(giver.folder / "a.safetensors", 1000)
    with pytest.raises(Missed) as e:
        get(getter, server)
    assert (e.value.kind, e.value.got) == ("link", 1000)
    assert "broke 299000 bytes before the end" in e.value.why


def test_without_the_token_there_is_nothing(getter: Shelf, server: Server) -> None:
    with pytest.raises(Missed, match="404"):
        get(getter, server, token="guessed")


@pytest.mark.parametrize("path", ["../giver.manifest", "%2e%2e/giver.manifest", "", "sub", "/etc/passwd"])
def test_only_what_is_on_record_is_given(server: Server, path: str) -> None:
    with pytest.raises(Exception, match="404"):
        urlopen(f"http://127.0.0.1:{server.server_address[1]}/{TOKEN}/{path}")


def test_nobody_listens_there(getter: Shelf) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Missed) as e:
        take(getter, "a", 5, SHA, "127.0.0.1", port, TOKEN)
    assert (e.value.kind, e.value.why) == ("link", f"a from 127.0.0.1:{port}: Connection refused")


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, "space"), (errno.EDQUOT, "space"), (errno.EROFS, "disk"), (errno.EIO, "disk")])
def test_a_full_or_broken_disk_is_this_nodes_own(
    getter: Shelf, server: Server, monkeypatch: pytest.MonkeyPatch, number: int, kind: str
) -> None:
    def full(file: object, piece: memoryview) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(copies, "_write", full)
    with pytest.raises(Missed) as e:
        get(getter, server)
    assert e.value.kind == kind
    assert os.strerror(number) in e.value.why


def test_a_damaged_file_is_replaced_at_once(getter: Shelf, server: Server) -> None:
    (getter.folder / "a.safetensors").write_bytes(b"cut short")
    get(getter, server)
    assert (getter.folder / "a.safetensors").read_bytes() == BYTES


def test_an_earlier_run_is_remembered_while_the_files_are_the_same(giver: Shelf) -> None:
    again = shelf(giver.folder)
    again.open()
    assert set(again.rows) == {"a.safetensors", "sub/b c.json", "empty.txt"}
    os.utime(giver.folder / "empty.txt", ns=(5, 5))
    again = shelf(giver.folder)
    again.open()
    assert set(again.rows) == {"a.safetensors", "sub/b c.json"}


def test_a_file_that_changes_while_it_is_hashed_is_no_file_to_trust(giver: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = giver.digest

    def meanwhile(path: Path, counted: bool = True) -> str:
        os.utime(path, ns=(7, 7))
        return plain(path, counted)

    monkeypatch.setattr(giver, "digest", meanwhile)
    with pytest.raises(Trouble, match="changes while it is read"):
        giver.hash(["a.safetensors"])


def test_sealing_leaves_no_parts_and_says_how_many_files_are_all(giver: Shelf) -> None:
    giver.part("copy", "x").write_bytes(b"half")
    giver.seal("hub x@1", 3)
    assert not (giver.folder / manifest.PART).exists()
    found = manifest.parse(giver.record_file.read_text())
    assert (found.source, found.count, found.model) == ("hub x@1", 3, "M")


def start(folder: Path, **order: object) -> subprocess.Popen[str]:
    """As a node starts it: nothing but Python and its input."""
    full = {
        "folder": str(folder), "manifest": f"{folder}.manifest", "model": "M", "address": "127.0.0.1", "serve": True, "token": TOKEN,
        "slots": 2, "count": 0, "source": "", **order,
    }  # fmt: skip
    child = subprocess.Popen(
        [sys.executable, "-I", "-c", launch.BOOT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert child.stdin
    child.stdin.write(launch.payload(full))
    child.stdin.flush()
    return child


def tell(child: subprocess.Popen[str], **command: object) -> None:
    assert child.stdin
    child.stdin.write(json.dumps(command) + "\n")
    child.stdin.flush()


def hear(child: subprocess.Popen[str], event: str) -> dict[str, Any]:
    assert child.stdout
    for line in child.stdout:
        found: dict[str, Any] = json.loads(line)
        if found["ev"] == event:
            return found
    raise AssertionError(f"no {event}")


def test_two_couriers_as_nodes_run_them(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    for folder in (a, b):
        folder.mkdir()
    (a / "x.safetensors").write_bytes(BYTES)
    one, two = start(a), start(b, count=1)
    port = hear(one, "ready")["port"]
    assert hear(two, "ready")["files"] == []
    tell(one, do="hash", names=["x.safetensors"])
    (_, size, sha) = hear(one, "have")["files"][0]
    tell(two, do="take", name="x.safetensors", size=size, sha=sha, address="127.0.0.1", port=port, token=TOKEN)
    assert hear(two, "have")["files"] == [["x.safetensors", len(BYTES), SHA]]
    tell(two, do="seal", count=1, source="")
    hear(two, "sealed")
    assert (b / "x.safetensors").read_bytes() == BYTES
    for child in (one, two):
        tell(child, do="end")
        assert child.wait(10) == 0


def test_it_ends_with_its_input(tmp_path: Path) -> None:
    child = start(tmp_path)
    hear(child, "ready")
    assert child.stdin
    child.stdin.close()
    assert child.wait(10) == 0


def test_an_address_that_is_not_the_nodes_is_said(tmp_path: Path) -> None:
    child = start(tmp_path, address="192.0.2.1")
    assert "no port of 192.0.2.1 can be listened on" in hear(child, "failed")["why"]
    tell(child, do="end")
    assert child.wait(10) == 0


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    child = start(tmp_path)
    tell(child, do="hash", names=["missing.safetensors"])
    assert hear(child, "failed")["why"] == "missing.safetensors cannot be read (No such file or directory)"
    tell(child, do="end")
    assert child.wait(10) == 0
