"""What makes an answer good. Pure."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from typing import Any

ODD = ("Cc", "Cn", "Co", "Cs")


def moved(before: Mapping[str, float], after: Mapping[str, float]) -> set[str]:
    return {engine for engine, count in after.items() if count > before.get(engine, 0.0)}


def content(message: Mapping[str, Any]) -> str:
    """What was said, wherever the parser put the thinking."""
    parts = [message.get(k) for k in ("reasoning", "reasoning_content", "content")]
    return "\n".join(p for p in parts if isinstance(p, str) and p)


def thinking(message: Mapping[str, Any]) -> str:
    for key in ("reasoning", "reasoning_content"):
        if isinstance(message.get(key), str) and message[key].strip():
            return str(message[key])
    text = message.get("content")
    return text.partition("</think>")[0] if isinstance(text, str) and "</think>" in text else ""


def garbled(text: str) -> str:
    """Why a text looks like no language; empty when it may be one. Made for wrong layouts, not for taste."""
    body = text.strip()
    if not body:
        return "it is empty"
    odd = sum(c == "\ufffd" or (unicodedata.category(c) in ODD and c not in "\n\t\r") for c in body)
    if odd > 0.05 * len(body):
        return f"{odd} of its {len(body)} characters are no text"
    if len(body) >= 40:
        unit, share = _repeated(body)
        if share > 0.7:
            return f"{share:.0%} of it repeat {unit!r}"
        words = body.replace("<think>", " ").replace("</think>", " ").split()
        wordless = sum(not any(c.isalpha() for c in w) for w in words)
        if len(words) >= 12 and wordless > 0.35 * len(words) and len(set(words)) < 0.7 * len(words):
            return f"{wordless} of its {len(words)} words have no letter"
        scripts = Counter(_script(c) for c in body if c.isalpha())
        total = sum(scripts.values())
        if total >= 30 and len([s for s, n in scripts.items() if n >= 0.05 * total]) >= 4:
            return f"it mixes {len(scripts)} scripts ({', '.join(s for s, _ in scripts.most_common(4))})"
        if total < 0.25 * len(body.replace(" ", "")):
            return "hardly a letter is in it"
    return ""


def _repeated(text: str) -> tuple[str, float]:
    """The short piece that follows itself most, and how much of the text that is."""
    best, piece = 0, ""
    for found in re.finditer(r"(.{1,12}?)\1{4,}", text, re.DOTALL):
        if found.end() - found.start() > best and found[1].strip():
            best, piece = found.end() - found.start(), found[1]
    return piece, best / len(text)


def _script(letter: str) -> str:
    name = unicodedata.name(letter, "UNKNOWN").split()[0]
    return "CJK" if name in ("CJK", "HIRAGANA", "KATAKANA", "HALFWIDTH", "FULLWIDTH", "BOPOMOFO") else name


def tool_call(message: Mapping[str, Any], tools: list[Mapping[str, Any]]) -> str:
    """Why there is no good tool call; empty when there is one."""
    calls = message.get("tool_calls") or []
    if not calls:
        return f"no tool was called; the answer was {content(message)[:80]!r}"
    known = {t["function"]["name"]: t["function"].get("parameters", {}) for t in tools}
    function = calls[0].get("function", {})
    name = function.get("name")
    if name not in known:
        return f"{name!r} was called, which is none of {', '.join(known)}"
    try:
        arguments = json.loads(function.get("arguments") or "")
    except ValueError:
        return f"the arguments of {name} are no JSON: {str(function.get('arguments'))[:60]!r}"
    missing = [k for k in known[name].get("required", []) if not isinstance(arguments, dict) or k not in arguments]
    return f"{name} was called without {', '.join(missing)}" if missing else ""
