"""The menu of faults."""

from __future__ import annotations

from typing import Any

from tests.faults.reach import REACH
from tests.faults.trouble import CUT, ENDED, GONE, MIDWAY, NET_GONE, NIC, NO_TAG, SLOWLY, WHOLE, Group, Trouble
from tests.lab.faults import BATCHES, CARDS, Fault


def of_check(batch: str, fault: Fault) -> Trouble:
    """A fault that the look before serve must find."""
    groups: dict[str, Group] = {"ascend": "cards", "stale": "host", "node": "host", "network": "network", "docker": "docker"}
    group = groups.get(fault.check.partition(".")[0], fault.check.partition(".")[0])
    return Trouble(
        f"{fault.name} on rank 0" if fault.node == "n0" and "port taken" in fault.name else fault.name, group, f"{fault.check}", fault.make, fault.mend, node=fault.node, data=fault.data, host=fault.host,  # type: ignore[arg-type]
        code=1 if fault.level == "fail" else None, often=fault.name == "link down", recipe="lab/a2-dual" if batch in CARDS else "lab/a2-dual-tp1",
    )  # fmt: skip


SKIPPED = {
    "somebody holds the lock",
    "own name does not resolve",
    "a healthy copy",
    "the image is there too",
    "a value the engine does not know",
    "no folder",
    "no Docker daemon",
}
"""They need what a serve by the double has not, or are in the menu below in another form."""


def engine(knob: str, says: str, node: str = "n0", names: bool = False, often: bool = False, **more: Any) -> Trouble:
    return Trouble(
        f"engine: {knob.partition('=')[0] if 'fatal' in knob else knob}",
        "engine",
        says,
        node=node,
        data={"env": {"DOUBLE": knob}},
        names=names,
        often=often,
        **more,
    )


STAGES = ("container", "engine", "distributed", "weights", "loaded", "kv-cache", "ready", "http")
ENGINE = [
    *(engine(f"die={s}", rf"told to die at {s}\b", often=s == "weights") for s in STAGES),
    *(engine(f"die@1={s}", rf"told to die at {s}\b", "n1", names=True) for s in ("distributed", "weights", "kv-cache")),
    engine("stall=kv-cache", "stalled: no log line.* in stage kv-cache", within=100),
    engine("fatal=EI0006 Getting socket times out", "EI0006 Getting socket times out"),
    engine("oom", r"(CUDA|NPU) out of memory\. Tried to allocate"),
    engine("unrecognized=--max-num-seqs", "unrecognized arguments: --max-num-seqs", names=True),
    engine("lie", "HTTP 500", names=True, left=True),
    engine("models=other", "the model list has other", names=True),
    engine("garbled", "looks garbled", names=True),
    engine("mute=1", "rank 1 did not answer", names=True, left=True),
    engine("hang", "did not answer one short completion", names=True, left=True),
    engine("deaf", "stalled: no log line.* in stage (ready|http)", within=100),
]  # fmt: skip

SESSIONS = "kill -9 $(ps -eo pid,args | awk '/sshd: root/ && !/awk/ {print $1}')"

AWAY = "ip route show default | head -n 1 >/root/route; ip route replace default via 10.78.0.1 dev enp1s0f0"
"""The lab's nodes answer SSH over the cluster's interface; a fault of it must not cut SSH off."""
BACK = "ip route replace $(cat /root/route)"

OTHERS = [
    Trouble("SSH sessions dropped while the engine loads", "ssh", "", SESSIONS, at="weights", data=MIDWAY, code=0, names=False, often=True),
    Trouble("image by a digest that nobody has", "image", f"^image: .*({NO_TAG})", data={"image": "registry.lab:5000/bringup/engine-double@sha256:" + "0" * 64}, names=False),
    Trouble("no room where Docker unpacks", "disk", "^image: .*no space left on device",
            "docker image rm -f {image} >/dev/null 2>&1; mkdir -p /var/lib/docker/tmp && mount -t tmpfs -o size=256k tmpfs /var/lib/docker/tmp",
            "umount /var/lib/docker/tmp", data={"image": "registry.lab:5000/bringup/vllm-cpu:v0.32.0"}, within=90),
    Trouble("a byte of a shard is flipped", "weights", r"^weights: model-00002-of-00003\.safetensors is not the one of",
            "printf X | dd of=/root/faulty/model-00002-of-00003.safetensors bs=1 seek=5000 conv=notrunc status=none", "rm -rf /root/faulty",
            both="rm -rf /root/faulty && cp -r /opt/lab/shared/models/chain /root/faulty", data={"weights": "/root/faulty"}),
    Trouble("NIC down", "network", "network.nic", f"{AWAY}; ip link set {NIC} down", f"ip link set {NIC} up; {BACK}", often=True),
    Trouble("NIC renamed", "network", "network.nic", f"{AWAY}; ip link set {NIC} down; ip link set {NIC} name other0; ip link set other0 up", f"ip link set other0 down; ip link set other0 name {NIC}; ip link set {NIC} up; {BACK}"),
    Trouble("address of another node, too", "network", r"^network\.subnet: .* is reached by lo\b|^network\.reach: .*: no answer", f"ip addr add 10.77.0.11/24 dev {NIC}", f"ip addr del 10.77.0.11/24 dev {NIC}"),
    Trouble("every fifth packet lost", "network", "", f"iptables -I INPUT -i {NIC} -m statistic --mode random --probability 0.2 -j DROP",
            f"iptables -D INPUT -i {NIC} -m statistic --mode random --probability 0.2 -j DROP", code=None, names=False, within=120),
    Trouble("network cut while the engine loads", "network", NET_GONE, CUT, WHOLE, at="weights", data=MIDWAY, names=False, within=105),
    Trouble("Docker hung", "docker", "docker.running", "kill -STOP $(pidof dockerd)", "kill -CONT $(pidof dockerd)", within=180),
    Trouble("Docker killed while the engine loads", "docker", ENDED, "systemctl kill -s KILL docker.service", "systemctl start docker.service",
            at="weights", data=MIDWAY, often=True),
    Trouble("Docker restarted while the engine loads", "docker", ENDED, "systemctl restart docker.service", at="weights", data=MIDWAY),
    Trouble("node without power while the engine loads", "node", GONE, lab="power", at="weights", data=SLOWLY, within=90, often=True),
    Trouble("node without power before", "node", r"not whole: \S+ \(not reached by SSH\)", lab="power"),
    Trouble("unit stopped by somebody while the engine loads", "node", "the unit ended", "systemctl stop bringup-{cluster}-r0", at="weights", data=MIDWAY),
    Trouble("unit's script killed while the engine loads", "node", "", "systemctl kill -s KILL bringup-{cluster}-r0", at="weights", data=MIDWAY, code=None,
            names=False),
    *(Trouble(f"Ctrl-C in {s}", "controller", "", signal="INT", at=s, data=MIDWAY, code=130, names=False) for s in ("start", "weights", "proof")),
    *(Trouble(f"controller killed in {s}", "controller", "", signal="KILL", at=s, data=MIDWAY, code=-9, names=False)
      for s in ("start", "weights", "proof")),
    Trouble("another controller holds the nodes", "controller", "held by kim@elsewhere",
            "mkdir -p /var/lib/bringup/{cluster}/lock && echo 'kim@elsewhere (process 1), serve' >/var/lib/bringup/{cluster}/lock/holder",
            "rm -rf /var/lib/bringup/{cluster}/lock"),
    Trouble("rank 1 has the address of rank 0", "inventory", r'"address" is 10\.77\.0\.11, which .* has too', host={"address": "10.77.0.11"}, code=2, names=False),
    Trouble("two ranks 0", "inventory", '"rank" is 0, which .* has too', host={"rank": 0}, code=2, names=False),
    Trouble("a recipe nobody knows", "inventory", """"recipe" is 'lab/a2-duel', expected a recipe""", data={"recipe": "lab/a2-duel"}, code=2, names=False),
]  # fmt: skip

MENU: list[Trouble] = [
    *(of_check(batch, f) for batch, faults in BATCHES.items() for f in faults if f.name not in SKIPPED),
    *OTHERS,
    *REACH,
    *ENGINE,
]
