"""The two patches of SGLang on MI300X, made on the real files of the sglang 0.5.7 wheel."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from roles.plan.setup import script
from tests.unit.sources import plan

CACHE = Path(os.environ.get("BRINGUP_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bringup") / "wheels"
INSIDE = "sglang/srt/models/"
PREFIX = "/sgl-workspace/sglang/python/"
LINE = "@torch.compile(dynamic=True, backend=get_compiler_backend())"


@pytest.fixture(scope="session")
def wheel() -> Path:
    """sglang 0.5.7 as PyPI has it, downloaded once."""
    CACHE.mkdir(parents=True, exist_ok=True)
    found = list(CACHE.glob("sglang-0.5.7-*.whl"))
    if not found:
        pip = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]
        done = subprocess.run([*pip, "-d", str(CACHE), "sglang==0.5.7"], capture_output=True, text=True, check=False)
        found = list(CACHE.glob("sglang-0.5.7-*.whl"))
        if not found:
            pytest.skip(f"the sglang 0.5.7 wheel cannot be downloaded: {done.stderr.strip().splitlines()[-1:]}")
    return found[0]


@pytest.fixture
def tree(wheel: Path, tmp_path: Path) -> Path:
    """The two files where the image has them, under a temporary root."""
    root = tmp_path / "image"
    with zipfile.ZipFile(wheel) as z:
        for name in ("transformers.py", "minimax_m2.py"):
            z.extract(INSIDE + name, root)
    return root


def patches(root: Path) -> list[dict[str, Any]]:
    """The recipe's patches, aimed at the temporary root."""
    chosen = plan("sglang/mi300x-tp8-ep8").replicas[0].nodes[0].setup
    return [{k: v.replace(PREFIX, f"{root}/") if isinstance(v, str) else v for k, v in p.items()} for p in chosen]


def run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    words = ["sh", "-s", "--", *(command or ("echo", "engine started"))]
    return subprocess.run(words, input=script(patches(root)), capture_output=True, text=True, check=False)


def test_the_recipe_has_the_pages_two_patches() -> None:
    rename, comment = plan("sglang/mi300x-tp4").replicas[0].nodes[0].setup
    assert (rename["file"], rename["to"]) == (f"{PREFIX}{INSIDE}transformers.py", f"{PREFIX}{INSIDE}hf_transformers_model.py")
    assert (comment["file"], comment["line"]) == (f"{PREFIX}{INSIDE}minimax_m2.py", LINE)


def test_both_patches_are_made_and_the_engine_starts(tree: Path) -> None:
    models = tree / INSIDE
    before = (models / "minimax_m2.py").read_text().splitlines()
    assert sum(line.strip() == LINE for line in before) == 1
    done = run(tree)
    assert (done.returncode, done.stdout) == (0, "engine started\n"), done.stderr
    assert sorted(p.name for p in models.iterdir()) == ["hf_transformers_model.py", "minimax_m2.py"]
    after = (models / "minimax_m2.py").read_text().splitlines()
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert [(a.strip(), b.strip()) for a, b in changed] == [(LINE, f"# {LINE}")]
    ast.parse("\n".join(after))


def test_a_second_start_changes_nothing(tree: Path) -> None:
    run(tree)
    first = {p.name: p.read_bytes() for p in (tree / INSIDE).iterdir()}
    done = run(tree)
    assert done.returncode == 0
    assert {p.name: p.read_bytes() for p in (tree / INSIDE).iterdir()} == first
    assert done.stderr.count("already") == 2


def refused(tree: Path, words: str) -> None:
    done = run(tree)
    assert (done.returncode, done.stdout) == (78, "")
    assert words in done.stderr
    assert "not the image the patch was verified on" in done.stderr


def test_a_file_that_is_missing_refuses_to_start(tree: Path) -> None:
    (tree / INSIDE / "transformers.py").unlink()
    refused(tree, "transformers.py is missing")


def test_both_names_present_refuses_to_start(tree: Path) -> None:
    (tree / INSIDE / "hf_transformers_model.py").write_text("x = 1\n")
    refused(tree, "both exist")


def test_a_line_that_is_not_there_refuses_to_start(tree: Path) -> None:
    path = tree / INSIDE / "minimax_m2.py"
    path.write_text(path.read_text().replace(LINE, "@torch.compile(dynamic=False)"))
    refused(tree, "0 times, expected once")


def test_a_line_that_stands_twice_refuses_to_start(tree: Path) -> None:
    path = tree / INSIDE / "minimax_m2.py"
    path.write_text(path.read_text() + f"\n{LINE}\ndef f(): pass\n")
    refused(tree, "2 times, expected once")


def test_a_patched_container_gets_the_script_read_only() -> None:
    n = plan("sglang/mi300x-tp4").replicas[0].nodes[0]
    assert "/etc/bringup/test/r0.entrypoint.sh:/bringup/entrypoint.sh:ro" in n.mounts
    at = n.run_argv.index(str(n.image))
    assert n.run_argv[at + 1 : at + 4] == ["/bin/sh", "/bringup/entrypoint.sh", "python3"]
    assert plan("sglang/nvidia-tp4").replicas[0].nodes[0].setup == []
