"""known_hosts as text: what it says of a host, and what it says with new keys in it. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

HASHED = "|1|"
NAME = re.compile(r"[A-Za-z0-9_.:%-]+|\[[A-Za-z0-9_.:%-]+\]:\d{1,5}")
"""A host, or [host]:port: nothing that a line could take for a second name, a pattern or a marker."""


@dataclass(frozen=True)
class Key:
    """A host's public key."""

    kind: str
    data: bytes

    @property
    def fingerprint(self) -> str:
        """As ssh-keygen -l prints it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.data).digest()).decode().rstrip("=")

    @property
    def text(self) -> str:
        return f"{self.kind} {base64.b64encode(self.data).decode()}"


@dataclass(frozen=True)
class Line:
    """One line of the file that names a key."""

    number: int
    names: tuple[str, ...]
    key: Key
    marker: str = ""

    def says(self, name: str) -> bool:
        """As paramiko reads it: whole names and hashed ones; patterns are OpenSSH's alone."""
        return any(n == (hashed(name, n) if n.startswith(HASHED) else name) for n in self.names)


def lines(text: str) -> Iterator[Line]:
    """Every line with a key; comments and what nobody can read are passed over."""
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        marker = words.pop(0) if words[:1] and words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#"):
            continue
        try:
            data = base64.b64decode(words[2], validate=True)
        except (binascii.Error, ValueError):
            continue
        yield Line(number, tuple(words[0].split(",")), Key(words[1], data), marker)


def hashed(name: str, like: str) -> str:
    """The name under the salt of another hashed one; nothing where that is not one."""
    try:
        salt = base64.b64decode(like.split("|")[2], validate=True)
    except (IndexError, binascii.Error, ValueError):
        return ""
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"{HASHED}{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def of(text: str, name: str) -> list[Line]:
    """What the file says of a host."""
    return [line for line in lines(text) if not line.marker and line.says(name)]


def revoked(text: str, key: Key) -> bool:
    """Whether somebody wrote that this key must not be trusted, for whatever host."""
    return any(line.marker == "@revoked" and line.key == key for line in lines(text))


@dataclass(frozen=True)
class Verdict:
    """A host's key held against the file."""

    word: Literal["known", "new", "changed", "revoked"]
    line: Line | None = None


def judge(texts: Sequence[str], name: str, key: Key) -> Verdict:
    """The files as SSH reads them, one after the other: the first that knows the host and this kind of key decides."""
    if any(revoked(text, key) for text in texts):
        return Verdict("revoked")
    found = [line for text in texts for line in of(text, name)]
    same = next((line for line in found if line.key.kind == key.kind), None)
    if same is not None:
        return Verdict("known" if same.key == key else "changed", same)
    return Verdict("changed", found[0]) if found else Verdict("new")


def kinds(texts: Sequence[str], name: str) -> list[str]:
    """Which kinds of key of this host are known: those are asked for first, as SSH does."""
    return list(dict.fromkeys(line.key.kind for text in texts for line in of(text, name)))


def merged(text: str, keys: Mapping[str, Key], salts: Iterator[bytes]) -> str:
    """The file with these hosts' keys in place of others of theirs; all other lines as they are.

    New names are hashed where the last name in the file is. A line of several names loses only the host's own.
    """
    wanted = {name: key for name, key in keys.items() if not any(x.key == key for x in of(text, name))}
    if not wanted:
        return text
    hide = next((line.names[-1].startswith(HASHED) for line in reversed(list(lines(text)))), False)
    kept = _without(text, wanted)
    if kept and not kept.endswith("\n"):
        kept += "\n"
    for name, key in wanted.items():
        shown = hashed(name, f"{HASHED}{base64.b64encode(next(salts)).decode()}|") if hide else name
        kept += f"{shown} {key.text}\n"
    return kept


def _without(text: str, names: Mapping[str, Key]) -> str:
    """The text without these hosts."""
    rows = text.split("\n")
    gone: set[int] = set()
    for line in lines(text):
        if line.marker or not any(line.says(name) for name in names):
            continue
        rest = [n for n in line.names if not any(Line(0, (n,), line.key).says(name) for name in names)]
        if rest:
            rows[line.number - 1] = rows[line.number - 1].replace(",".join(line.names), ",".join(rest), 1)
        else:
            gone.add(line.number)
    return "\n".join(row for number, row in enumerate(rows, 1) if number not in gone)
