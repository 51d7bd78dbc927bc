"""Secrets taken out of a text before it is written anywhere. What merely looks busy (hashes, names, counts) stays."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from re import Match
from typing import Any

GONE = "***"
NAMES = (
    r"(?:api[_-]?key|access[_-]?key(?:[_-]id)?|private[_-]?key|secret(?:[_-]?key)?|client[_-]?secret"
    r"|passw(?:or)?d|passphrase|credentials?)"
)
TOKENS = (
    r"(?:(?:api|auth|access|hub|hf|refresh|bearer|session|secret|github|gitlab|modelscope|ms|bot|registry|huggingface(?:[_-]hub)?)"
    r"[_-]?token)"
)
VALUE = r"""(?P<value>\[[^\]\n]*\]|"[^"\n]*"|'[^'\n]*'|[^\s"',;&)\]}]+)"""
SECRET = rf"(?:{NAMES}|{TOKENS})"
IS = r"""(?P<is>["']?\s*[=:]\s*)"""
CAPITALS = re.compile(
    r"(?<![A-Za-z0-9_])(?P<name>[A-Z][A-Z0-9_]*(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|API_?KEY|SECRET_KEY|ACCESS_KEY(?:_ID)?|CREDENTIALS?))"
    rf"(?P<is>=){VALUE}"
)
ASSIGNED = re.compile(rf"(?<![A-Za-z0-9_.-])(?P<name>(?:[A-Za-z0-9_.-]*[_.-])?{SECRET}){IS}{VALUE}", re.IGNORECASE)
BARE = re.compile(rf"""(?<![A-Za-z0-9_.-])(?P<name>token){IS}(?P<value>["']?[A-Za-z0-9_.+/-]{{16,}}=*["']?)""", re.IGNORECASE)
FLAG = re.compile(rf"""(?<![A-Za-z0-9_-])(?P<name>--(?:[a-z0-9]+[_-])*(?:{SECRET}|token)["']?)(?P<is>=|[ ,]\s*){VALUE}""", re.IGNORECASE)
HEADER = re.compile(r"""(?P<name>authorization["']?\s*[:=]\s*["']?(?:basic|bearer|token))(?P<is> +)(?P<value>[^\s"',]+)""", re.IGNORECASE)
BEARER = re.compile(r"(?P<name>\bbearer)(?P<is> +)(?P<value>(?=\S*\d)[A-Za-z0-9_.~+/-]{8,}=*)", re.IGNORECASE)
DOCKER = re.compile(r'(?P<name>"(?:auth|identitytoken|registrytoken)")(?P<is>\s*:\s*)(?P<value>"[^"\n]+")')
URL = re.compile(
    r"(?<![a-z0-9+.-])(?P<is>[a-z][a-z0-9+.-]*://)(?:[^\s/@:'\"<>]*:[^\s/@'\"<>]+|[^\s/@:'\"<>]{16,})@", re.IGNORECASE
)  # fmt: skip
KNOWN = re.compile(
    r"(?<![A-Za-z0-9_-])(?:hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|glpat-[\w-]{20,}"
    r"|AKIA[0-9A-Z]{16}|ms-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{5,})(?![A-Za-z0-9_])"
)
PEM = re.compile(r"-----BEGIN (?P<kind>[A-Z ]*PRIVATE KEY)-----.*?(?:-----END (?P=kind)-----|\Z)", re.DOTALL)
NOTHING = {"none", "null", "true", "false", "", GONE, "[]"}
SHORTEST = 6
TRIGGERS = (
    "key", "token=", "token ", "token:", "token,", "token\"", "token'", "secret", "passw", "passphrase", "credential", "bearer", "authoriz",
    '"auth"', "://", "hf_", "sk-", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat", "glpat-", "akia", "eyj", "ms-",
)  # fmt: skip
"""A line without any of these holds nothing that the expressions below look for: most lines of a log."""


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without these secrets, and without all that is written as one."""
    for secret in sorted({s.strip() for s in secrets if len(s.strip()) >= SHORTEST}, key=len, reverse=True):
        text = text.replace(secret, GONE)
    if "-----BEGIN" in text:
        text = PEM.sub(lambda m: f"-----BEGIN {m['kind']}----- {GONE}", text)
    return "\n".join(_line(line) if any(t in low for t in TRIGGERS) else line for line, low in _with_lower(text))


def redact_data(value: Any, secrets: Iterable[str] = (), name: str = "") -> Any:
    """The same of what becomes JSON: each text by itself, with the name it has there, so that no quote or comma is lost."""
    known = list(secrets)
    if isinstance(value, dict):
        return {k: redact_data(v, known, str(k)) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact_data(v, known, name) for v in value]
    if not isinstance(value, str):
        return value
    if CAPITALS.fullmatch(f"{name}=x"):
        return GONE if value else value
    try:
        return json.loads("{" + redact(f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}", known) + "}")[name]
    except (ValueError, KeyError):  # what was taken out held a quote
        return redact(value, known)


def _with_lower(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split("\n"):
        yield line, line.lower()


def _line(line: str) -> str:
    line = KNOWN.sub(GONE, line)
    line = URL.sub(lambda m: f"{m['is']}{GONE}@", line)
    for regex in (CAPITALS, ASSIGNED, BARE, FLAG, HEADER, BEARER, DOCKER):
        line = regex.sub(_without, line)
    return line


def _without(found: Match[str]) -> str:
    """The name stays, the value goes; quotes stay where they were."""
    value = found["value"]
    bare = value.strip("\"'")
    if bare.lower() in NOTHING or bare.startswith(("$", "<", GONE)) or _counts(found["name"], bare):
        return found[0]
    quote = value[0] if value[:1] in "\"'" and value[-1:] == value[:1] and len(value) > 1 else ""
    return f"{found['name']}{found['is']}{quote}{GONE}{quote}"


def _counts(name: str, value: str) -> bool:
    """A short number behind a name that ends in token counts tokens."""
    return name.lower().rstrip("\"'").endswith("token") and value.isdigit() and len(value) < 8
