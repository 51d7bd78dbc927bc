"""Faults of the way to a node, of a node as a whole, and of an inventory that is edited while its nodes serve."""

from __future__ import annotations

import base64
from pathlib import Path

from tests.faults.trouble import CUT, CUT_OFF, GONE, LATER, MIDWAY, NET_GONE, NO_TAG, OFF, ON, SLOWLY, WHOLE, Trouble

PORT, NOBODY = 9999, 65534
CODE = base64.b64encode(Path(__file__).with_name("relay.py").read_bytes()).decode()


def relay(to: str, delay: float, rate: int) -> tuple[str, str]:
    """TCP from the node to an address goes through a relay; and how to take it away. The kernel here has no netem."""
    rule = f"OUTPUT -p tcp -d {to} -m owner ! --uid-owner {NOBODY} -j REDIRECT --to-ports {PORT}"
    begin = f"systemd-run -q --unit relay --uid {NOBODY} python3 /run/relay.py {PORT} {delay} {rate}"
    made = f"echo {CODE} | base64 -d >/run/relay.py; {begin}; sleep 1; iptables -t nat -I {rule}"
    return made, f"iptables -t nat -D {rule}; systemctl stop relay; rm -f /run/relay.py"


FRESH = "docker image rm -f $(docker image ls -aq); "
"""Every image that no container uses: others share its layers."""
LATE, LATE_MENDED = relay("10.77.0.11", 0.2, 50 << 20)
SLOW, SLOW_MENDED = relay("10.77.0.1", 0.1, 2 << 20)
MUTE, MUTE_MENDED = relay("10.77.0.1", 0, 0)
KEY = "/lab/ssh_host_ed25519_key"

REACH = [
    Trouble("another host key", "ssh", r"[Hh]ost key for \S+ does not match", f"cp -p {KEY} /lab/kept && rm {KEY} && ssh-keygen -q -t ed25519 -N '' -f {KEY} && systemctl restart ssh",
            f"mv /lab/kept {KEY}; ssh-keygen -y -f {KEY} >{KEY}.pub; systemctl restart ssh"),
    Trouble("SSH answers a second late, each time", "ssh", "", "echo 'sleep 1' >/etc/ssh/sshrc", "rm -f /etc/ssh/sshrc", code=0, names=False),
    *(Trouble(f"node cut off in {s}", "ssh", GONE, OFF, ON, at=s, data=SLOWLY, within=w) for s, w in (("start", 75), ("weights", 100), ("proof", 100))),
    Trouble("node cut off in look", "ssh", GONE, OFF, ON, at="look", within=100),
    Trouble("node cut off in kv-cache", "ssh", GONE, OFF, ON, at="kv-cache", data=LATER, within=100),
    *(Trouble(f"cluster network cut in {s}", "network", NET_GONE, CUT, WHOLE, at=s, data=MIDWAY, names=False, within=w) for s, w in (("start", 85), ("proof", 105))),
    Trouble("every packet to rank 0 late by 0.2 s", "network", "", LATE, LATE_MENDED, code=0, names=False),
    Trouble("second address on the NIC", "network", "", "ip addr add 10.77.1.77/23 dev enp67s0f0np0", "ip addr del 10.77.1.77/23 dev enp67s0f0np0",
            code=0, names=False),
    Trouble("a slow registry", "image", "", FRESH + SLOW, SLOW_MENDED, code=0, names=False),
    Trouble("a registry that takes and never answers", "image", "^image: .*(time-?out|Timeout|deadline exceeded|request canceled)", FRESH + MUTE, MUTE_MENDED, within=85),
    Trouble("no Docker before", "docker", "", "systemctl stop docker.service docker.socket", "systemctl start docker.socket docker.service", code=0),
    Trouble("node paused while the engine loads", "node", GONE, lab="pause", at="weights", data=SLOWLY, within=160),
    Trouble("node paused before its start", "node", GONE, lab="pause", at="start", data=SLOWLY, within=135),
    Trouble("node rebooted while the engine loads", "node", f"{GONE}|is (silent|down|waiting|absent)", lab="reboot", at="weights", data=SLOWLY, within=90),
    Trouble("node paused in kv-cache", "node", GONE, lab="pause", at="kv-cache", data=LATER, within=160),
    Trouble("node rebooted in look", "node", "connection was lost|not reached", lab="reboot", at="look"),
    Trouble("node rebooted before its start", "node", "connection was lost|could not be started", lab="reboot", at="start", data=MIDWAY),
    *(Trouble(f"Ctrl-C in {s}", "controller", "", signal="INT", at=s, data=LATER, code=130, names=False) for s in ("look", "kv-cache")),
    *(Trouble(f"controller killed in {s}", "controller", "", signal="KILL", at=s, data=LATER, code=-9, names=False) for s in ("look", "kv-cache")),
    Trouble("rank 0's node without power in the proof", "node", f"{GONE}|^proof .*({CUT_OFF})", node="n0", lab="power", at="proof", data=MIDWAY),
    Trouble("a second controller while the first serves", "controller", r"held by \S+ \(process \d+\), serve", lab="second", at="weights", data=MIDWAY, names=False, serves=True),
    Trouble("edited: weights that are not there", "inventory", "weights.present", data={"weights": "/opt/lab/shared/models/none"}, serves=True),
    Trouble("edited: a flag that the engine does not have", "inventory", '"flags.no-such-flag" is not a flag', data={"flags": {"no-such-flag": 1}}, code=2, names=False, serves=True),
    Trouble("edited: a port of another use", "inventory", '"ports.rpc" is 20004, which collides with api', data={"ports": {"rpc": 20004}}, code=2, names=False, serves=True),
    Trouble("edited: a node is left out", "inventory", "has 1 node, expected exactly 2", members=("n0",), code=2, names=False, serves=True),
    Trouble("edited: an engine that dies", "inventory", r"told to die at weights\b", data={"env": {"DOUBLE": "die=weights"}}, names=False, serves=True),
    Trouble("edited: an image that nobody has", "inventory", f"^image: .*({NO_TAG})", data={"image": "registry.lab:5000/bringup/none:1"}, names=False, serves=True),
    Trouble("edited: the ranks change places", "inventory", "", members=("n1", "n0"), code=0, names=False, serves=True),
]  # fmt: skip
