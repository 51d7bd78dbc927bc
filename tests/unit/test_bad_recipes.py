"""A broken recipe, engine, machine or model file gets one sentence that names file and field."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from roles.plan.errors import PlanError
from roles.plan.library import FILES, Library
from roles.plan.plan import make
from tests.unit.sources import source

DUAL = "extends: vllm-ascend/a2-dual\n"
MINIMAL = """\
title: t
source: s
engine: vllm
hardware: nvidia
nodes: {min: 1, max: 1}
formats: [fp8]
models: [MiniMax-M2.5]
flags: {tensor-parallel-size: 4}
ports: {api: 8000}
verify: {}
image: {repository: r/x, tag: v0.32.0}
"""
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{c}: &{c} [{', '.join([f'*{p}'] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)
)

RECIPES = [
    ("empty", "", ("is empty", "a mapping of fields")),
    ("only a comment", "# later\n", ("is empty",)),
    ("a list", "- a\n- b\n", ("holds ['a', 'b']", "a mapping")),
    ("a text", "hello\n", ("holds 'hello'",)),
    ("not yaml", "a: [1, 2\n", ("line 2", "expected plain YAML")),
    ("a tab", "a:\n\tb: 1\n", ("line 2", "expected plain YAML")),
    ("python object", "!!python/object/apply:os.system ['true']\n", ("line 1", "expected plain YAML")),
    ("not utf-8", b"title: \xff\n", ("byte 7 is not UTF-8",)),
    ("an alias bomb", BOMB, ("line 2", "alias")),
    ("one alias", "a: &x 1\nb: *x\n", ("line 2", "alias")),
    ("merge key", DUAL + "env: {<<: {A: 1}}\n", ("line 2", "merge key")),
    ("deep nesting", "a: " + "[" * 3000 + "]" * 3000 + "\n", ("nested too deep",)),
    ("a key twice", MINIMAL + "title: again\n", ("'title' stands twice",)),
    ("a key that is a number", MINIMAL + "7: x\n", ("key 7 is not text",)),
    ("a key that is a list", MINIMAL + "[a, b]: x\n", ("is not text",)),
    ("too large", "# " + "x" * 300_000, ("at most",)),
    ("two documents", MINIMAL + "---\na: 1\n", ("expected plain YAML",)),
    ("an unknown field", DUAL + "flgas: {}\n", ('"flgas" is not a field', 'did you mean "flags"')),
    ("no title", MINIMAL.replace("title: t\n", ""), ('"title" is missing', "one line for people")),
    ("no flags", MINIMAL.replace("flags: {tensor-parallel-size: 4}\n", ""), ('"flags" is missing',)),
    ("no ports", MINIMAL.replace("ports: {api: 8000}\n", ""), ('"ports" is missing',)),
    ("title is a list", MINIMAL.replace("title: t", "title: [t]"), ('"title"', "valid string")),
    ("formats is text", MINIMAL.replace("[fp8]", "fp8"), ('"formats"', "valid list")),
    ("nodes is a number", MINIMAL.replace("{min: 1, max: 1}", "1"), ('"nodes"',)),
    ("nodes below one", MINIMAL.replace("{min: 1, max: 1}", "{min: 0}"), ('"nodes.min" is 0',)),
    ("port is text", MINIMAL.replace("8000", "http"), ('"ports.api"', "valid integer")),
    ("port unknown", MINIMAL.replace("{api: 8000}", "{web: 8000}"), ('"ports.web',)),
    ("an unknown engine", MINIMAL.replace("engine: vllm", "engine: vlm"), ('"engine" is \'vlm\'', 'did you mean "vllm"')),
    ("an unknown machine", MINIMAL.replace("nvidia", "nvidea"), ('"hardware" is \'nvidea\'', 'did you mean "nvidia"')),
    ("extends nothing", "extends: vllm-ascend/none\n", ('"extends" is \'vllm-ascend/none\'',)),
    ("extends itself", "extends: mine/x\n", ("mine/x -> mine/x", "without a circle")),
    ("extends outside", "extends: ../../../etc/passwd\n", ('"extends"',)),
    ("extends a number", "extends: 3\n", ('"extends" is 3',)),
    ("extends a map", "extends: {a: 1}\n", ('"extends"',)),
    ("a flag without value", DUAL + "flags: {seed: {why: x}}\n", ('"flags.seed.value" is missing',)),
    ("a flag with a typo inside", DUAL + "flags: {seed: {value: 1, wyh: x}}\n", ('"flags.seed.wyh" is not a field', 'did you mean "why"')),
    ("an unknown fact", DUAL + "flags: {seed: {value: 1, when: [draught]}}\n", ('"flags.seed.when', "draft")),
    ("an unknown rank", DUAL + "flags: {seed: {value: 1, on: last}}\n", ('"flags.seed.on"', "first")),
    ("an unknown name", DUAL + 'flags: {seed: {value: "${sead}"}}\n', ("flags.seed", "${sead}", "is not known")),
    ("a name that needs a key", DUAL + 'flags: {seed: {value: "${draft}"}}\n', ("${draft} is not known here",)),
    ("a bad version", DUAL + "flags: {seed: {value: 1, since: soon}}\n", ('"flags.seed.since"',)),
    ("a version that is a number", DUAL + "flags: {seed: {value: 1, since: 0.18}}\n", ('"flags.seed.since"', "valid string")),
    ("setup half said", DUAL + "setup: [{do: rename, file: /a, versions: ==0.18.0, why: x}]\n", ('"setup.0"', "`to` for a rename")),
    ("setup of two kinds", DUAL + "setup: [{do: rename, file: /a, to: /b, line: x, versions: ==0.18.0, why: x}]\n", ('"setup.0"',)),
    ("setup with a bad range", DUAL + "setup: [{do: rename, file: /a, to: /b, versions: newest, why: x}]\n", ('"setup.versions"', "==0.5.7")),
    ("setup with a relative file", DUAL + "setup: [{do: rename, file: a, to: /b, versions: ==1.0, why: x}]\n", ('"setup.0.file"',)),
    ("shm without a unit", DUAL + 'shm: "12"\n', ('"shm"',)),
    ("bench of an unknown tool", DUAL + "bench: {b: {tool: wrk}}\n", ('"bench.b.tool"', "vllm-bench")),
    ("reference of a workload without a length", DUAL + "bench: {b: {tool: script, reference: {source: s, hardware: h, model: m, metrics: {x: 1.0}, setup: {engine: e, machine: m, accelerators: 8}, workload: {output: 1, concurrency: 1, prompts: 1}}}}\n", ('"bench.b.reference.workload.input"', "missing")),
    ("reference without figures", DUAL + "bench: {b: {tool: script, reference: {source: s, hardware: h, model: m, setup: {engine: e, machine: m, accelerators: 8}, workload: {input: 1, output: 1, concurrency: 1, prompts: 1}}}}\n", ('"bench.b.reference.metrics" is missing',)),
    ("a request without a path", DUAL + "verify: {v: {body: {}}}\n", ('"verify.v.path" is missing',)),
    ("a variant with a typo", DUAL + "variants: {v: {why: x, flag: {}}}\n", ('"variants.v.flag" is not a field', 'did you mean "flags"')),
]  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> Path:
    shutil.copytree(FILES, tmp_path / "files")
    (tmp_path / "files" / "recipes" / "mine").mkdir()
    return tmp_path / "files"


def said(files: Path) -> str:
    with pytest.raises(PlanError) as caught:
        make(source("mine/x", 2), lib=Library(files))
    assert len(caught.value.problems) == 1, caught.value.problems
    return caught.value.problems[0]


@pytest.mark.parametrize(("text", "words"), [r[1:] for r in RECIPES], ids=[r[0] for r in RECIPES])
def test_a_broken_recipe_gets_one_sentence(text: str | bytes, words: tuple[str, ...], files: Path) -> None:
    (files / "recipes" / "mine" / "x.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    line = said(files)
    assert line.startswith("files/recipes/mine/x.yaml"), line
    for word in words:
        assert word in line


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("engines/vllm-ascend.yaml", "title: x\n", '"command" is missing'),
        ("engines/options/vllm.yaml", "engine: vllm\nversion: []\n", '"version" is not a field'),
        ("hardware/atlas-a2.yaml", "title: x\nvendor: acme\ndevices: 8\narch: aarch64\n", '"vendor" is'),
        ("models/minimax-m2.5.yaml", "name: M\n", '"family" is missing'),
        ("models/extra.yaml", "", "is empty"),
    ],
)
def test_a_broken_data_file_is_named(file: str, text: str, words: str, files: Path) -> None:
    (files / file).write_text(text)
    with pytest.raises(PlanError) as caught:
        make(source("vllm-ascend/a2-dual"), lib=Library(files))
    assert f"files/{file}" in caught.value.problems[0]
    assert words in "\n".join(caught.value.problems)


def test_a_bad_pattern_in_an_engine_is_named(files: Path) -> None:
    path = files / "engines" / "vllm.yaml"
    path.write_text(path.read_text().replace("Application startup complete", "Application (startup"))
    with pytest.raises(PlanError, match="regular expression"):
        make(source("vllm-ascend/a2-dual"), lib=Library(files))


def test_on_and_off_and_dates_are_text_as_in_yaml_1_2(files: Path) -> None:
    (files / "recipes" / "mine" / "x.yaml").write_text(DUAL + "flags: {seed: on, dtype: 2026-11-20, load-format: 1:30}\n")
    argv = make(source("mine/x", 2), lib=Library(files)).replicas[0].nodes[0].serve_argv
    assert [argv[argv.index(f) + 1] for f in ("--seed", "--dtype", "--load-format")] == ["on", "2026-11-20", "1:30"]
