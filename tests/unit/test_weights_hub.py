"""Downloads: the hub's listing is the truth, its client does the work, and what it brings is hashed before it is shown."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from roles.weights import manifest
from roles.weights.courier import hub, listing
from roles.weights.courier.hub import Download, arguments, environment
from roles.weights.courier.listing import Listed, blob
from roles.weights.courier.shelf import Shelf
from roles.weights.courier.talk import Talk, Trouble
from tests.lab.hub_double import COMMIT, Faults, HubDouble

REPO = "MiniMaxAI/MiniMax-M2"
SHARD = "model-00001-of-00001.safetensors"
CLIENT = """\
#!{python}
# A stand-in for both hubs' clients: it fetches what it is told, one file after another, by a name that is not the last.
import os, pathlib, sys, urllib.request
words = sys.argv[1:]
base = os.environ.get("HF_ENDPOINT") or os.environ["MODELSCOPE_ENDPOINT"]
if "--include" in words:
    repo, folder, names = words[words.index("--model") + 1], words[words.index("--local_dir") + 1], words[words.index("--include") + 1:]
else:
    repo, names, folder = words[1], words[2:words.index("--revision")], words[words.index("--local-dir") + 1]
token = os.environ.get("HF_TOKEN")
print("asked with", token, flush=True)
for name in names:
    request = urllib.request.Request(f"{{base}}/{{repo}}/resolve/main/{{name}}", headers={{"Authorization": f"Bearer {{token}}"}})
    data = urllib.request.urlopen(request).read()
    part = pathlib.Path(folder, ".cache", name + ".incomplete")
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(data)
    final = pathlib.Path(folder, name)
    final.parent.mkdir(parents=True, exist_ok=True)
    part.rename(final)
"""


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    pause = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: pause(min(seconds, 0.02)))


@pytest.fixture(autouse=True)
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("hf", "modelscope"):
        file = tmp_path / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(CLIENT.format(python=sys.executable))
        file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return tmp_path / "bin" / "hf"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[HubDouble]:
    folder = tmp_path / "repo"
    folder.mkdir()
    (folder / SHARD).write_bytes(bytes(range(256)) * 400)
    (folder / "config.json").write_text("{}")
    (folder / "README.md").write_text("words")
    (folder / ".gitattributes").write_text("")
    with HubDouble(folder, REPO, faults=Faults()) as double:
        yield double


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    (tmp_path / "to").mkdir()
    return Shelf(tmp_path / "to", tmp_path / "to.manifest", "M", Talk(io.StringIO()))


Get = Callable[..., Download]


@pytest.fixture
def get(shelf: Shelf, served: HubDouble) -> Get:
    def run(which: str = "huggingface", token: str = "") -> Download:
        one = Download(shelf, which, REPO, served.url, "", token, "image:1")
        one.run()
        return one

    return run


def events(shelf: Shelf) -> list[str]:
    return [json.loads(line)["ev"] for line in shelf.talk.out.getvalue().splitlines()]  # type: ignore[attr-defined]


@pytest.mark.parametrize("which", ["huggingface", "modelscope"])
def test_what_matters_of_a_repository_arrives_hashed(get: Get, shelf: Shelf, served: HubDouble, which: str) -> None:
    get(which)
    assert sorted(p.name for p in shelf.folder.iterdir() if not p.name.startswith(".")) == ["config.json", SHARD]
    assert (shelf.folder / SHARD).read_bytes() == (served.folder / SHARD).read_bytes()
    assert events(shelf) == ["listing", "have", "have", "downloaded"]
    found = manifest.parse(shelf.record_file.read_text())
    assert found.source == f"{which} {REPO}@{COMMIT if which == 'huggingface' else 'master'}"
    assert (found.count, set(found.rows)) == (2, {"config.json", SHARD})
    shelf.seal(found.source, 2)
    assert sorted(p.name for p in shelf.folder.iterdir()) == ["config.json", SHARD]


def test_what_is_there_already_is_not_asked_for(get: Get, shelf: Shelf, served: HubDouble) -> None:
    (shelf.folder / SHARD).write_bytes((served.folder / SHARD).read_bytes())
    get()
    assert not any("safetensors" in path for path in served.requests)


def test_an_edited_config_stays(get: Get, shelf: Shelf) -> None:
    (shelf.folder / "config.json").write_text('{"mine": 1}')
    get()
    assert (shelf.folder / "config.json").read_text() == '{"mine": 1}'


def test_a_shard_cut_short_is_got_again_and_another_one_is_refused(get: Get, shelf: Shelf, served: HubDouble) -> None:
    (shelf.folder / SHARD).write_bytes(b"short")
    get()
    assert (shelf.folder / SHARD).read_bytes() == (served.folder / SHARD).read_bytes()
    (shelf.folder / SHARD).write_bytes(b"x" * 102400)
    shelf.rows.clear()
    with pytest.raises(Trouble, match="is another file than MiniMaxAI/MiniMax-M2 has; remove it"):
        get()


def test_wrong_bytes_under_the_right_hash_are_never_shown(get: Get, shelf: Shelf, served: HubDouble) -> None:
    served.faults.flipped = SHARD
    with pytest.raises(Trouble, match="came twice with another hash than huggingface lists"):
        get()
    assert not (shelf.folder / SHARD).exists()


def test_a_client_that_breaks_off_is_started_again_and_its_reason_is_told(get: Get, shelf: Shelf, served: HubDouble) -> None:
    served.faults.busy = 2
    get()
    assert "again" in events(shelf)
    assert (shelf.folder / SHARD).exists()


def test_a_client_that_gets_nowhere_is_the_end_with_its_last_words(get: Get, served: HubDouble) -> None:
    served.faults.missing = SHARD
    with pytest.raises(Trouble, match=rf"{SHARD} did not come from huggingface: .*404"):
        get()


def test_a_file_system_without_hard_links_will_do(get: Get, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    get()
    assert (shelf.folder / SHARD).exists()


def test_without_room_nothing_is_begun(get: Get, shelf: Shelf, served: HubDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "free", lambda: 10)
    with pytest.raises(Trouble, match=r"no space: 0\.0 GB missing"):
        get()
    assert not any("resolve" in path for path in served.requests)


def test_an_image_without_the_client_is_named(get: Get, client: Path) -> None:
    client.unlink()
    with pytest.raises(Trouble, match="image:1 has no hf, the command line of huggingface"):
        get()


def test_the_token_reaches_hub_and_client_and_no_words(get: Get, shelf: Shelf, served: HubDouble) -> None:
    served.faults.token = "hf_planted"
    with pytest.raises(Trouble, match=r"wants a token: set hub_token \(401\)"):
        get()
    with pytest.raises(Trouble, match=r"refuses the hub_token, or its licence was not accepted \(401\)"):
        get(token="hf_other")
    done = get(token="hf_planted")
    assert (shelf.folder / SHARD).exists()
    assert "asked with ***" in done.said
    assert "hf_planted" not in " ".join(done.said) + shelf.talk.out.getvalue()  # type: ignore[attr-defined]


def test_a_stalled_client_is_ended_and_started_again(get: Get, client: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client.write_text("#!/bin/sh\necho waiting; sleep 60\n")
    monkeypatch.setattr(hub, "STALL", 0.1)
    with pytest.raises(Trouble, match="no byte came for 0 s"):
        get()


def test_a_full_disk_ends_it_at_once(get: Get, client: Path) -> None:
    client.write_text("#!/bin/sh\necho 'OSError: [Errno 28] No space left on device'; exit 1\n")
    with pytest.raises(Trouble, match="no space left in"):
        get()


def test_an_unknown_repository_and_an_unreachable_hub_are_said(shelf: Shelf, served: HubDouble) -> None:
    with pytest.raises(Trouble, match="has no such repository"):
        Download(shelf, "huggingface", "nobody/nothing", served.url, "", "", "i").run()
    with pytest.raises(Trouble, match=r"127.0.0.1:1 is not reached .*; set proxy, or hub_endpoint"):
        Download(shelf, "huggingface", REPO, "http://127.0.0.1:1", "", "", "i").run()


def test_a_long_listing_comes_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {
        "https://huggingface.co/api/models/a/b/revision/main": ({"sha": "c"}, None),
        "https://huggingface.co/api/models/a/b/tree/c?recursive=true&expand=false": (
            [{"type": "directory", "path": "x"}, {"type": "file", "path": "x/1.bin", "size": 3, "oid": "g", "lfs": {"oid": "s"}}],
            "next",
        ),
        "next": ([{"type": "file", "path": "2.json", "size": 2, "oid": "h"}], None),
    }
    monkeypatch.setattr(listing.Web, "get", lambda _, url: pages[url])
    assert listing.listed("huggingface", "a/b", "", "", "") == ([Listed("x/1.bin", 3, "s", "g"), Listed("2.json", 2, "", "h")], "c")


def test_small_files_are_known_by_gits_hash(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("hello\n")
    assert blob(tmp_path / "f", 6) == "ce013625030ba8dba906f756967f9e9ca394464a"
    assert Listed("f", 6, "", "ce013625030ba8dba906f756967f9e9ca394464a").matches(tmp_path / "f", 6, "any")
    assert not Listed("f", 6, "", "0" * 40).matches(tmp_path / "f", 6, "any")


def test_a_clients_words_and_variables() -> None:
    assert arguments("huggingface", "a/b", Path("/m/p"), ["x"], "c") == ["download", "a/b", "x", "--revision", "c", "--local-dir", "/m/p"]
    words = arguments("modelscope", "a/b", Path("/m/p"), ["x", "y"], "master")
    assert words == ["download", "--model", "a/b", "--local_dir", "/m/p", "--include", "x", "y"]
    env = environment("huggingface", "https://hf-mirror.com", "http://10.0.0.1:3128", "t")
    assert (env["HF_ENDPOINT"], env["HF_TOKEN"], env["HTTPS_PROXY"]) == ("https://hf-mirror.com", "t", "http://10.0.0.1:3128")
    env = environment("modelscope", "http://mirror:8080", "", "t")
    assert (env["MODELSCOPE_ENDPOINT"], env["MODELSCOPE_DOMAIN"], env["MODELSCOPE_API_TOKEN"]) == ("http://mirror:8080", "mirror:8080", "t")
