"""hccn_tool: what it answers to -g."""

from __future__ import annotations

from collections.abc import Callable

from . import hccn_set
from .faults import BUSY, countdown
from .hccn_set import error
from .holders import holders
from .model import Node, Npu
from .state import Answer, Paths

USAGE = "Usage: hccn_tool -i <device_id> <-command> <-g | -s | ...> [parameters]"
PROBE = 3


def answer(node: Node, argv: list[str], paths: Paths) -> Answer:
    if paths.uid != 0:
        return error("permission")
    if countdown(paths, node.hccn.busy):
        return BUSY
    if "-i" not in argv[:-1]:
        return Answer(f"{USAGE}\n", "", 3)
    at = argv.index("-i")
    words = argv[:at] + argv[at + 2 :]
    if not argv[at + 1].isdigit() or not (device := node.npus.get(int(argv[at + 1]))) or not device.present:
        return error("no device")
    if not (paths.dev / "davinci_manager").exists():
        return error("failed")
    index = int(argv[at + 1])
    # Newer manuals put the mode before the command.
    if words[:1] in (["-g"], ["-s"]):
        words[:2] = words[1::-1]
    command, mode, rest = (words[0] if words else ""), (words[1] if len(words) > 1 else ""), words[2:]
    if command == "-cfg":
        return hccn_set.recover(paths, index) if mode == "recovery" else Answer("config status:NONE\n")
    if mode == "-s" and command in hccn_set.SETTERS:
        return hccn_set.change(node, paths, index, command, rest)
    if mode == "-g" and command in GETTERS:
        return GETTERS[command](node, index, rest, paths)
    return Answer(f"{USAGE}\ncommands: {', '.join(GETTERS)}, -cfg\n", "", 3)


Getter = Callable[[Node, int, list[str], Paths], Answer]


def lines(*text: str) -> Answer:
    return Answer("".join(f"{t}\n" for t in text))


def plain(render: Callable[[Npu, int], Answer]) -> Getter:
    """A getter that needs no more than the device and its number."""
    return lambda node, index, rest, paths: render(node.npus[index], index)


def gateway(d: Npu, index: int) -> Answer:
    return lines(f"default gateway:{d.gateway}, Iface:eth{index}") if d.gateway else error("no gateway")


def ip(d: Npu, _: int) -> Answer:
    return lines(f"ipaddr:{d.ip}", f"netmask:{d.netmask}") if d.ip else error("no ip")


def netdetect(node: Node, d: Npu) -> Answer:
    return lines(f"netdetect {node.hccn.netdetect_label}: {d.netdetect or '0.0.0.0'}")


def net_health(d: Npu, _: int) -> Answer:
    word = d.net_health
    if word == "failed":
        return error("health")
    if word == "auto":
        # Without an address to watch the check never starts.
        word = "Fault" if d.link == "DOWN" else "Success" if d.netdetect else "Init"
    return lines(f"net health status: {word}")


def tls(d: Npu, index: int) -> Answer:
    switch = f"tls switch[{d.tls}](0:disable, 1:enable)"
    preset = f"tls preconfigured[{d.tls_preset}](0:non-preset, 1:preset)"
    return lines(f"dev_id:{index}, {switch}, {preset}, tls alarm time threshold[{d.tls_days}]days")


def lldp(d: Npu, _: int) -> Answer:
    if d.lldp is None or d.link == "DOWN":
        return Answer()
    blocks = (
        ("Chassis ID", f"MAC: {d.lldp_mac}"),
        ("Port ID", f"Ifname: {d.lldp}"),
        ("System Description", d.lldp_system),
        ("Management Address", f"IPv4: {d.lldp_address}"),
    )
    return lines(*(t for title, value in blocks for t in (f"{title} TLV", f"\t{value}")), "End of LLDPDU TLV")


def vnic(node: Node, index: int, rest: list[str], paths: Paths) -> Answer:
    d = node.npus[index]
    if node.family != "a3":
        return error("unsupported")
    if d.vnic_link == "DOWN":
        return lines("vnic link status: DOWN")
    return lines("vnic link status: UP", f"vnic ipaddr: {d.vnic_ip}", f"vnic netmask: {d.vnic_netmask}")


def process(node: Node, index: int, rest: list[str], paths: Paths) -> Answer:
    word = node.npus[index].hccp
    if word == "auto":
        word = "exist" if index in holders(paths.proc, paths.dev, "davinci") else "not exist"
    return lines(f"device hccp process: {word}")


def optical(d: Npu, _: int) -> Answer:
    if d.optical == "absent":
        return error("no optical")
    values = {"present": d.optical, "Tx Power": "4.4035 mW", "Rx Power": "1.0189 mW", "Tx Los Flag": "0x0", "Rx Los Flag": "0x0"}
    return lines("optical info:", *(f"{k:<20} : {v}" for k, v in values.items()))


def stat(d: Npu, _: int) -> Answer:
    names = ("mac_tx_mac_pause_num", "mac_rx_mac_pause_num", "mac_tx_pfc_pkt_num", "mac_rx_pfc_pkt_num", "mac_tx_bad_pkt_num")
    more = ("mac_rx_bad_pkt_num", "roce_rx_err_pkt_num", "roce_tx_err_pkt_num", "roce_unexpected_ack_num", "roce_qp_status_err_num")
    return lines("packet statistics:", *(f"{n}:0" for n in (*names, *more)))


def hw_stats(d: Npu, _: int) -> Answer:
    return lines("hw statistics:", *(f"{n}:0" for n in ("out_of_order", "packet_seq_err", "rx_icrc_encapsulated")))


def link_stat(d: Npu, index: int) -> Answer:
    tag = f"[device {index}]"
    change = "LINK UP" if d.link == "UP" else "LINK DOWN"
    return lines(
        f"{tag}current time        : Wed Jun  7 10:08:28 2023",
        f"{tag}link up count       : {d.link_ups}",
        f"{tag}link change records :",
        f"{tag}    Tue Jun  6 16:32:12 2023    {change}",
    )


def lost(node: Node, address: str) -> int:
    """How many of three packets to `address` get lost."""
    if address in node.fabric.loss:
        return round(PROBE * min(100, node.fabric.loss[address]) / 100)
    return 0 if address in node.peers() else PROBE


def ping(node: Node, index: int, rest: list[str], paths: Paths) -> Answer:
    d = node.npus[index]
    if rest[:1] != ["address"] or len(rest) < 2:
        return Answer(f"{USAGE}\n", "", 4)
    if d.link == "DOWN":
        return error("link down")
    if d.ip is None:
        return error("failed")
    gone = lost(node, rest[1])
    seen = [f"recv seq={n},time=0.114000ms" if n < PROBE - gone else f"recv time out seq={n}" for n in range(PROBE)]
    total = f"{PROBE} packets transmitted, {PROBE - gone} received, {gone * 100 / PROBE:.2f}% packet loss"
    done = lines(f"device {index} PING {rest[1]}", *seen, total)
    return done._replace(err="Command execute failed!\n", code=1) if gone else done


def hccs_ping(node: Node, index: int, rest: list[str], paths: Paths) -> Answer:
    if node.family != "a3":
        return error("unsupported")
    if rest[:1] != ["address"] or len(rest) < 2:
        return Answer(f"{USAGE}\n", "", 4)
    gone = PROBE if node.npus[index].vnic_link == "DOWN" else lost(node, rest[1])
    out = [f"device {index} PING {rest[1]}", ""]
    for n in range(PROBE):
        good = n < PROBE - gone
        out.append(f"This pkt {'ping success!' if good else node.fabric.hccs_word}")
        out.append(f"recv seq {n}, time = {'12.345' if good else '0.000'}us, L1 plane check result = 0x0")
    out.append(f"{PROBE} packets transmitted, {PROBE - gone} received, {gone * 100 / PROBE:.2f}% packets loss")
    mean = "0.000" if gone == PROBE else "12.345"
    return lines(*out, *(f"{n} time {mean}us" for n in ("max", "min", "average", "TP95")))


GETTERS: dict[str, Getter] = {
    "-link": plain(lambda d, i: lines(f"link status: {d.link}")),
    "-lldp": plain(lldp),
    "-net_health": plain(net_health),
    "-netdetect": lambda node, index, rest, paths: netdetect(node, node.npus[index]),
    "-gateway": plain(gateway),
    "-ip": plain(ip),
    "-vnic": vnic,
    "-ping": ping,
    "-hccs_ping": hccs_ping,
    "-tls": plain(tls),
    "-process": process,
    "-speed": plain(lambda d, i: lines(f"Speed: {d.speed} Mb/s" if d.link == "UP" else "Speed: Unknown!")),
    "-optical": plain(optical),
    "-stat": plain(stat),
    "-hw_stats": plain(hw_stats),
    "-link_stat": plain(link_stat),
    "-mtu": plain(lambda d, i: lines(f"mtu:{d.mtu}")),
}
