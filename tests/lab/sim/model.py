"""What a simulated node is made of, with the defaults of each family."""

from __future__ import annotations

from dataclasses import dataclass, field

FAMILIES = ("a2", "a3", "nvidia", "rocm")
A2_BUS = ("C1", "C2", "81", "82", "01", "02", "41", "42")
A3_BUS = ("9D", "9F", "99", "9B", "95", "97", "91", "93", "8D", "8F", "89", "8B", "85", "87", "81", "83")
NVIDIA_BUS = ("18", "2A", "3A", "5D", "9A", "AB", "BA", "DB")
ROCM_BUS = ("05", "26", "46", "65", "85", "a6", "c6", "e5")

HEALTH_WORDS = ("OK", "Warning", "Alarm", "Critical", "UNKNOWN")
NET_HEALTH_WORDS = (
    *("auto", "Success", "Socket fail", "Receive timeout", "Unreachable", "Time exceeded", "Fault", "Init"),
    *("Thread error", "Detect ip set", "Unknown", "failed"),
)
CHOICES: dict[str, tuple[str, ...]] = {
    "family": FAMILIES,
    "layout": ("auto", "narrow", "wide", "v26"),
    "install": ("complete", "incomplete", "missing", "directory"),
    "health": HEALTH_WORDS,
    "link": ("UP", "DOWN"),
    "vnic_link": ("UP", "DOWN"),
    "net_health": NET_HEALTH_WORDS,
    "hccp": ("auto", "exist", "not exist"),
    "optical": ("present", "not present", "absent"),
    "fault": ("driver", "mismatch", "lost"),
}


@dataclass
class Device:
    """What NPU chips and GPUs have in common."""

    present: bool = True
    file: bool = True
    name: str = ""
    health: str = "OK"
    power: float = 95.2
    temp: int = 37
    bus: str = ""
    util: int = 0
    hbm_total: int = 65536
    hbm_idle: int = 3440
    hbm_lost: int = 0
    hbm_used: int | None = None
    process_mb: list[int] = field(default_factory=list)


@dataclass
class Npu(Device):
    """One Ascend chip and its RoCE port."""

    errors: list[str] = field(default_factory=list)
    error_text: str = "NA"
    hugepages_used: int = 0
    hugepages_total: int = 0
    link: str = "UP"
    net_health: str = "auto"
    netdetect: str | None = "10.30.0.1"
    gateway: str | None = "10.30.0.1"
    ip: str | None = None
    netmask: str = "255.255.0.0"
    mtu: int = 4096
    speed: int = 200000
    optical: str = "present"
    tls: int = 0
    tls_preset: int = 1
    tls_days: int = 60
    tls_refuses: bool = False
    lldp: str | None = None
    lldp_mac: str = ""
    lldp_system: str = "Lab switch"
    lldp_address: str = "10.30.0.1"
    hccp: str = "auto"
    vnic_link: str = "UP"
    vnic_ip: str = ""
    vnic_netmask: str = "255.255.255.0"
    link_ups: int = 1


@dataclass
class Gpu(Device):
    """One NVIDIA or AMD GPU."""

    uuid: str = ""
    power_cap: int = 700
    persistence: bool = True
    mig: bool = False
    ecc: bool = True
    ecc_corrected: int = 0
    ecc_uncorrected: int = 0
    ecc_corrected_total: int = 0
    ecc_uncorrected_total: int = 0
    nvlinks: int = 18
    nvlink_speed: str = "26.562"
    nvlink_down: list[int] = field(default_factory=list)


@dataclass
class Tool:
    """Faults that any tool can have."""

    slow: float = 0.0
    garbage: bool | str = False
    exit: int | None = None
    fail: str | None = None


@dataclass
class NpuSmi(Tool):
    """npu-smi's own faults."""

    dcmi: int | None = None


@dataclass
class Hccn(Tool):
    """hccn_tool's own faults."""

    busy: int = 0
    exclusive: bool = True
    netdetect_label: str = "address"


@dataclass
class NvidiaSmi(Tool):
    """nvidia-smi's own faults."""

    fault: str | None = None


@dataclass
class Fabric:
    """Who answers a ping, and who loses packets."""

    peers: list[str] | None = None
    loss: dict[str, int] = field(default_factory=dict)
    hccs_word: str = "check recv msg fail!"


@dataclass
class Spod:
    """A3's super pod."""

    size: int = 384
    id: int = 0
    server_index: int | None = None


@dataclass
class Node:
    """One node: versions, tools, devices."""

    family: str = "a2"
    node: int = 1
    nodes: int = 256
    tool: str | None = None
    layout: str = "auto"
    driver: str = "25.5.0"
    firmware: str = "7.7.0.1.231"
    install: str = "complete"
    names: bool = True
    cuda: str = "12.8"
    rocm: str = "6.4.3"
    npu_smi: NpuSmi = field(default_factory=NpuSmi)
    hccn: Hccn = field(default_factory=Hccn)
    nvidia_smi: NvidiaSmi = field(default_factory=NvidiaSmi)
    rocm_smi: Tool = field(default_factory=Tool)
    amd_smi: Tool = field(default_factory=Tool)
    fabric: Fabric = field(default_factory=Fabric)
    spod: Spod = field(default_factory=Spod)
    npus: dict[int, Npu] = field(default_factory=dict)
    gpus: dict[int, Gpu] = field(default_factory=dict)

    @property
    def ascend(self) -> bool:
        return self.family in ("a2", "a3")

    @property
    def chips(self) -> int:
        """Chips on one card: an A3 NPU has two."""
        return 2 if self.family == "a3" else 1

    @property
    def devices(self) -> dict[int, Npu] | dict[int, Gpu]:
        return self.npus if self.ascend else self.gpus

    def cards(self) -> list[int]:
        return sorted({i // self.chips for i, d in self.devices.items() if d.present})

    def peers(self) -> list[str]:
        """Addresses that answer: those of the state, or the default ones of every node of the lab."""
        if self.fabric.peers is not None:
            return self.fabric.peers
        numbers = range(self.nodes + 1)
        return [a for n in numbers for i in self.npus for a in (roce_ip(n, i), vnic_ip(n, i))]


SECTIONS: dict[str, type] = {
    **{"npu_smi": NpuSmi, "hccn": Hccn, "nvidia_smi": NvidiaSmi, "rocm_smi": Tool, "amd_smi": Tool},
    **{"fabric": Fabric, "spod": Spod},
}


def roce_ip(number: int, index: int) -> str:
    return f"10.{30 + number // 256}.{number % 256}.{10 + index}"


def vnic_ip(number: int, index: int) -> str:
    return f"192.{168 + number // 256}.{number % 256}.{199 - index}"


def npu(family: str, index: int, number: int) -> Npu:
    """Device `index` of node `number`, in good health."""
    port = Npu(ip=roce_ip(number, index), vnic_ip=vnic_ip(number, index))
    port.lldp = f"400GE1/{number}/{index + 1}:1"
    port.lldp_mac = f"02:00:00:00:{number:02x}:fe"
    if family == "a3":
        port.name, port.bus = "Ascend910", f"0000:{A3_BUS[index]}:00.0"
        port.hbm_idle = (3112, 2890)[index % 2]
    else:
        port.name, port.bus = "910B3", f"0000:{A2_BUS[index]}:00.0"
        port.hbm_idle, port.power = 3440 + index, 95.2 + index
    return port


def gpu(family: str, index: int, number: int) -> Gpu:
    """GPU `index` of node `number`, in good health."""
    import uuid

    text = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{family} {number} {index}"))
    if family == "rocm":
        bus = f"0000:{ROCM_BUS[index]}:00.0"
        return Gpu(name="AMD Instinct MI300X OAM", bus=bus, uuid=text, power=131.0, power_cap=750, hbm_total=196592, hbm_idle=297)
    bus = f"00000000:{NVIDIA_BUS[index]}:00.0"
    return Gpu(name="NVIDIA H200", bus=bus, uuid=f"GPU-{text}", power=76.0, temp=31, hbm_total=143771, hbm_idle=4)


def fresh(family: str, number: int = 1) -> Node:
    """A node of `family` in good health."""
    made = Node(family=family, node=number)
    if family == "nvidia":
        made.driver = "570.172.08"
    if family == "rocm":
        made.driver = "6.12.12"
    if made.ascend:
        made.npus = {i: npu(family, i, number) for i in range(8 * made.chips)}
    else:
        made.gpus = {i: gpu(family, i, number) for i in range(8)}
    return made
