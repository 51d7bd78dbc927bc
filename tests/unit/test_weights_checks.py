"""One fault in a folder, one finding: which check says it, on which node, and whether prepare cures it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from roles.plan.finding import Finding
from roles.plan.plan import Plan
from roles.run import checks
from roles.run.checks import Case
from roles.run.seen import Section, Seen
from roles.weights import role
from tests.unit.sources import plan
from tests.unit.test_weights_probe import checkpoint, look, record, shard

N1, N2 = "10.0.0.11", "10.0.0.12"
FP8 = {"quantization_config": {"quant_method": "fp8"}, "max_position_embeddings": 196608}


@dataclass
class Pair:
    """Two nodes whose folders lie at one path: a link that is turned to the node that is asked."""

    root: Path
    plan: Plan

    @property
    def path(self) -> Path:
        return self.root / "models"

    def on(self, node: str) -> Path:
        return self.root / node

    def seen(self) -> dict[str, Seen]:
        found = {}
        for node in (N1, N2):
            self.path.unlink(missing_ok=True)
            self.path.symlink_to(self.on(node))
            found[node] = look(self.path, self.root / f"{node}.state", node)
        return found

    def hashed(self, node: str, **changed: str) -> None:
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(self.on(node))
        record(self.path, self.root / f"{node}.state", **changed)


def pair_of(root: Path, recipe: str = "lab/a2-dual", config: dict[str, object] | None = None, **keys: object) -> Pair:
    pair = Pair(root, plan(recipe, weights=str(root / "models"), **keys))
    for node in (N1, N2):
        checkpoint(pair.on(node), **(config or {}))
    return pair


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return pair_of(tmp_path)


def judged(pair: Pair, seen: dict[str, Seen] | None = None) -> list[Finding]:
    return [f for f in checks.judge(pair.plan, seen or pair.seen()) if f.check.startswith("weights.")]


def brief(findings: list[Finding]) -> list[str]:
    marks = {"fail": "!", "warn": "?"}
    return sorted(f"{'n1' if f.node == N1 else 'n2'} {f.check[8:]}{marks[f.level]}" for f in findings if f.level in marks)


def jobs(pair: Pair, seen: dict[str, Seen] | None = None) -> list[str]:
    all_of_them = seen or pair.seen()
    found = []
    for name, one in all_of_them.items():
        replica, node = pair.plan.node(name)
        found += [
            f"{'n1' if name == N1 else 'n2'} {c.what.split()[0]}" for c in role.wanted(Case(pair.plan, replica, node, one, all_of_them))
        ]
    return found


def test_two_whole_checkpoints_say_nothing_and_want_their_hashes_once(pair: Pair) -> None:
    assert brief(judged(pair)) == []
    assert jobs(pair) == ["n1 hash", "n2 hash"]
    pair.hashed(N1)
    pair.hashed(N2)
    assert brief(judged(pair)) == []
    assert jobs(pair) == []
    assert "6 files have the same hashes" in next(f.observed for f in judged(pair) if f.check == "weights.same" and f.node == N2)


Damage = Callable[[Path], object]


def edited(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    config = {k: v for k, v in {**config, **changes}.items() if v is not None}
    (folder / "config.json").write_text(json.dumps(config))


FAULTS: list[tuple[str, Damage, list[str], list[str]]] = [
    ("the folder is missing", lambda f: shutil.rmtree(f), ["n2 present?"], ["n1 hash", "n2 copy"]),
    ("the folder is empty", lambda f: [p.unlink() for p in f.iterdir()], ["n2 present?"], ["n1 hash", "n2 copy"]),
    ("a shard is missing", lambda f: (f / shard(2)).unlink(), ["n2 index?"], ["n1 hash", "n2 copy"]),
    ("a shard is cut short", lambda f: os.truncate(f / shard(2), 600), ["n2 index?"], ["n1 hash", "n2 copy"]),
    ("the tokenizer is missing", lambda f: (f / "tokenizer.json").unlink(), ["n2 index?"], ["n1 hash", "n2 copy"]),
    ("config.json is missing", lambda f: (f / "config.json").unlink(), ["n2 index?"], ["n1 hash", "n2 copy"]),
    ("the index is missing", lambda f: (f / "model.safetensors.index.json").unlink(), ["n2 index?"], ["n1 hash", "n2 copy"]),
    ("a file differs in size", lambda f: (f / "tokenizer.json").write_text("{ }"), ["n2 same!"], ["n1 hash"]),
    ("a file more", lambda f: (f / "extra.json").write_text("{}"), ["n2 same?"], ["n1 hash", "n2 hash"]),
    ("papers may differ", lambda f: (f / "README.md").write_text("other"), [], ["n1 hash", "n2 hash"]),
    ("an unfinished copy", lambda f: checkpoint(f / ".bringup-part"), [], ["n1 hash", "n2 hash"]),
    ("another model", lambda f: edited(f, architectures=["QwenForCausalLM"]), ["n2 config!", "n2 same!"], ["n1 hash"]),
]


@pytest.mark.parametrize(("damage", "found", "todo"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_one_fault_on_one_node_gives_exactly_its_finding(pair: Pair, damage: Damage, found: list[str], todo: list[str]) -> None:
    damage(pair.on(N2))
    assert brief(judged(pair)) == found
    assert jobs(pair) == todo


def test_every_finding_that_prepare_cures_says_so(pair: Pair) -> None:
    (pair.on(N2) / shard(2)).unlink()
    (finding,) = [f for f in judged(pair) if f.level == "warn"]
    assert finding.fix.startswith("pyinfra INVENTORY deploy/prepare.py (copy 1 of 6 files of")
    assert f"from {N1}" in finding.fix
    assert finding.observed.endswith(f"lacks {shard(2)}")


def test_a_byte_that_only_the_hash_knows_is_found_when_both_were_hashed(pair: Pair) -> None:
    pair.hashed(N1)
    pair.hashed(N2, **{shard(1): "b" * 64})
    (finding,) = [f for f in judged(pair) if f.level == "fail"]
    assert finding.check == "weights.same"
    assert f"{shard(1)} differ between {N2} and {N1}" in finding.observed


def test_config_and_index_are_compared_before_anything_was_hashed(pair: Pair) -> None:
    text = (pair.on(N2) / "config.json").read_text()
    (pair.on(N2) / "config.json").write_text(text.replace("32768", "32769"))
    assert brief(judged(pair)) == ["n2 same!"]


def test_nobody_has_it_and_no_hub_is_known(pair: Pair) -> None:
    for node in (N1, N2):
        shutil.rmtree(pair.on(node))
    assert brief(judged(pair)) == ["n1 present!", "n2 present!"]
    assert jobs(pair) == []
    fix = next(f.fix for f in judged(pair) if f.level == "fail")
    assert fix.startswith("copy it to ")


def test_nobody_has_all_of_it_and_no_hub_is_known(pair: Pair) -> None:
    for node in (N1, N2):
        os.truncate(pair.on(node) / shard(1), 600)
    assert brief(judged(pair)) == ["n1 index!", "n2 index!"]
    assert "is cut short (600 of" in next(f.observed for f in judged(pair) if f.level == "fail")


def roomy(seen: Seen, free: int, system: str = "ext4", source: str = "/dev/sda", **other: str) -> Seen:
    """The same node on another disk."""
    section = seen["weights.main.place"]
    lines = [line for line in section.lines if line.partition("=")[0] not in ("room", *other)]
    lines += [f"room={free} {system} {source}", *(f"{k}={v}" for k, v in other.items())]
    return replace(seen, sections={**seen.sections, "weights.main.place": Section(section.name, 0, tuple(lines))})


def test_nobody_has_it_and_a_hub_has(tmp_path: Path) -> None:
    pair = pair_of(tmp_path, "vllm-ascend/a2-dual", FP8)
    for node in (N1, N2):
        shutil.rmtree(pair.on(node))
    seen = {n: roomy(s, 10**12) for n, s in pair.seen().items()}
    assert brief(judged(pair, seen)) == ["n1 present?", "n2 present?"]
    assert jobs(pair, seen) == ["n1 download", "n2 copy"]
    assert "MiniMaxAI/MiniMax-M2.5 from Hugging Face" in next(f.fix for f in judged(pair, seen) if f.level == "warn")


def test_the_node_that_has_most_of_it_downloads(tmp_path: Path) -> None:
    pair = pair_of(tmp_path, "vllm-ascend/a2-dual", FP8)
    shutil.rmtree(pair.on(N1))
    (pair.on(N2) / shard(1)).unlink()
    assert jobs(pair, {n: roomy(s, 10**12) for n, s in pair.seen().items()}) == ["n1 copy", "n2 download"]


CONFIGS = [
    ("vllm-ascend/a2-dual", "MiniMax-M2.5", FP8, {}, []),
    ("vllm-ascend/a2-dual", "MiniMax-M2.5", {**FP8, "quantization_config": None}, {}, ["config!"]),
    ("vllm-ascend/a2-dual", "MiniMax-M2.5", {**FP8, "max_position_embeddings": 131072}, {}, ["config?"]),
    ("vllm-ascend/a2-dual", "MiniMax-M2.5", FP8, {"quant_model_description.json": "{}"}, ["config!"]),
    ("lab/a2-dual", "MiniMax-M2-lab", {"max_position_embeddings": 1024}, {}, ["config?"]),
    ("lab/a2-dual", "MiniMax-M2-lab", FP8, {}, ["config!"]),
]


@pytest.mark.parametrize(("recipe", "model", "config", "files", "found"), CONFIGS)
def test_the_format_and_the_context_are_those_of_the_plan(
    tmp_path: Path, recipe: str, model: str, config: dict[str, object], files: dict[str, str], found: list[str]
) -> None:
    pair = pair_of(tmp_path, recipe, model=model)
    for node in (N1, N2):
        edited(pair.on(node), **config)
        for name, text in files.items():
            (pair.on(node) / name).write_text(text)
    assert brief(judged(pair)) == [f"{n} {f}" for n in ("n1", "n2") for f in found]


def test_a_context_longer_than_the_model_allows_is_refused(tmp_path: Path) -> None:
    pair = pair_of(tmp_path, flags={"max-model-len": 40000})
    assert brief(judged(pair)) == ["n1 config!", "n2 config!"]


@pytest.mark.parametrize(
    ("config", "described", "found"),
    [
        ({}, True, ""),
        ({}, False, "no quant_model_description.json"),
        (FP8, False, "config.json says fp8 and there is no quant_model_description.json (an upload of that kind: VA#9894)"),
        (FP8, True, "config.json says fp8 (an upload of that kind: VA#9894)"),
    ],
)
def test_w8a8_weights_that_still_say_fp8_are_refused(tmp_path: Path, config: dict[str, object], described: bool, found: str) -> None:
    path = checkpoint(tmp_path / "m", max_position_embeddings=196608)
    edited(path, **config)
    if described:
        (path / "quant_model_description.json").write_text("{}")
    made = plan("vllm-ascend/a2-single", weights=str(path))
    findings = checks.judge(made, {N1: look(path, tmp_path, N1)})
    said = [f.observed for f in findings if f.check == "weights.config" and f.level == "fail"]
    assert [found in s for s in said] == ([True] if found else [])


def test_a_whole_model_is_no_draft_head(tmp_path: Path) -> None:
    path, draft = checkpoint(tmp_path / "m", **FP8), checkpoint(tmp_path / "d", num_hidden_layers=62)
    made = plan("vllm-ascend/a3", weights=str(path), draft=str(draft), variants=None)
    seen = {N1: look(path, tmp_path, N1, draft=str(draft))}
    found = [f for f in checks.judge(made, seen) if f.check == "weights.config" and f.level == "fail"]
    assert ["is a whole model of 62 layers" in f.observed for f in found] == [True]
    edited(draft, architectures=["Eagle3LlamaForCausalLM"], num_hidden_layers=1)
    seen = {N1: look(path, tmp_path, N1, draft=str(draft))}
    assert not [f for f in checks.judge(made, seen) if f.check == "weights.config" and f.level == "fail"]


def test_a_draft_head_comes_from_its_own_repository(tmp_path: Path) -> None:
    path, draft = checkpoint(tmp_path / "m", **FP8), tmp_path / "draft"
    made = plan("vllm-ascend/a3", weights=str(path), draft=str(draft))
    seen = {N1: look(path, tmp_path, N1, draft=str(draft))}
    (replica, node), case = made.node(N1), None
    case = Case(made, replica, node, seen[N1], seen)
    assert [c.what.split(" into ")[0] for c in role.wanted(case)] == [
        f"hash 6 files of {path}, {role.wanted(case)[0].what.split(', ')[1]}, for its manifest",
        "download vllm-ascend/MiniMax-M2.5-eagel-model-0318 from ModelScope",
    ]


def test_a_node_that_was_not_reached_says_nothing_here(pair: Pair) -> None:
    seen = {**pair.seen(), N2: Seen(N2, problem="not reached by SSH")}
    assert brief(judged(pair, seen)) == []
    assert jobs(pair, {N1: seen[N1]}) == ["n1 hash"]
