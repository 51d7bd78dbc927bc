"""Settings of the Docker daemon: the inventory's merged into what its file says already."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from roles.plan.keys import DockerKeys

FILE = "/etc/docker/daemon.json"
DROPIN = "/etc/systemd/system/docker.service.d/bringup-proxy.conf"
MIRRORS, INSECURE, ROOT = "registry-mirrors", "insecure-registries", "data-root"
RELOADABLE = (MIRRORS, INSECURE)
"""Taken over by `systemctl reload docker`, without an end to any container."""
LOCAL = ("127.0.0.0/8", "::1/128")


@dataclass(frozen=True)
class Merged:
    """daemon.json as it should be: its text, which keys differ, or why it cannot be made."""

    text: str
    changed: tuple[str, ...] = ()
    problem: str = ""


def wanted(keys: DockerKeys) -> dict[str, Any]:
    """The inventory's settings as daemon.json spells them."""
    found = {MIRRORS: list(keys.mirrors), INSECURE: list(keys.insecure), ROOT: keys.data_root}
    return {k: v for k, v in found.items() if v}


def merge(text: str, settings: dict[str, Any], flags: Sequence[str] = ()) -> Merged:
    """Lists grow by what they lack, other keys stay as they are; a file that is no JSON is left alone.

    `flags`: keys the daemon has as command line flags. It refuses to start with a key in both places.
    """
    try:
        data = json.loads(text) if text.strip() else {}
    except ValueError as e:
        return Merged(text, problem=f"{FILE} is not JSON ({e}); mend it or move it away")
    if not isinstance(data, dict):
        return Merged(text, problem=f"{FILE} holds {type(data).__name__}, expected an object")
    changed: list[str] = []
    for key, value in settings.items():
        old = data.get(key)
        if isinstance(value, list):
            if old is not None and not (isinstance(old, list) and all(isinstance(v, str) for v in old)):
                return Merged(text, problem=f'{FILE}: "{key}" is {json.dumps(old)}, expected a list of text')
            value = [*(old or []), *(v for v in value if not _among(v, old or []))]
        if value == old:
            continue
        if key in flags:
            return Merged(text, problem=f'the daemon is given "{key}" as a flag, and refuses to start with the same key in {FILE}')
        data[key] = value
        changed.append(key)
    return Merged(json.dumps(data, indent=2, ensure_ascii=False) + "\n" if changed else text, tuple(changed))


def _among(value: str, values: Sequence[str]) -> bool:
    """A mirror is the same with and without a slash at its end."""
    return value.rstrip("/") in [v.rstrip("/") for v in values]


def proxy(url: str | None, direct: Sequence[str]) -> str:
    """The unit's drop-in: the proxy, and whom to reach without it; nothing without a proxy."""
    if not url:
        return ""
    around = ",".join(dict.fromkeys(["localhost", "127.0.0.1", "::1", *direct]))
    pairs = (f'"{name}={value}"' for name, value in (("HTTP_PROXY", url), ("HTTPS_PROXY", url), ("NO_PROXY", around)))
    return f"# Written by bringup from the inventory's proxy.\n[Service]\nEnvironment={' '.join(pairs)}\n"


def without_proxy(addresses: Sequence[str], keys: DockerKeys) -> list[str]:
    """The cluster's own addresses and its own registries."""
    return [*addresses, *(registry.partition(":")[0] for registry in keys.insecure)]
