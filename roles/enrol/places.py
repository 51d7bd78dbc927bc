"""Where each node's SSH is, and which files hold host keys for it: as pyinfra finds them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paramiko.ssh_exception import ConfigParseError
from pyinfra.connectors.sshuserclient.client import get_ssh_config

from roles.enrol.known import NAME
from roles.plan.errors import PlanError, shown
from roles.plan.source import Source

PORT = 22
OWN = "~/.ssh/known_hosts"
HOP = re.compile(r"[A-Za-z0-9_.@:\[\]%-]+")


@dataclass(frozen=True)
class Place:
    """One node as SSH sees it."""

    node: str
    host: str
    port: int
    files: tuple[Path, ...]
    """Where its key is looked for; the first is the one that is written."""
    way: str = ""
    """A command whose stdin and stdout are the connection, where there is no direct one."""
    through: str = ""
    """The same in words."""

    @property
    def name(self) -> str:
        """How known_hosts calls it."""
        return self.host if self.port == PORT else f"[{self.host}]:{self.port}"


def places(source: Source, known_hosts: str | None = None) -> Iterator[Place]:
    """All nodes that SSH reaches; PlanError where the inventory does not say how."""
    for node, own in source.hosts:
        kind, _, rest = node[1:].partition("/") if node.startswith("@") else ("ssh", "", node)
        if kind == "ssh":
            yield _place(rest, node, {**source.data, **own}, f'{source.file}: {source.cluster}: "{node}"', known_hosts)


def _place(address: str, node: str, data: Mapping[str, Any], where: str, known_hosts: str | None) -> Place:
    config = _config(data, where)
    asked = _text(data, "ssh_hostname", where) or address
    found = config.lookup(asked) if config else {}
    host = str(found.get("hostname", asked))
    port = _port(data.get("ssh_port") or found.get("port") or PORT, where)
    if not NAME.fullmatch(host):
        raise PlanError(f"{where}: SSH would ask {shown(host)}, expected a host name or an address")
    named = known_hosts or _text(data, "ssh_known_hosts_file", where)
    files = [named] if named else str(found.get("userknownhostsfile", OWN)).split()
    way, through = _way(found, host, port, data, where)
    return Place(node, host, port, tuple(Path(f).expanduser() for f in files), way, through)


def _config(data: Mapping[str, Any], where: str) -> Any:
    file = _text(data, "ssh_config_file", where)
    if file and not Path(file).is_file():
        raise PlanError(f'{where}: "ssh_config_file" names {file}, which is not there, expected an SSH configuration')
    try:
        return get_ssh_config(file or None)
    except (OSError, UnicodeDecodeError, ConfigParseError) as e:
        raise PlanError(f"{where}: {file or '~/.ssh/config'} cannot be read ({e}), expected an SSH configuration") from None


def _way(found: Mapping[str, Any], host: str, port: int, data: Mapping[str, Any], where: str) -> tuple[str, str]:
    """A jump host is asked by OpenSSH, with that machine's own keys and known_hosts."""
    if command := found.get("proxycommand"):
        return str(command), f"by {command}"
    hops = [h.strip() for h in str(found.get("proxyjump", "none")).split(",")]
    if hops == ["none"]:
        return "", ""
    if odd := next((h for h in hops if not HOP.fullmatch(h) or h.startswith("-")), None):
        raise PlanError(f"{where}: ProxyJump names {shown(odd)}, expected a jump host")
    config = ["-F", str(data["ssh_config_file"])] if data.get("ssh_config_file") else []
    before = ["-J", ",".join(hops[:-1])] if hops[1:] else []
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    words = ["ssh", *config, "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", *before, "-W", target, f"ssh://{hops[-1]}"]
    return shlex.join(words), f"through {', '.join(hops)}"


def _text(data: Mapping[str, Any], key: str, where: str) -> str:
    value = data.get(key)
    if value is not None and not isinstance(value, str):
        raise PlanError(f'{where}: "{key}" is {shown(value)}, expected text')
    return value or ""


def _port(value: Any, where: str) -> int:
    if isinstance(value, bool) or not str(value).isascii() or not str(value).isdigit() or not 1 <= int(value) <= 65535:
        raise PlanError(f'{where}: "ssh_port" is {shown(value)}, expected a port number')
    return int(value)
