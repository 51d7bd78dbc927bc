"""What the model of the double says, and how it is read: thinking, tool calls."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

THINK = "The user asks something simple. A short answer will do."
TEXT = "I am a double of MiniMax-M2: a stand-in that tests talk to, and no model at all."
GARBLED = "的 的 !! 0 0 zug 0 )) 的 的 的 !! ((( ^ 0 的 的 的 的 !!"
FILLER = " and so on"
CALL = re.compile(r"<minimax:tool_call>\s*(.*?)\s*</minimax:tool_call>", re.DOTALL)
INVOKE = re.compile(r'<invoke name="([^"]+)">(.*?)</invoke>', re.DOTALL)
PARAMETER = re.compile(r'<parameter name="([^"]+)">(.*?)</parameter>', re.DOTALL)
END = "</think>"
SAMPLES = {"city": "Shanghai", "location": "Shanghai"}


class Reply(NamedTuple):
    """A whole answer, read as the parsers read it."""

    content: str | None
    reasoning: str | None
    calls: list[dict[str, Any]]


def pieces(text: str) -> list[str]:
    """The text in the pieces it is generated in, one token each."""
    return re.findall(r"</?think>|</?minimax:tool_call>|\s*[^\s<]+|\s*<[^<\s]*|\s+", text)


def tokens(text: str) -> int:
    return max(1, len(pieces(text)))


def say(chat: bool, tool: dict[str, Any] | None, garbled: bool, think: bool = True) -> list[str]:
    """The tokens of an answer; an open <think> is part of the prompt, so only its end appears."""
    if garbled:
        return pieces(GARBLED)
    before = f"{THINK}\n{END}\n\n" if chat and think else ""
    return pieces(before + (markup(tool) if tool else TEXT))


def markup(tool: dict[str, Any]) -> str:
    """A call of the tool in the model's own markup, its arguments made from the schema."""
    given = arguments(tool.get("parameters") or {})
    lines = "\n".join(f'<parameter name="{k}">{v if isinstance(v, str) else json.dumps(v)}</parameter>' for k, v in given.items())
    return f'<minimax:tool_call>\n<invoke name="{tool.get("name", "")}">\n{lines}\n</invoke>\n</minimax:tool_call>'


def arguments(schema: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, rule in (schema.get("properties") or {}).items():
        kind = rule.get("type", "string")
        made[name] = (rule.get("enum") or [None])[0] or SAMPLES.get(name)
        if made[name] is None:
            made[name] = {"integer": 1, "number": 1.0, "boolean": True, "array": [], "object": {}}.get(kind, "example")
    return made


def tool_of(body: dict[str, Any]) -> dict[str, Any] | None:
    """The function to call: the named one, else the first, unless a tool has answered already."""
    choice, tools = body.get("tool_choice"), body.get("tools") or []
    messages = body.get("messages") or []
    if not tools or choice == "none" or (messages and messages[-1].get("role") == "tool"):
        return None
    functions = [dict(t.get("function") or {}) for t in tools]
    wanted = (choice.get("function") or {}).get("name") if isinstance(choice, dict) else None
    return next((f for f in functions if f.get("name") == wanted), None) if wanted else functions[0]


def read(raw: str, reasoning: str | None, parse_tools: bool) -> Reply:
    """Thinking split off or kept, calls taken out of the text: what the parsers of vLLM and SGLang do."""
    content: str | None = raw
    thought: str | None = None
    if reasoning and reasoning.replace("-", "_").endswith("append_think"):
        content = "<think>" + raw
    elif reasoning:
        thought, mark, after = raw.partition(END)
        content = after if mark else None
    calls = []
    if parse_tools and content and (found := CALL.search(content)):
        calls = [call(name, inner) for name, inner in INVOKE.findall(found[1])]
        content = content[: found.start()] or None
    return Reply(content, thought, calls)


def call(name: str, inner: str) -> dict[str, Any]:
    return {"name": name, "arguments": json.dumps({k: value(v) for k, v in PARAMETER.findall(inner)}, ensure_ascii=False)}


def value(text: str) -> Any:
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(found, str) else found


def prompt_text(body: dict[str, Any]) -> str:
    """All text of a request: messages with content as a string or as parts, or a prompt."""
    parts: list[str] = []
    source = body.get("messages") if "messages" in body else body.get("input", body.get("prompt", ""))
    for item in source if isinstance(source, list) else [source]:
        content = item.get("content") if isinstance(item, dict) else item
        for part in content if isinstance(content, list) else [content]:
            parts.append(str(part.get("text", "")) if isinstance(part, dict) else str(part or ""))
    return "\n".join(parts)
