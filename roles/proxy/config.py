"""What the proxy is made of, as text: nginx's configuration, its unit, the key it asks for. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import jinja2

from roles.plan import proxy
from roles.plan.plan import Plan, ReplicaPlan
from roles.run.key import MARK

TEMPLATE = Path(__file__).with_name("nginx.conf.j2")
NGINX = "/usr/sbin/nginx"
BODY, PATIENCE = "256m", "3600s"
"""The largest request, and the longest silence of the engine: an answer that is not streamed says nothing until it is whole."""
WORD = re.compile(r"[A-Za-z0-9_./:-]*")
ERRORS = (
    (400, "", "invalid_request_error", "the proxy does not understand this request"),
    (401, 'WWW-Authenticate "Bearer"', "invalid_request_error", "the API key is missing or wrong: send Authorization: Bearer KEY"),
    (404, "", "invalid_request_error", "nothing is here: the proxy passes /v1/* and /health"),
    (413, "", "invalid_request_error", f"the request is larger than {BODY}"),
    (503, 'Retry-After "10"', "server_error", "the engine does not answer: it is stopped, or still starting"),
    (504, "", "server_error", "the engine took the request and sent nothing for too long"),
)
UNIT = """\
# Written by bringup for cluster {cluster}, replica {replica}; changes are lost at the next prepare.
[Unit]
Description=bringup {cluster} {replica}: nginx in front of {engine}
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=forking
RuntimeDirectory={unit}
PIDFile={folder}/pid
ExecStartPre={nginx} -t -q -c {conf}
ExecStart={nginx} -c {conf}
ExecReload={nginx} -t -q -c {conf}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=2
TimeoutStopSec=15
LimitNOFILE=65536
NoNewPrivileges=yes
PrivateTmp=yes
ProtectHome=yes
ProtectSystem=strict
CapabilityBoundingSet=CAP_CHOWN CAP_KILL CAP_NET_BIND_SERVICE CAP_SETGID CAP_SETUID

[Install]
WantedBy=multi-user.target
"""


def conf(plan: Plan, replica: ReplicaPlan) -> str:
    """nginx's configuration; the key and the certificate are in files of their own."""
    head = replica.nodes[0]
    file = {kind: proxy.file(plan.cluster, replica.name, kind) if there else "" for kind, there in secret(plan).items()}
    words = {
        "cluster": plan.cluster, "replica": replica.name, "folder": folder(plan, replica), "port": str(head.ports["proxy"]),
        "engine": f"{head.address}:{head.ports['api']}", "health": str(plan.verify["paths"]["health"]),
        "body": BODY, "patience": PATIENCE, **file,
    }  # fmt: skip
    return _template().render(**_plain(words), errors=ERRORS)


def secret(plan: Plan) -> dict[str, bool]:
    """Its secret files, and whether this plan has them: the key it asks for, its certificate, that one's private key."""
    keys = plan.known.keys
    return {"key": proxy.checks_key(keys, plan.known.engine), "crt": bool(keys.tls), "pem": bool(keys.tls)}


def unit(plan: Plan, replica: ReplicaPlan, nginx: str = NGINX) -> str:
    head = replica.nodes[0]
    words = {
        "cluster": plan.cluster, "replica": replica.name, "engine": f"{head.address}:{head.ports['api']}", "nginx": nginx,
        "unit": proxy.unit(plan.cluster, replica.name), "folder": folder(plan, replica),
        "conf": proxy.file(plan.cluster, replica.name, "conf"),
    }  # fmt: skip
    return UNIT.format(**_plain(words))


def folder(plan: Plan, replica: ReplicaPlan) -> str:
    """Made and removed by systemd with the unit."""
    return f"/run/{proxy.unit(plan.cluster, replica.name)}"


def asked(key: str) -> str:
    """The lines of nginx's map that know this key: a regular expression, since plain words of a map are compared without case."""
    if not key.isascii() or not key.isprintable() or " " in key or not key:
        raise ValueError("the API key is not one word of printable ASCII, which the proxy could compare")
    letters = "".join(c if c.isalnum() else f"\\x{ord(c):02x}" for c in key)
    return f'{MARK}{key}\n"~^(?i:bearer)\\x20+{letters}\\z" 1;\n'


def _plain(words: Mapping[str, str]) -> Mapping[str, str]:
    """Nothing that is put into these texts can end a word of them."""
    odd = [f"{name} {value!r}" for name, value in words.items() if not WORD.fullmatch(value)]
    if odd:
        raise ValueError(f"{odd[0]} cannot stand in nginx's configuration")
    return words


@cache
def _template() -> jinja2.Template:
    # No autoescape: it is no HTML, and _plain lets only words through.
    env = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    return env.from_string(TEMPLATE.read_text(encoding="utf-8"))
