"""The lab's engine without an engine: its checkpoints, byte for byte, and what its plugin decides by itself."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.engine import checkpoints, wheels
from tests.lab.engine.checkpoints import ANSWER, ARGUMENTS, NAMES
from tests.lab.engine.plugin import bringup_lab_vllm as plugin
from tests.lab.engine.plugin.bringup_lab_vllm import devices

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "tests" / "lab" / "engine"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    checkpoints.make(folder)
    return folder


def _read(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data


def _header(path: Path) -> tuple[dict[str, Any], bytes]:
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def _tensor(folder: Path, name: str) -> list[list[float]]:
    """A bfloat16 matrix, widened by two zero bytes."""
    header, data = _header(folder / _read(folder / "model.safetensors.index.json")["weight_map"][name])
    rows, columns = header[name]["shape"]
    start, end = header[name]["data_offsets"]
    wide = b"".join(b"\0\0" + data[at : at + 2] for at in range(start, end, 2))
    values = struct.unpack(f"<{rows * columns}f", wide)
    return [list(values[row * columns : (row + 1) * columns]) for row in range(rows)]


def test_two_makes_give_the_same_bytes(made: Path, tmp_path: Path) -> None:
    checkpoints.make(tmp_path)
    first = {p.relative_to(made): p.read_bytes() for p in made.rglob("*") if p.is_file()}
    assert {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == first
    assert not [p for p in made.iterdir() if p.name not in NAMES]


@pytest.mark.parametrize("name", NAMES)
def test_three_shards_hold_what_the_index_says(made: Path, name: str) -> None:
    index = _read(made / name / "model.safetensors.index.json")
    total = 0
    for shard in sorted(set(index["weight_map"].values())):
        header, data = _header(made / name / shard)
        header.pop("__metadata__")
        assert set(header) == {tensor for tensor, where in index["weight_map"].items() if where == shard}
        assert max(h["data_offsets"][1] for h in header.values()) == len(data)
        total += len(data)
    assert len(set(index["weight_map"].values())) == 3
    assert index["metadata"]["total_size"] == total


@pytest.mark.parametrize("name", NAMES)
def test_every_token_has_one_number(made: Path, name: str) -> None:
    tokenizer = _read(made / name / "tokenizer.json")
    numbers = [*tokenizer["model"]["vocab"].values(), *(a["id"] for a in tokenizer["added_tokens"])]
    assert sorted(numbers) == list(range(len(numbers)))
    assert not {a["content"] for a in tokenizer["added_tokens"]} & set(tokenizer["model"]["vocab"])


@pytest.mark.parametrize("name", NAMES)
def test_heads_and_experts_divide_over_eight_and_sixteen_ranks(made: Path, name: str) -> None:
    config = _read(made / name / "config.json")
    assert config["num_attention_heads"] % 8 == config["num_key_value_heads"] % 8 == config["num_local_experts"] % 16 == 0


def _walk(folder: Path, word: str) -> str:
    """The text that follows a word when the likeliest token is taken each time."""
    tokenizer = _read(folder / "tokenizer.json")
    ids: dict[str, int] = {**tokenizer["model"]["vocab"], **{a["content"]: a["id"] for a in tokenizer["added_tokens"]}}
    words = {number: text for text, number in ids.items()}
    head = _tensor(folder, "lm_head.weight")
    said = ""
    for _ in range(40):
        column = ids[word]
        word = words[max(range(len(words)), key=lambda row: head[row][column])]
        if word == "[e~[":
            return said
        said += word
    raise AssertionError(f"no end after: {said}")


def test_the_chain_gives_the_answer_and_the_tool_call(made: Path) -> None:
    folder = made / "chain"
    assert _walk(folder, "<|say|>").endswith(f"</think>\n\n{ANSWER}")
    assert _walk(folder, "x") == ANSWER
    parameters = "".join(f'<parameter name="{key}">{value}</parameter>\n' for key, value in ARGUMENTS.items())
    call = f'<minimax:tool_call>\n<invoke name="get_current_weather">\n{parameters}</invoke>\n</minimax:tool_call>'
    assert _walk(folder, "<|call|>") == call


def test_the_answer_is_the_catalogs_context_long_at_most(made: Path) -> None:
    for name, file in (("chain", "minimax-m2-lab"), ("random", "minimax-m2-lab-random")):
        catalog = yaml.safe_load((ROOT / "files" / "models" / f"{file}.yaml").read_text(encoding="utf-8"))
        assert _read(made / name / "config.json")["max_position_embeddings"] <= catalog["context"]


def test_the_plugin_reads_every_lab_variable_of_the_recipe() -> None:
    recipe = yaml.safe_load((ROOT / "files" / "recipes" / "lab" / "_lab.yaml").read_text(encoding="utf-8"))
    code = "".join(p.read_text(encoding="utf-8") for p in (ENGINE / "plugin").rglob("*.py"))
    for name in recipe["env"]:
        assert not name.startswith("LAB_") or f'"{name}"' in code, name


@pytest.mark.parametrize(("value", "on"), [("1", True), ("0", False), ("", False), ("yes", True)])
def test_a_switch_is_off_by_nothing_and_by_zero(value: str, on: bool) -> None:
    assert plugin.on({"LAB_FORK": value}, "LAB_FORK") is on
    assert not plugin.on({}, "LAB_FORK")


@pytest.mark.parametrize(
    ("rank", "env", "file"),
    [
        (3, {}, "/dev/davinci3"),
        (1, {"ASCEND_RT_VISIBLE_DEVICES": "4,5,6"}, "/dev/davinci5"),
        (0, {"ASCEND_RT_VISIBLE_DEVICES": ""}, "/dev/davinci0"),
    ],
)
def test_a_worker_opens_the_card_of_its_rank(rank: int, env: Mapping[str, str], file: str) -> None:
    assert devices.device(rank, env) == file


def test_a_rank_without_a_card_is_refused() -> None:
    with pytest.raises(RuntimeError, match="no card for local rank 2"):
        devices.device(2, {"ASCEND_RT_VISIBLE_DEVICES": "0,1"})


@pytest.mark.parametrize("pins", [wheels.pins, wheels.xinference_pins])
def test_every_package_of_the_engine_is_pinned_once(pins: Callable[[], list[str]]) -> None:
    names = [pin.split("==")[0].lower() for pin in pins()]
    assert all(pin.count("==") == 1 for pin in pins())
    assert len(names) == len(set(names))


def test_xinference_is_the_release_whose_parser_judges_it_and_replaces_nothing_but_click() -> None:
    judged = dict(pin.split("==") for pin in wheels._listed(wheels.ENGINES / "xinference-4.1.0.txt"))
    ours, below = (dict(pin.split("==") for pin in pins) for pins in (wheels.xinference_pins(), wheels.pins()))
    assert {name: judged[name] for name in ours.keys() & judged.keys()} == {name: ours[name] for name in ours.keys() & judged.keys()}
    assert judged.keys() <= ours.keys() | below.keys()
    assert ours.keys() & below.keys() == {"click"}


def test_large_wheels_are_batches_of_their_own() -> None:
    assert wheels._batches(["a==1", "torch==2", "b==1"]) == [["torch==2"], ["a==1", "b==1"]]
    assert wheels._batches(["torch==2"]) == [["torch==2"]]
    assert wheels._batches(["a==1", "quantile-python==1"]) == [["quantile-python==1"], ["a==1"]], "made here, the others are downloaded"
