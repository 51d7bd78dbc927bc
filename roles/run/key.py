"""The API key: made once, kept 0600 here and on the nodes, never in argv, logs or reports."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from roles.plan import container, proxy
from roles.plan.errors import PlanError
from roles.plan.plan import Plan, ReplicaPlan
from roles.run import remote
from roles.run.run import Run

FIND = 'sed -n "s/^$KEY//p" "$FILE" 2>/dev/null | head -n 1'
MARK = "# the key: "
"""What stands before the key in the file that the proxy reads."""


def local_file(cluster: str) -> Path:
    """Where a generated key is kept on this machine."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "bringup" / cluster / "api-key"


def named_file(plan: Plan) -> Path | None:
    """The file a curl line reads; None where there is no key."""
    kind, _, path = plan.known.keys.auth.partition(":")
    if kind == "off" or not (plan.known.engine.auth_env or asked_by_proxy(plan)):
        return None
    return Path(path) if kind == "file" else local_file(plan.cluster)


def secrets_path(plan: Plan, replica: ReplicaPlan) -> str:
    """The file on the nodes; empty where the engine takes no key."""
    takes = plan.known.engine.auth_env is not None and named_file(plan) is not None
    return container.secrets_file(plan.cluster, replica.name) if takes else ""


def asked_by_proxy(plan: Plan) -> bool:
    """Whether the proxy asks for the key, because the engine cannot."""
    return proxy.checks_key(plan.known.keys, plan.known.engine)


def _kept_in(plan: Plan, replica: ReplicaPlan) -> tuple[str, str]:
    """The file of a node that holds the key, and what stands before it there."""
    if asked_by_proxy(plan):
        return proxy.file(plan.cluster, replica.name, "key"), MARK
    return secrets_path(plan, replica), f"{plan.known.engine.auth_env}="


def read(path: Path) -> str:
    """The key in a file: one line of printable text."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as e:
        raise PlanError(
            f'"auth" names {path}, which cannot be read ({getattr(e, "strerror", None) or e}); expected a file with the key'
        ) from None
    if not text or "\n" in text or not text.isprintable() or " " in text:
        raise PlanError(f'"auth" names {path}, which holds no key; expected one line without spaces')
    return text


def given(plan: Plan) -> None:
    """A file that the inventory names is read before anything is touched."""
    path = named_file(plan)
    if path is not None and plan.known.keys.auth.startswith("file:") and not read(path).isascii() and asked_by_proxy(plan):
        raise PlanError(f'"auth" names {path}, whose key is not all ASCII; expected that of a key which the proxy compares')


def known(run: Run) -> str:
    """The key of this cluster, "" where there is none: the inventory's file, else ours, else the nodes'."""
    path = named_file(run.plan)
    if path is None:
        return ""
    if run.plan.known.keys.auth.startswith("file:"):
        return read(path)
    return read(path) if path.exists() else _from_nodes(run)


def made(run: Run) -> str:
    """As `known`, and made now when nobody has one."""
    found = known(run)
    path = named_file(run.plan)
    if found or path is None:
        return found
    key = f"sk-{secrets.token_urlsafe(32)}"
    keep(path, key)
    return key


def keep(path: Path, key: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, stat.S_IRUSR | stat.S_IWUSR)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, 0o600)  # a file that was there keeps its mode when it is opened
        file.write(key + "\n")


def _from_nodes(run: Run) -> str:
    """Another machine brought the cluster up: its key lies on the nodes. Read without a trace in any log."""
    for replica in run.plan.replicas:
        host = run.hosts.get(replica.nodes[0].name)
        source, before = _kept_in(run.plan, replica)
        if host is None or not source:
            continue
        text = remote.script(values={"FILE": source, "KEY": before}) + FIND
        done = remote.run(run.state, host, "bringup-key", text, limit=15)
        if done.ok and done.text.strip():
            path = named_file(run.plan)
            assert path is not None
            keep(path, done.text.strip())
            return done.text.strip()
    return ""
