"""Which answers are good: language, tools, thinking, counters."""

from __future__ import annotations

import json

import pytest

from roles.run.metrics import generated, metrics
from roles.verify.judge import content, garbled, moved, thinking, tool_call

TOOLS = [{"type": "function", "function": {"name": "get_current_weather", "parameters": {"required": ["city"]}}}]


@pytest.mark.parametrize(
    "text",
    [
        "I am MiniMax-M2, a large language model. How may I help you today?",
        "你好！我是 MiniMax-M2，一个由 MiniMax 开发的大语言模型，有什么可以帮助您的吗？",
        "Ja.",
        "```python\nfor i in range(10):\n    print(i)\n```\nThis prints ten numbers, one on each line.",
        "1. Paris\n2. Berlin\n3. Shanghai (上海)\n",
    ],
)
def test_language_is_taken_for_language(text: str) -> None:
    assert garbled(text) == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("\ufffd\ufffd\ufffdab\ufffd\ufffd", "no text"),
        ("!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!", "repeat"),
        ("the the the the the the the the the the the the the the the", "repeat"),
        ("αбц中 한дфй язעבר ไทยกข δεζ жук 文字 한글 ภาษา привет γλώσσα עברית", "scripts"),
        ("{{}}[]()<>##@@!!%%^^&&**1234567890-=_+;:,.<>/?|{}[]()", "hardly a letter"),
    ],
)
def test_what_is_no_language_is_said_to_be_none(text: str, why: str) -> None:
    assert why in garbled(text)


def call(name: str = "get_current_weather", arguments: str = '{"city": "Shanghai"}') -> dict[str, object]:
    return {"tool_calls": [{"function": {"name": name, "arguments": arguments}}]}


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (call(), ""),
        ({"content": "It is sunny."}, "no tool was called"),
        (call(name="other"), "none of get_current_weather"),
        (call(arguments="{city"), "no JSON"),
        (call(arguments="{}"), "without city"),
        (call(arguments=json.dumps(["Shanghai"])), "without city"),
    ],
)
def test_a_tool_call_is_good_when_its_name_and_arguments_are(message: dict[str, object], why: str) -> None:
    said = tool_call(message, TOOLS)
    assert why in said
    assert bool(why) == bool(said)


@pytest.mark.parametrize(
    "message", [{"reasoning": "hm", "content": "a"}, {"reasoning_content": "hm", "content": "a"}, {"content": "hm</think>a"}]
)
def test_thinking_is_found_wherever_the_parser_puts_it(message: dict[str, str]) -> None:
    assert thinking(message) == "hm"
    assert "a" in content(message)


METRICS = """\
# HELP vllm:generation_tokens_total Number of generation tokens processed.
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{engine="0",model_name="minimax25"} 12.0
vllm:generation_tokens_total{engine="1",model_name="mini\\"max"} 1.5e+01
vllm:num_requests_running{engine="0",model_name="minimax25"} 2.0
"""


def test_counters_are_read_by_rank() -> None:
    assert generated(METRICS) == {"0": 12.0, "1": 15.0}
    assert metrics(METRICS, "vllm:num_requests_running") == {"0": 2.0}
    assert moved({"0": 12.0, "1": 14.0}, generated(METRICS)) == {"1"}
    assert generated("nothing here") == {}
