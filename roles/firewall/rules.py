"""Our table as text: what comes in is dropped, but for SSH, what was asked for, the replica's own nodes and the API, or its proxy."""

from __future__ import annotations

import re
from collections.abc import Iterable

from roles.plan.container import CONFIG
from roles.plan.node import NodePlan

FILE = f"{CONFIG}/firewall.nft"
UNIT_FILE = "/etc/systemd/system/bringup-firewall.service"
HEAD = "# Written by bringup because the inventory says firewall: true; with false, prepare removes it.\n"


def table(cluster: str) -> str:
    return f"bringup_{cluster}"


def table_in(text: str) -> str:
    """Whose rules such a file holds."""
    found = re.search(r"^table inet (\w+)$", text, re.MULTILINE)
    return found[1] if found else ""


def rules(cluster: str, node: NodePlan, peers: Iterable[NodePlan], ssh_ports: Iterable[int]) -> str:
    """The whole file: `nft -f` takes the former table away and sets this one in one step."""
    name, addresses = table(cluster), sorted({p.address for p in peers})
    ports = ", ".join(str(p) for p in sorted({22, *ssh_ports}))
    lines = [
        f"tcp dport {{ {ports} }} accept",
        "ct state established,related accept",
        'iifname "lo" accept',
        "meta l4proto { icmp, ipv6-icmp } accept",
    ]
    lines += [f"ip saddr {{ {', '.join(addresses)} }} accept"] if addresses else []
    lines += [f"tcp dport {node.ports.get('proxy', node.ports['api'])} accept"] if node.rank == 0 else []
    body = "".join(f"    {line}\n" for line in [*lines, "drop"])
    chain = f"  chain input {{\n    type filter hook input priority 10; policy accept;\n{body}  }}\n"
    return f"{HEAD}table inet {name}\ndelete table inet {name}\ntable inet {name} {{\n{chain}}}\n"


def unit(cluster: str, nft: str) -> str:
    """Sets the table at boot, and again whenever nftables.service flushed it."""
    return f"""\
{HEAD}[Unit]
Description=Firewall of bringup
After=nftables.service firewalld.service
PartOf=nftables.service
Before=docker.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={nft} -f {FILE}
ExecStop=-{nft} delete table inet {table(cluster)}

[Install]
WantedBy=multi-user.target
"""
