"""The page that every verb leaves: after success, after a finding, after Ctrl-C, and what changed since the run before."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

from tests.fake.test_verbs import PYINFRA, ROOT, inventory, run


def folders(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "runs" / "fakes").iterdir(), key=lambda p: (p / "plan.json").stat().st_mtime_ns)


def test_a_check_leaves_its_page_and_the_next_run_shows_what_changed(tmp_path: Path) -> None:
    file = inventory(tmp_path)
    code, text, _ = run("check", file)
    assert code == 0
    (first,) = folders(tmp_path)
    assert f"report: {first / 'report.html'}" in text
    assert "No earlier run of this cluster" in (first / "report.html").read_text()
    code, _, _ = run("serve", file, "--dry", "--data", "flags.max-num-seqs=3")
    assert code == 0
    page = (folders(tmp_path)[-1] / "report.html").read_text()
    assert "Dry run" in page
    assert f"Changed since <code>{first.name}</code>" in page
    assert "--max-num-seqs: " in page
    assert "changes that would be made" in page
    assert " --dry --data flags.max-num-seqs=3" in page


def test_a_finding_that_blocks_is_the_pages_first_sentence(tmp_path: Path) -> None:
    code, _, _ = run("serve", inventory(tmp_path, changed=("operstate=up", "operstate=down")), "-y")
    assert code == 1
    page = (folders(tmp_path)[-1] / "report.html").read_text()
    assert '<p class="sentence">@fake/n1: check network.nic: enp67s0f0np0 is down.</p>' in page


def test_ctrl_c_leaves_a_page_too(tmp_path: Path) -> None:
    file = inventory(tmp_path)
    file.write_text(file.read_text(encoding="utf-8").replace("'fake_delay': 0", "'fake_delay': 30"), encoding="utf-8")
    runs = tmp_path / "runs"
    words = [str(PYINFRA), str(file), str(ROOT / "deploy" / "check.py"), "--data", f"runs={runs}"]
    with subprocess.Popen(
        words, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        for _ in range(600):
            if list(runs.glob("fakes/*/events.jsonl")):
                break
            time.sleep(0.1)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    (folder,) = folders(tmp_path)
    assert f"report: {folder / 'report.html'}" in said
    page = (folder / "report.html").read_text()
    assert "Interrupted by the user before it was done." in page
    assert "not ended" in page


def test_sixty_four_nodes_are_a_page_that_can_be_read(tmp_path: Path) -> None:
    code, _, _ = run("check", inventory(tmp_path, replicas=32))
    assert code == 0
    page = folders(tmp_path)[-1] / "report.html"
    assert page.stat().st_size < 400_000
    assert "all 64 nodes" in page.read_text()
