"""/etc/hccn.conf: one key_N=value a line."""

from __future__ import annotations

from collections.abc import Mapping

from .model import Node
from .state import Paths

# The state's field and its key in the file.
KEYS = {"ip": "address", "netmask": "netmask", "netdetect": "netdetect", "gateway": "gateway", "mtu": "mtu", "tls": "tls_enable"}
ALWAYS = ("ip", "netmask", "netdetect", "gateway")


def render(node: Node) -> str:
    """The file as an installed node has it: addresses, and no key for what is unset."""
    out = []
    for index, device in node.npus.items():
        if device.ip is None:
            continue
        out += [f"{KEYS[n]}_{index}={getattr(device, n)}" for n in ALWAYS if getattr(device, n) is not None]
        out.append(f"send_arp_status_{index}=1")
    return "".join(f"{line}\n" for line in out)


def read(paths: Paths) -> dict[str, str]:
    try:
        text = (paths.root / "etc/hccn.conf").read_text(encoding="utf-8")
    except OSError:
        return {}
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def update(paths: Paths, index: int, values: Mapping[str, object]) -> None:
    """Put fields of one device into the file, and take out those that are None; other lines stay."""
    target = paths.root / "etc/hccn.conf"
    kept = read(paths)
    for name, value in values.items():
        if name not in KEYS:
            continue
        if value is None:
            kept.pop(f"{KEYS[name]}_{index}", None)
        else:
            kept[f"{KEYS[name]}_{index}"] = str(value)
    if kept != read(paths):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("".join(f"{k}={v}\n" for k, v in kept.items()), encoding="utf-8")
