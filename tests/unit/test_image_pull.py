"""How a pull of the image is shown, why one failed, and the script that does it."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path
from unittest.mock import Mock

import pytest

from roles.image.progress import Progress
from roles.image.why import why
from roles.run import terminal

ROOT = Path(__file__).parents[2]
PULL = [
    "from registry/x", "v1: Pulling from x", "0123456789ab: Pulling fs layer", "0123456789ac: Pulling fs layer",
    "0123456789ad: Already exists", "0123456789ab: Verifying Checksum", "0123456789ab: Download complete",
    "0123456789ab: Pull complete", "0123456789ac: Pull complete", "Digest: sha256:x",
]  # fmt: skip


def test_progress_is_a_plain_line_now_and_then() -> None:
    clock, out = [0.0], io.StringIO()
    progress = Progress(out, lambda: clock[0])
    progress.start("n0")
    for text in PULL:
        clock[0] += 1
        progress.line("n0", text)
    assert out.getvalue().splitlines() == [
        "    [n0] image: 1 of 3 layers, 1 downloaded, 5 s",
        "    [n0] image: 1 of 3 layers, 2 downloaded, 6 s",
        "    [n0] image: 2 of 3 layers, 2 downloaded, 8 s",
        "    [n0] image: 3 of 3 layers, 3 downloaded, 9 s",
    ]


def test_a_silent_pull_is_still_heard_of() -> None:
    clock, out = [0.0], io.StringIO()
    progress = Progress(out, lambda: clock[0])
    progress.start("n0", "loading /srv/x.tar")
    for _ in range(25):
        clock[0] += 1
        progress.tick()
    assert out.getvalue().splitlines() == ["    [n0] image: loading /srv/x.tar, 10 s", "    [n0] image: loading /srv/x.tar, 20 s"]


def test_many_nodes_are_one_line() -> None:
    clock, out = [0.0], io.StringIO()
    progress = Progress(out, lambda: clock[0])
    for n in range(20):
        progress.start(f"n{n}")
        progress.pulls[f"n{n}"].line("0123456789ab: Pull complete")
    progress.pulls["n7"].line("0123456789ac: Pulling fs layer")
    clock[0] = 11
    progress.tick()
    assert out.getvalue() == "image: 20 nodes are pulling, the slowest is n7: 1 of 2 layers, 1 downloaded, 11 s\n"


def test_on_a_terminal_every_node_is_a_row_of_the_live_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "redraws", lambda _: True)
    monkeypatch.setattr(terminal, "BLOCK", Mock())
    progress = Progress(io.StringIO(), lambda: 1.0)
    for node in ("n0", "n1"):
        progress.start(node)
    progress.line("n0", "0123456789ab: Download complete")
    assert progress.live
    assert progress.live.now == {"n0": "image: 0 of 1 layers, 1 downloaded, 0 s (50%)", "n1": "image: asking the registry, 0 s"}
    progress.end("n0")
    terminal.BLOCK.drop.assert_not_called()
    progress.end("n1")
    terminal.BLOCK.drop.assert_called_once()


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["from a/b", "Error response from daemon: manifest for a/b not found: manifest unknown"],
         "a/b: manifest for a/b not found: manifest unknown; the registry has no such tag: correct image or version in the inventory"),
        (["from r:5000/b", "Error response from daemon: http: server gave HTTP response to HTTPS client"],
         'r:5000/b: http: server gave HTTP response to HTTPS client; the registry has no TLS: add it to "docker": {"insecure": [...]} '
         "in the inventory"),
        (["from a/b", "Error: i/o timeout", "from m/b", "Error: no such host"],
         "a/b: Error: i/o timeout; m/b: Error: no such host; "
         "the node has no way to the registry: set proxy, docker mirrors or image_archive in the inventory"),
        (["why /x.tar holds y:1 not a/b"], "/x.tar holds y:1 not a/b"),
        ([], "docker said nothing"),
    ],
)  # fmt: skip
def test_a_failed_pull_says_where_why_and_what_helps(lines: list[str], sentence: str) -> None:
    assert why(lines) == sentence


@pytest.mark.parametrize("file", ["probe.sh", "probe_last.sh", "pull.sh"])
def test_the_scripts_are_plain_shell(file: str) -> None:
    assert subprocess.run(["dash", "-n", str(ROOT / "roles/image" / file)], check=False).returncode == 0


STUB = """#!/bin/sh
echo "$*" >> "$ROOT/calls"
case "$1" in
  pull)
    case " $HAS " in *" $2 "*) exit 0 ;; esac
    echo "Error response from daemon: manifest unknown"
    exit 1 ;;
  load) echo "Loaded image: $HAS" ;;
  image) case " $HAS " in *" ${5:-$3} "*|*" tagged "*) echo "image sha256:1 amd64 1 []" ;; *) exit 1 ;; esac ;;
esac
"""


def pull(root: Path, has: str, **values: str) -> tuple[int, list[str], list[str]]:
    """The script with a stand-in for docker: its code, what it said, what it called."""
    from roles.run import remote

    (root / "bin").mkdir()
    (root / "bin/docker").write_text(STUB)
    (root / "bin/docker").chmod(0o755)
    text = remote.script(ROOT / "roles/image/pull.sh", values={"IMAGE": "a/b:v1", "ARCHIVE": "", "SOURCES": "", **values})
    env = {"PATH": f"{root / 'bin'}:/usr/bin:/bin", "ROOT": str(root), "HAS": has}
    done = subprocess.run(["sh", "-c", text], env=env, capture_output=True, text=True, check=False)
    calls = (root / "calls").read_text().splitlines() if (root / "calls").exists() else []
    return done.returncode, (done.stdout + done.stderr).splitlines(), calls


def test_a_mirrors_image_gets_the_plans_name(tmp_path: Path) -> None:
    code, _, calls = pull(tmp_path, "mirror/b:v1 tagged", SOURCES="a/b:v1 mirror/b:v1")
    assert code == 0
    assert calls[:3] == ["pull a/b:v1", "pull mirror/b:v1", "tag mirror/b:v1 a/b:v1"]


def test_no_source_at_all_says_what_each_one_said(tmp_path: Path) -> None:
    code, said, _ = pull(tmp_path, "", SOURCES="a/b:v1 mirror/b:v1")
    assert code == 1
    assert why(said).startswith("a/b:v1: manifest unknown; mirror/b:v1: manifest unknown; the registry has no such tag")


def test_an_archive_with_another_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.tar").touch()
    code, said, _ = pull(tmp_path, "other:v2", ARCHIVE=str(tmp_path / "x.tar"))
    assert (code, why(said)) == (1, f"{tmp_path}/x.tar holds other:v2 not a/b:v1")


def test_an_archive_that_is_not_there_is_named(tmp_path: Path) -> None:
    code, said, _ = pull(tmp_path, "", ARCHIVE="/no/x.tar")
    assert (code, why(said)) == (1, "there is no file /no/x.tar on this node")
