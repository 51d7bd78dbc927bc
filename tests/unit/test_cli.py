"""python -m roles.plan: readable, explained, as JSON, as a difference."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from roles.plan.__main__ import main
from tests.unit import bad

ROOT = Path(__file__).parents[2]
A2 = str(ROOT / "inventories" / "a2.py")


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(list(argv)) == 0
    return capsys.readouterr().out


def test_the_plan_reads_as_one_flag_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, A2)
    assert "        --max-num-seqs 128\n" in out
    assert "any -> 10.0.0.11  tcp 20004" in out
    assert "10.0.0.12 -> 10.0.0.11  tcp 1-65535  (among them 2347, 60000-60031, 27431)" in out
    assert out.index("listen") < out.index("reach") < out.index("prove")


def test_explain_gives_the_reason_and_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, A2, "--explain")
    (line,) = {x.strip() for x in out.splitlines() if x.strip().startswith("--data-parallel-start-rank")}
    assert "never on rank 0" in line
    assert "[VL PR#47692" in line


def test_every_flag_and_variable_that_is_not_obvious_has_a_reason() -> None:
    from roles.plan.library import library

    obvious = {
        "port",
        "host",
        "tensor-parallel-size",
        "max-num-seqs",
        "max-num-batched-tokens",
        "max-model-len",
        "gpu-memory-utilization",
        "seed",
        "data-parallel-size",
    }
    for name in library().recipes():
        recipe = library().recipe(name, "test")
        for flag, setting in {**recipe.flags, **recipe.env, **recipe.launch}.items():
            assert setting.why or flag in obvious, f"{name}: {flag}"


def test_every_field_of_every_data_file_is_documented() -> None:
    from pydantic import BaseModel

    from roles.plan import keys, options, recipe

    models = [m for module in (keys, options, recipe) for m in vars(module).values() if isinstance(m, type) and issubclass(m, BaseModel)]
    assert len(models) > 15
    for model in models:
        for name, info in model.model_fields.items():
            assert info.description, f"{model.__name__}.{name}"


def test_json_is_the_whole_plan(capsys: pytest.CaptureFixture[str]) -> None:
    made = json.loads(said(capsys, A2, "--json"))
    assert made["cluster"] == "a2"
    assert [n["name"] for n in made["replicas"][0]["nodes"]] == ["10.0.0.11", "10.0.0.12"]


def test_a_saved_plan_and_an_inventory_can_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = tmp_path / "before.json"
    saved.write_text(said(capsys, A2, "--json"))
    assert said(capsys, A2, "--diff", str(saved)) == "no difference: the same would run\n"
    assert said(capsys, A2, "--diff", A2) == "no difference: the same would run\n"
    out = said(
        capsys, A2, "--diff", str(saved), "--set", "flags.max-num-seqs=64", "--set", "env.HCCL_BUFFSIZE=null", "--set", "version=0.20.2rc1"
    )
    for line in (
        "version: 0.18.0 -> 0.20.2rc1",
        "node 10.0.0.11",
        "  image: quay.io/ascend/vllm-ascend:v0.18.0 -> quay.io/ascend/vllm-ascend:v0.20.2rc1",
        "  - env HCCL_BUFFSIZE=1024",
        "  ~ --max-num-seqs: 128 -> 64",
    ):
        assert f"{line}\n" in out


def test_a_difference_names_nodes_that_come_and_go(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.py"
    other.write_text(bad.host(name="10.0.0.99", address="10.0.0.99"))
    base = tmp_path / "base.py"
    base.write_text(bad.GOOD)
    out = said(capsys, str(other), "--diff", str(base))
    assert "- node 10.0.0.12 leaves\n+ node 10.0.0.99 joins replica r0 as rank 1\n" in out


def test_privileges_and_devices_show_in_a_difference(capsys: pytest.CaptureFixture[str]) -> None:
    assert "  - docker --privileged" in said(capsys, A2, "--diff", A2, "--set", "privileges=least")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"cluster": 1}',
        '{"cluster":"a","recipe":"b","model":"c","engine":"d","version":"e","hash":"f","replicas":[{}]}',
        "[" * 100_000,
    ],
)
def test_what_is_no_saved_plan_is_named(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    assert main([A2, "--diff", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{path}: ")


def test_a_reader_that_leaves_early_is_no_error() -> None:
    line = f"{sys.executable} -m roles.plan inventories/a2.py | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_shows_how_to_use_it() -> None:
    done = subprocess.run([sys.executable, "-m", "roles.plan", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "examples:" in done.stdout
    assert "--explain" in done.stdout
