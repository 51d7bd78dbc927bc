"""The proxy in front of a replica's API: its port, its files, what it checks, and what is refused. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from roles.plan import container
from roles.plan.cluster import Replica
from roles.plan.keys import ClusterKeys
from roles.plan.recipe import Engine, Hardware

SUFFIX = "-proxy"
PLAIN, TLS = 8080, 8443
"""Its port, without and with a certificate."""


def unit(cluster: str, replica: str) -> str:
    return container.unit(cluster, replica) + SUFFIX


def file(cluster: str, replica: str, kind: str) -> str:
    """One of its files on the node: conf, key (the API key it asks for), crt and pem (its certificate)."""
    return f"{container.CONFIG}/{cluster}/{replica}.proxy.{kind}"


def ports(keys: ClusterKeys) -> dict[str, int]:
    """What it adds to the plan's ports."""
    return {"proxy": TLS if keys.tls else PLAIN} if keys.expose == "proxy" else {}


def checks_key(keys: ClusterKeys, engine: Engine) -> bool:
    """Where the engine reads no key from its environment, the proxy asks for it instead."""
    return keys.expose == "proxy" and keys.auth != "off" and engine.auth_env is None


def outside(replicas: tuple[Replica, ...], keys: ClusterKeys, port: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """What `verify` of the plan says besides: where clients ask; nothing where they ask the engine itself."""
    if keys.expose != "proxy":
        return {}
    scheme = "https" if keys.tls else "http"
    return {"outside": {r.name: f"{scheme}://{r.head.address}:{port['proxy']}" for r in replicas}}


def step(keys: ClusterKeys, engine: Engine, port: Mapping[str, Any]) -> dict[str, Any]:
    """What the plan's step says of it; nothing where there is none."""
    if keys.expose != "proxy":
        return {}
    return {"port": port["proxy"], "tls": bool(keys.tls), "key": checks_key(keys, engine)}


def engine_part(node: Mapping[str, Any]) -> dict[str, Any]:
    """A node's part of the plan without the proxy's port: it comes and goes without a restart of the engine."""
    return {**node, "ports": {k: v for k, v in node["ports"].items() if k != "proxy"}}


def refused(keys: ClusterKeys, hardware: Hardware, replicas: tuple[Replica, ...]) -> Iterator[str]:
    """Why this cannot work; nothing when it can."""
    if keys.expose != "proxy":
        if keys.tls:
            yield '"tls" is given, but "expose" is direct and nothing would show that certificate; expected "expose": "proxy" beside it'
        if keys.ports.proxy is not None:
            yield f'"ports.proxy" is {keys.ports.proxy}, but "expose" is direct; expected "expose": "proxy" beside it'
        return
    if hardware.system != "linux":
        yield f'"expose" is proxy, expected direct: on {hardware.title} there is no systemd to run the proxy'
    for replica in replicas:
        if replica.name.endswith(SUFFIX):
            yield f'"replica" is "{replica.name}", whose unit would be named as a proxy is; expected a name without "{SUFFIX}" at its end'


def doubtful(keys: ClusterKeys, engine: Engine) -> Iterator[str]:
    """What a reader must know about the way round the proxy."""
    if keys.expose == "proxy" and not keys.firewall:
        keyless = ", where it asks nobody for a key" if checks_key(keys, engine) else ""
        yield f'"expose" is proxy, but {engine.title} can still be asked at its own port{keyless}: set "firewall": True to close that'
