"""What a report says of the run itself: the command as typed, the versions, and what must never stand in it."""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from roles.plan.plan import Plan

GONE = "***"
SECRET = re.compile(r"password|passw|secret|token|api[_-]?key|credential", re.IGNORECASE)
NAMED = ("file:", "env:", "generate", "off")
"""Values that only say where a secret is."""
USER = re.compile(r"(?<=://)[^\s/@]+@")
SHORTEST = 6


def typed(argv: Sequence[str]) -> str:
    """The command line, with its passwords taken out."""
    words, hidden = [Path(argv[0]).name] if argv else [], False
    for word in argv[1:]:
        name, equals, value = word.partition("=")
        if hidden:
            word = GONE
        elif equals and SECRET.search(name) and not value.startswith(NAMED):
            word = f"{name}={GONE}"
        hidden = not hidden and not equals and word.startswith("--") and "prompt" not in word and bool(SECRET.search(word))
        hidden = hidden and not word.startswith(("--use-", "--same-"))  # pyinfra's switches, which take no value
        words.append(USER.sub(f"{GONE}@", word))
    return shlex.join(words)


def versions() -> dict[str, str]:
    """What ran on this machine."""
    found = {"python": platform.python_version()}
    for name in ("bringup", "pyinfra"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # run from a checkout that was never installed
            continue
    return found


def secrets(plan: Plan) -> list[str]:
    """The API key and the hub's token, where this machine has them: looked for here only, nothing is fetched."""
    return [s for s in _secrets(plan) if len(s) >= SHORTEST] if plan.known is not None else []


def without(data: dict[str, Any], secrets: Iterable[str]) -> dict[str, Any]:
    """The same data; where a secret stood, stars."""
    text = json.dumps(data, ensure_ascii=False)
    for secret in secrets:
        text = text.replace(json.dumps(secret, ensure_ascii=False)[1:-1], GONE)
    found: dict[str, Any] = json.loads(text)
    return found


def _secrets(plan: Plan) -> Iterable[str]:
    from roles.run import key  # it knows Run, which knows this module

    named = key.named_file(plan)
    if named is not None:
        yield _text(named)
    kind, _, rest = (plan.known.keys.hub_token or "").partition(":")
    yield os.environ.get(rest, "") if kind == "env" else _text(Path(rest)) if kind == "file" else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
