"""Command lines of the double: refused and accepted as the real parsers do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.double import options
from tests.lab.double.argv import Layout, Refused, layout
from tests.unit.sources import plan

TABLE = Path(__file__).parents[2] / "files" / "engines" / "options" / "vllm.yaml"


@pytest.mark.parametrize(
    ("version", "words", "refused"),
    [
        ("0.18.0", ["--max-num-seqs", "4", "--mm_processor_cache_type", "shm", "-O3", "--compilation-config.level", "3"], ""),
        ("0.18.0", ["--maxnumseqs", "4"], "vllm: error: unrecognized arguments: --maxnumseqs 4"),
        ("0.18.0", ["--max-num", "4"], "vllm serve: error: ambiguous option: --max-num could match --max-num-batched-tokens,"),
        ("0.18.0", ["--no-enable-expert-parallel", "--tensor-par", "2", "-asc", "1"], ""),
        ("0.18.0", ["--no-headless"], "vllm: error: unrecognized arguments: --no-headless"),
        ("0.11.0", ["--attention-backend", "x"], "vllm: error: unrecognized arguments: --attention-backend x"),
        ("0.18.0", ["--headless", "--api-server-count", "1"], "cannot be used with --headless"),
        ("0.18.0", ["--port"], "argument --port: expected one argument"),
        ("0.18.0", ["--port", "1", "2"], "vllm: error: unrecognized arguments: 2"),
        ("0.18.0", ["--served-model-name", "a", "b"], ""),
        ("0.18.0", ["--port", "x"], "argument --port: invalid int value: 'x'"),
        ("0.18.0", ["--compilation-config", "{x"], "argument --compilation-config: Value {x cannot be converted"),
    ],
)
def test_options_are_refused_as_the_real_parser_does(version: str, words: list[str], refused: str) -> None:
    env = {"DOUBLE_VERSION": version, "DOUBLE_OPTIONS": str(TABLE)}
    if not refused:
        assert isinstance(layout(["/m", *words], env), Layout)
        return
    with pytest.raises(Refused) as error:
        layout(["/m", *words], env)
    assert refused in str(error.value)


@pytest.mark.parametrize(
    "recipe", ["vllm-ascend/a2-dual", "vllm-ascend/a3", "vllm/nvidia-dp8-ep", "vllm/rocm-mi300x", "vllm-ascend/a3-long-context"]
)
def test_the_plans_commands_are_accepted(recipe: str) -> None:
    made = plan(recipe)
    for node in made.replicas[0].nodes:
        layout(node.serve_argv[2:], {"DOUBLE_OPTIONS": str(TABLE), "DOUBLE_VERSION": made.version})


def test_releases_are_in_order() -> None:
    releases = ["0.9", "0.18.0rc1", "0.18.0", "0.18.0.post1", "0.20.2rc1", "0.20.2", "1"]
    assert sorted(releases, key=options.order) == releases
