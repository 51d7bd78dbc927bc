"""What status makes of an engine's counters and of a node's tools. Engines of all kinds; requests that run and give nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from roles.accelerators.memory import memory
from roles.run.seen import MARK, Seen, sections
from roles.status.role import _stuck
from tests.unit.sources import plan
from tests.unit.test_accelerators_gpu import nvidia, rocm
from tests.unit.test_accelerators_probe import look

NODE = "10.0.0.11"


def vllm(*ranks: tuple[int, int]) -> str:
    lines = (
        f'vllm:num_requests_running{{engine="{n}"}} {running}\nvllm:generation_tokens_total{{engine="{n}"}} {tokens}\n'
        for n, (running, tokens) in enumerate(ranks)
    )
    return "".join(lines)


def sglang(running: int, tokens: int) -> str:
    return f'sglang:num_running_reqs{{model_name="m"}} {running}\nsglang:generation_tokens_total{{model_name="m"}} {tokens}\n'


@pytest.mark.parametrize(
    ("first", "last", "hung"),
    [
        (vllm((1, 10), (1, 20)), vllm((1, 11), (1, 20)), ["1"]),
        (vllm((1, 10), (1, 20)), vllm((1, 11), (1, 21)), []),
        (vllm((0, 10), (0, 20)), vllm((0, 10), (0, 20)), []),
        (vllm((0, 10), (0, 20)), vllm((1, 10), (1, 20)), []),
        (sglang(2, 10), sglang(1, 10), ["0"]),
        (sglang(2, 10), sglang(1, 11), []),
        ("", "", []),
    ],
    ids=["one rank", "all move", "idle", "just came", "sglang", "sglang moves", "no metrics"],
)
def test_a_rank_that_has_requests_and_gives_no_token_is_stuck(first: str, last: str, hung: list[str]) -> None:
    assert _stuck(first, last) == hung


def test_gpus_of_every_vendor_tell_their_memory(tmp_path: Path) -> None:
    for recipe, site, said in (
        ("vllm/nvidia-dp8-ep", nvidia(tmp_path), r"memory 0 of 1123 GiB"),
        ("sglang/mi300x-tp8-ep8", rocm(tmp_path), r"memory 2 of 1536 GiB"),
    ):
        seen = look({NODE: site}, plan(recipe))[NODE]
        assert memory(seen) == said


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ("nvidia-smi.gpus", "NVIDIA-SMI has failed"),
        ("nvidia-smi.gpus", "index, memory.used [MiB], memory.total [MiB]\n0, [N/A], [N/A]\n1"),
        ("amd-smi.metric", '[1, {"mem_usage": 3}, {"mem_usage": {"used_vram": "N/A"}}]'),
        ("amd-smi.metric", "{"),
        ("rocm-smi", '{"card0": {"VRAM Total Memory (B)": "many"}}'),
        ("npu-smi.info", "no table"),
        ("none", ""),
    ],
)
def test_what_no_tool_tells_is_left_out(section: str, text: str) -> None:
    assert memory(Seen("n0", sections(f"{MARK}{section} 0\n{text}\n"))) == ""
