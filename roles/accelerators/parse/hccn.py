"""What `hccn_tool -i N -... -g` prints, errors included: they may come on either stream."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Generic, TypeVar

from roles.accelerators.parse.reading import Refused, Unreadable, Unsupported, first_line

T = TypeVar("T")
REFUSALS = (
    "hccn_tool is busy",
    "permission denied",
    "The device is not exist",
    "Command execute failed",
    "The cmd line execute timeout",
    "the time for hccn_tool was up",
)
LINK_DOWN = "Link status is down"


@dataclass(frozen=True)
class Address:
    """A card's RoCE address; the mask may be nonsense."""

    ip: str
    mask: str

    @cached_property
    def prefix(self) -> int | None:
        """The mask's length, or nothing for a mask that is none: ones, then noughts."""
        bits = f"{_number(self.mask):032b}" if _is_ip(self.mask) else "01"
        return None if "01" in bits else bits.count("1")

    def sees(self, ip: str) -> bool:
        """Whether `ip` is in this card's own subnet."""
        return self.prefix is not None and (_number(self.ip) ^ _number(ip)) >> (32 - self.prefix) == 0

    def __str__(self) -> str:
        return f"{self.ip}/{self.mask if self.prefix is None else self.prefix}"


@dataclass(frozen=True)
class Neighbour:
    """Who sits at the other end of a card's cable."""

    port: str
    system: str
    chassis: str


@dataclass(frozen=True)
class Vnic:
    """An A3 chip's port into the super pod."""

    up: bool
    ip: str
    mask: str


@dataclass(frozen=True)
class Ping:
    """Packets sent and received, and what a lost one is called."""

    sent: int
    received: int
    why: str

    @property
    def ok(self) -> bool:
        return self.sent > 0 and self.received == self.sent


@dataclass(frozen=True)
class Query(Generic[T]):
    """One of the tool's questions. `vital`: without its answer nobody should start."""

    name: str
    read: Callable[[str], T]
    vital: bool = True


@lru_cache(maxsize=1 << 14)
def _number(ip: str) -> int:
    return int(ipaddress.IPv4Address(ip))


def _is_ip(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _ip(text: str, what: str, line: str) -> str:
    if not _is_ip(text):
        raise Unreadable(what, line)
    return text


def _value(text: str, what: str, pattern: str) -> re.Match[str]:
    """The first match, else the tool's own refusal, else the line that is not understood."""
    found = re.search(pattern, text, re.MULTILINE)
    if found:
        return found
    refuse(text)
    raise Unreadable(f"hccn_tool -{what}", first_line(text))


def refuse(text: str) -> None:
    """Raise what the tool itself says against an answer."""
    if "not supported on this product" in text:
        raise Unsupported("The command is not supported on this product")
    for words in REFUSALS:
        if words in text:
            raise Refused(words if words.startswith(("hccn", "the time")) else f"hccn_tool: {words}")


def link(text: str) -> str:
    return _value(text, "link", r"^link status:\s*(\S+)\s*$")[1]


def net_health(text: str) -> str:
    """`Success`, or the word for what is wrong."""
    if "Get device health status failed" in text:
        return "Get device health status failed"
    return _value(text, "net_health", r"^net health status:\s*(\S.*?)\s*$")[1]


def netdetect(text: str) -> str | None:
    """The address the card watches; nothing where none is set."""
    if not text.strip():
        return None
    found = _value(text, "netdetect", r"^netdetect addr(?:ess)?:[ \t]*(\S*)\s*$")[1]
    return None if found in ("", "0.0.0.0") else _ip(found, "hccn_tool -netdetect", found)  # noqa: S104 - the tool's word for none


def gateway(text: str) -> str | None:
    if "no gateway was preset" in text:
        return None
    found = _value(text, "gateway", r"^default gateway:\s*([^\s,]+)")[1]
    return _ip(found, "hccn_tool -gateway", found)


def ip(text: str) -> Address | None:
    if "no ip was preset" in text:
        return None
    address = _value(text, "ip", r"^ipaddr:\s*(\S+)\s*$")[1]
    mask = _value(text, "ip", r"^netmask:\s*(\S+)\s*$")[1]
    return Address(_ip(address, "hccn_tool -ip", f"ipaddr:{address}"), mask)


def lldp(text: str) -> Neighbour | None:
    """The switch port a card is plugged into; nothing where nobody announces himself."""
    if not text.strip() or ("failed" in text and "TLV" not in text and "Command execute" not in text):
        return None
    _value(text, "lldp", r"^End of LLDPDU TLV\s*$")
    values: dict[str, str] = {}
    title = ""
    for line in text.splitlines():
        if line[:1].isspace():
            values.setdefault(title, line.strip())
        else:
            title = line.removesuffix(" TLV").strip()
    port = values.get("Port ID", "").partition(":")[2].strip()
    return Neighbour(port, values.get("System Description", ""), values.get("Chassis ID", "").partition(":")[2].strip()) if port else None


def vnic(text: str) -> Vnic:
    up = _value(text, "vnic", r"^vnic link status:\s*(\S+)\s*$")[1] == "UP"
    if not up:
        return Vnic(False, "", "")
    found = [_value(text, "vnic", rf"^vnic {word}:\s*(\S+)\s*$")[1] for word in ("ipaddr", "netmask")]
    return Vnic(True, _ip(found[0], "hccn_tool -vnic", found[0]), found[1])


def tls(text: str) -> int:
    """The switch: 0 or 1."""
    return int(_value(text, "tls", r"tls switch\[([01])\]")[1])


def process(text: str) -> bool:
    """Whether a communication process lives on the card."""
    return _value(text, "process", r"^device hccp process:\s*(exist|not exist)\s*$")[1] == "exist"


def ping(text: str) -> Ping:
    """Both -ping and -hccs_ping."""
    if LINK_DOWN in text:
        return Ping(3, 0, "the card's link is down")
    found = _value(text, "ping", r"^(\d{1,6}) packets transmitted, (\d{1,6}) received,")
    lost = re.search(r"^(?:This pkt (?!ping success)(.+)|(recv time out).*)$", text, re.MULTILINE)
    return Ping(int(found[1]), int(found[2]), (lost[1] or lost[2]).strip().rstrip("!") if lost else "")


LINK = Query("link", link)
IP = Query("ip", ip)
NET_HEALTH = Query("net_health", net_health)
TLS = Query("tls", tls)
LLDP = Query("lldp", lldp, vital=False)
NETDETECT = Query("netdetect", netdetect, vital=False)
GATEWAY = Query("gateway", gateway, vital=False)
PROCESS = Query("process", process, vital=False)
VNIC = Query("vnic", vnic)
PING = Query("ping", ping)
EVERY: tuple[Query[Any], ...] = (LINK, IP, NET_HEALTH, TLS, LLDP, NETDETECT, GATEWAY, PROCESS, VNIC)
"""What the probe asks of every card."""
