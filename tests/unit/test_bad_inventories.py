"""A bad inventory gets one sentence that names file and field, exit 2, and no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from roles.plan.__main__ import main
from tests.unit import bad

ROOT = Path(__file__).parents[2]


def refused(path: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    """The one line said about an inventory that must be refused."""
    code = main([str(path), *more])
    out, err = capsys.readouterr()
    assert (code, out) == (2, ""), err
    assert "Traceback" not in err
    lines = err.splitlines()
    assert len(lines) == 1, err
    return lines[0]


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "bad.py"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_there_are_enough_bad_inventories_and_none_is_tested_twice() -> None:
    assert len(bad.ALL) >= 150
    assert len({name for name, _, _ in bad.ALL}) == len({text for _, text, _ in bad.ALL}) == len(bad.ALL)


def test_the_inventory_all_of_them_are_made_from_is_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(write(tmp_path, bad.GOOD))]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("text", "words"), [b[1:] for b in bad.ALL], ids=[b[0] for b in bad.ALL])
def test_a_bad_inventory_gets_one_sentence(
    text: str | bytes, words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, text)
    line = refused(path, capsys)
    assert line.startswith(f"{path}:")
    for word in words:
        assert word in line


def test_every_problem_of_an_inventory_is_said_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, bad.data(privileges="root", firewall="yes", restart="always"))
    assert main([str(path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 3


@pytest.mark.parametrize("name", ["missing.py", "folder", "device"])
def test_what_is_no_file_is_named(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "device").symlink_to("/dev/null")
    assert "expected an inventory file" in refused(tmp_path / name, capsys)


def test_group_data_beside_the_inventory_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "group_data").mkdir()
    assert "expected no group_data" in refused(write(tmp_path, bad.GOOD), capsys)


def test_group_data_in_the_working_folder_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "here" / "group_data").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    assert "expected no group_data" in refused(write(tmp_path / "there", bad.GOOD), capsys)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("model", "expected key=value"),
        ("=x", "expected key=value"),
        ("modle=MiniMax-M2.7", 'did you mean "model"'),
        ("rank=7", '"rank" belongs to one host'),
        ("nic=eth0", '"nic" belongs to one host'),
        ("address=10.0.0.9", "belongs to one host"),
        ("model=MiniMax-M2.8", "did you mean"),
        ("privileges=root", "'seed' or 'least'"),
        ("flags.max-num-seq=1", 'did you mean "max-num-seqs"'),
        ("flags.=1", '"flags." is not a key'),
        ("flags=1", "valid dictionary"),
        ("ports.api=http", "valid integer"),
        ("ports.web=1", '"ports.web" is not a field'),
        ("model.name=x", "has a dot"),
        ("timeouts.ready=NaN", "finite"),
        ("env.HF_TOKEN=x", "no secrets"),
    ],
)
def test_a_bad_setting_of_the_command_line_is_named(setting: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(write(tmp_path, bad.GOOD), capsys, "--set", setting)
    assert line.startswith("--set"), "the command line is to blame, not the file"
    assert words in line


def test_the_command_itself_prints_no_traceback(tmp_path: Path) -> None:
    path = write(tmp_path, "raise KeyError('x')\n")
    done = subprocess.run([sys.executable, "-m", "roles.plan", str(path)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "KeyError" in done.stderr


def test_an_inventory_may_set_pyinfras_config_and_print(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "from pyinfra import config\nconfig.FAIL_PERCENT = 0\nprint('hello')\n" + bad.GOOD)
    assert main([str(path), "--json"]) == 0
    assert capsys.readouterr().out.startswith("{")
