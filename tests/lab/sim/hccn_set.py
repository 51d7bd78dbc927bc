"""hccn_tool: its errors, what it answers to -s, and the port configuration it keeps in /etc/hccn.conf."""

from __future__ import annotations

from collections.abc import Callable

from . import conf
from .model import Node
from .state import Answer, Paths, edit, put

DONE = Answer("Cmd executed successfully!\n")
# Text, whether it goes to stderr, and the low byte of the tool's own error number.
ERRORS = {
    "permission": ("permission denied: pls check this cmd run permission.", True, 12),
    "unsupported": ("The command is not supported on this product.", False, 13),
    "failed": ("Command execute failed!", True, 1),
    "no gateway": ("Get gateway failed, because no gateway was preset there!", True, 2),
    "health": ("Get device health status failed!", True, 3),
    "no device": ("The device is not exist!", True, 4),
    "no ip": ("Get ipconf failed, because no ip was preset there!", True, 13),
    "no optical": ("Optical module is not present.", False, 20),
    "link down": ("Execute failed: Link status is down.", True, 22),
    "timeout": ("The cmd line execute timeout!", True, 1),
}


def error(name: str) -> Answer:
    text, to_stderr, code = ERRORS[name]
    return Answer("", f"{text}\n", code) if to_stderr else Answer(f"{text}\n", "", code)


def address(text: str) -> str:
    from ipaddress import IPv4Address

    return str(IPv4Address(text))


def one_of(*words: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return check


# Command: its words, the state's field for each, and how the value is read.
SETTERS: dict[str, tuple[tuple[str, str, Callable[[str], object]], ...]] = {
    "-link": (("", "link", lambda t: one_of("up", "down")(t).upper()),),
    "-tls": (("enable", "tls", lambda t: int(one_of("0", "1")(t))),),
    "-ip": (("address", "ip", address), ("netmask", "netmask", address)),
    "-gateway": (("gateway", "gateway", address),),
    "-netdetect": (("address", "netdetect", address),),
    "-mtu": (("size", "mtu", int),),
}


def change(node: Node, paths: Paths, index: int, command: str, rest: list[str]) -> Answer:
    """Set what `rest` says, in the state and in hccn.conf."""
    wanted = SETTERS[command]
    if command == "-tls" and node.npus[index].tls_refuses:
        return error("failed")
    words = ["", *rest] if wanted[0][0] == "" else rest
    given = dict(zip(words[::2], words[1::2], strict=False))
    if len(words) % 2 or set(given) != {word for word, _, _ in wanted}:
        return Answer(f"{command} -s wants: {' '.join(f'{w} <{f}>'.strip() for w, f, _ in wanted)}\n", "", 4)
    try:
        values = {name: parse(given[word]) for word, name, parse in wanted}
    except ValueError as e:
        return Answer("", f"The parameter is invalid: {e}\n", 1)
    with edit(paths) as raw:
        for name, value in values.items():
            put(raw, ("devices", index, name), value)
    conf.update(paths, index, values)
    return DONE


def recover(paths: Paths, index: int) -> Answer:
    """The port as /etc/hccn.conf has it, and up again."""
    kept = conf.read(paths)
    with edit(paths) as raw:
        put(raw, ("devices", index, "link"), "UP")
        for name, key in conf.KEYS.items():
            if (value := kept.get(f"{key}_{index}")) is not None:
                put(raw, ("devices", index, name), int(value) if value.isdigit() else value)
    return DONE
