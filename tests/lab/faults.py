"""Faults of a lab node, as data: how each is made, which check it is for, how it is taken away."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SIM = "python3 /opt/lab/sim/main.py"
W = "/root/faulty"
LINK = "/usr/sbin/ip link"


@dataclass(frozen=True)
class Fault:
    """One thing wrong on one node. `also` are findings that follow from it and cannot be told apart."""

    name: str
    check: str
    make: str = ":"
    mend: str = ":"
    level: str = "fail"
    node: str = "n1"
    data: dict[str, Any] = field(default_factory=dict)
    host: dict[str, Any] = field(default_factory=dict)
    also: tuple[tuple[str, str], ...] = ()
    cure: bool = False
    """The finding's fix is a command that, run on the node, takes it away."""


def sim(
    name: str, check: str, settings: str, level: str = "fail", node: str = "n1", cure: bool = False, also: tuple[tuple[str, str], ...] = ()
) -> Fault:
    return Fault(name, check, f"{SIM} set {settings}", f"{SIM} reset", level, node, also=also, cure=cure)


def port(number: int, name: str, node: str = "n0") -> Fault:
    unit = f"taker-{number}"
    listens = f"for i in $(seq 100); do ss -Hltn 'sport = :{number}' | grep -q . && break; sleep 0.1; done"
    make = f"systemd-run -q --unit {unit} python3 -m http.server {number}; {listens}"
    return Fault(f"{name} port taken", "network.ports", make, f"systemctl stop {unit}", node=node)


REAL = "registry.lab:5000/bringup/vllm-cpu:v0.32.0"
PULL = f"docker image inspect {REAL} >/dev/null 2>&1 || docker pull -q {REAL}"
WEIGHTS = {"weights": W}
COPY = f"rm -rf {W} && cp -r /opt/lab/shared/models/chain {W}"
GONE = f"rm -rf {W}"

# Faults of one batch are made together: each must be found, and nothing else.
BATCHES: dict[str, list[Fault]] = {
    "cards": [
        sim("link down", "ascend.link", "link.3=DOWN"),
        sim("an ill card", "ascend.health", "health.2=Alarm errors.2=80E01801"),
        sim("an old driver", "ascend.driver", "driver=24.1.rc1", also=(("n1", "ascend.driver-same"), ("n1", "ascend.firmware"))),
        sim("memory held by nobody", "ascend.idle", "hbm_lost.5=20000"),
        sim("installation not complete", "ascend.install", "install=incomplete"),
    ],
    "ports of cards": [
        sim("TLS differs", "ascend.tls", "tls.2=1", cure=True),
        sim("no address", "ascend.address", "ip.4=none"),
        sim("port watches nothing", "ascend.netdetect", "netdetect.1=none", level="warn"),
        sim("a device file is gone", "ascend.devices", "file.7=false"),
        sim("firmware outside the driver's range", "ascend.firmware", "firmware=1.0.0.0"),
    ],
    "fabric": [
        sim("a card does not answer a ping", "ascend.ping", "loss.10.30.0.12=100"),
        sim("address twice", "ascend.duplicate", "ip.6=10.30.0.16", also=(("n0", "ascend.duplicate"),)),
        sim("no neighbour", "ascend.lldp", "lldp.0=none", level="warn"),
        sim("a leftover of HCCL", "ascend.hccp", "hccp.1=exist", level="warn"),
    ],
    "no answer": [sim("npu-smi says -8005", "ascend.answers", "npu_smi.dcmi=-8005")],
    "garbage": [sim("npu-smi talks nonsense", "ascend.answers", "npu_smi.garbage=binary")],
    "busy": [sim("hccn_tool stays busy", "ascend.answers", "hccn.busy=9999")],
    "half an answer": [sim("hccn_tool is cut short", "ascend.answers", "hccn.garbage=true")],
    "no registry": [
        Fault("a registry that is not there", "image.registry", data={"image": "10.77.0.250:5000/team/engine:v0.32.0"}, also=(("n0", "image.registry"),)),
    ],
    "a card less": [sim("a card is gone", "ascend.count", "present.7=false", also=(("n1", "ascend.devices"),))],
    "install is a folder": [sim("docker -v made a folder", "ascend.install", "install=directory")],
    "holders": [
        Fault(
            "a stranger holds a card", "ascend.holders",
            "systemd-run -q --unit holder --property=StandardInput=file:/dev/davinci5 sleep 300", "systemctl stop holder",
        ),
        Fault(
            "an orphaned engine", "stale.orphans",
            "setsid -f bash -c 'exec 3</dev/davinci6; exec -a VLLM::EngineCore sleep 300' </dev/null >/dev/null 2>&1",
            "kill $(ps -eo pid,args | awk '/VLLM::EngineCore/ && !/awk/ {print $1}')", node="n0", also=(("n0", "ascend.holders"),),
        ),
    ],
    "ports": [port(20004, "api"), port(2347, "rpc"), port(60007, "hccl"), port(60031, "hccl", "n1")],
    "network": [
        Fault("MTU differs", "network.mtu", f"{LINK} set enp67s0f0np0 mtu 1400", f"{LINK} set enp67s0f0np0 mtu 1500", cure=True,
              also=(("n0", "network.path-mtu"),)),
        Fault("own name does not resolve", "node.name", "cp /etc/hosts /root/hosts; cp /etc/resolv.conf /root/; grep -v n1 /root/hosts > /etc/hosts; echo nameserver 127.0.0.9 > /etc/resolv.conf", "cat /root/hosts > /etc/hosts; cat /root/resolv.conf > /etc/resolv.conf",
              level="warn", cure=True),
        Fault("clock an hour off", "node.clock", "echo 3600 > /lab/clock", "rm -f /lab/clock"),
    ],
    "firewall": [
        Fault(
            "a firewall between the nodes", "network.reach", "iptables -I OUTPUT -p tcp -d 10.77.0.11 --dport 20004 -j DROP",
            "iptables -D OUTPUT -p tcp -d 10.77.0.11 --dport 20004 -j DROP", also=(("n1", "firewall.rules"),),
        ),
    ],
    "wrong NIC": [
        Fault("NIC that does not exist", "network.nic", host={"nic": "enp67s0f0np9"}, also=(("n1", "network.address"),)),
    ],
    "wrong address": [
        Fault("address of nobody", "network.address", host={"address": "10.77.0.199"}, also=(("n0", "network.reach"), ("n0", "network.path-mtu"))),
    ],
    "host": [
        Fault("no room", "node.disk", "mkdir -p /var/lib/bringup && mount -t tmpfs -o size=16m tmpfs /var/lib/bringup", "umount /var/lib/bringup"),
        Fault("small shared memory", "node.shm", "mount -o remount,size=16m /dev/shm", "mount -o remount,size=2g /dev/shm"),
        Fault("somebody holds the lock", "node.lock", "mkdir -p /var/lib/bringup/site/lock; echo kim@pc > /var/lib/bringup/site/lock/holder",
              "rm -rf /var/lib/bringup/site", level="warn", node="n0"),
        Fault("no Docker daemon", "docker.running", "systemctl stop docker.socket docker.service", "systemctl start docker.service", level="warn"),
    ],
    "wrong processor": [
        Fault("inventory says another processor", "node.arch", data={"arch": "aarch64"}, also=(
            ("n0", "node.arch"), ("n0", "image.arch"), ("n1", "image.arch"), ("n0", "image.jemalloc"), ("n1", "image.jemalloc"),
        )),
    ],
    "not root": [Fault("no sudo", "node.root", host={"ssh_user": "ops"})],
    "unreached": [Fault("sshd is gone", "node.reached", "systemctl stop ssh.socket ssh.service", "systemctl start ssh.service")],
    "weights": [
        Fault("a shard is cut", "weights.index", f"{COPY} && truncate -s -100 {W}/model-00002-of-00003.safetensors", GONE, data=WEIGHTS,
              also=(("n1", "weights.same"), ("n1", "weights.present"))),
        Fault("a shard is missing", "weights.index", f"{COPY} && rm {W}/model-00001-of-00003.safetensors", GONE, node="n0", data=WEIGHTS,
              also=(("n0", "weights.same"), ("n0", "weights.present"))),
    ],
    "config": [
        Fault("config of another model", "weights.config", f"{COPY} && sed -i s/MiniMaxM2ForCausalLM/LlamaForCausalLM/ {W}/config.json", GONE, data=WEIGHTS,
              also=(("n1", "weights.same"),)),
        Fault("a healthy copy", "", COPY, GONE, node="n0", data=WEIGHTS),
    ],
    "no weights": [Fault("no folder", "weights.present", level="any", data={"weights": "/nowhere/at/all"}, also=(("n0", "weights.present"),))],
    "command": [
        Fault("a value the engine does not know", "image.command", PULL, data={"image": REAL, "flags": {"kv-cache-dtype": "fp9"}}, also=(("n0", "image.command"),)),
        Fault("the image is there too", "", PULL, node="n0"),
    ],
}  # fmt: skip

CARDS = ("cards", "ports of cards", "fabric", "a card less", "holders")
"""Batches that need all eight cards; the others run the plan that uses one, which is looked at in a quarter of the time."""
