"""The simulated hccn_tool: every good and bad text, and what -s changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.sim.faults import alone
from tests.unit.test_sim import Lab, sample


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "a2")


@pytest.fixture
def a3(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "a3", "a3")


WORDS = ("Socket fail", "Receive timeout", "Unreachable", "Time exceeded", "Fault", "Init", "Thread error", "Detect ip set", "Unknown")
OWN = ("ip.0=11.12.165.80", "netmask.0=255.255.255.0", "gateway.0=11.12.165.1", "netdetect.0=11.12.165.1", "fabric.peers=11.12.165.81")
CASES = [
    ("-link -g", [], "link.good", 0),
    ("-link -g", ["link.0=DOWN"], "link.bad", 0),
    ("-lldp -g", ["lldp.0=400GE1/1/5:1", "lldp_mac.0=xx:xx:xx:xx:xx:xx", "lldp_system.0=...", "lldp_address.0=10.0.0.1"], "lldp.good", 0),
    ("-lldp -g", ["lldp.0=none"], "", 0),
    ("-lldp -g", ["link.0=DOWN"], "", 0),
    ("-net_health -g", [], "net_health.good", 0),
    ("-net_health -g", ["link.0=DOWN"], "net_health.bad-fault", 0),
    ("-net_health -g", ["netdetect.0=none"], "net_health.bad-init", 0),
    *(("-net_health -g", [f"net_health.0={w}"], f"net_health.bad-{w.lower().replace(' ', '-')}", 0) for w in WORDS),
    ("-net_health -g", ["net_health.0=failed"], "net_health.error", 3),
    ("-netdetect -g", [], "netdetect.good", 0),
    ("-netdetect -g", ["hccn.netdetect_label=addr"], "netdetect.new", 0),
    ("-gateway -g", [], "gateway.good", 0),
    ("-gateway -g", ["gateway.0=none"], "gateway.error", 2),
    ("-ip -g", [], "ip.good", 0),
    ("-ip -g", ["ip.0=none"], "ip.error", 13),
    ("-vnic -g", [], "unsupported.error", 13),
    ("-hccs_ping -g address 192.168.2.199", [], "unsupported.error", 13),
    ("-ping -g address 11.12.165.81", [], "ping.good", 0),
    ("-ping -g address 11.12.165.81 pkt 64", [], "ping.good", 0),
    ("-ping -g address 11.12.165.81", ["loss.11.12.165.81=100"], "ping.bad", 1),
    ("-ping -g address 11.12.165.81", ["fabric.peers=10.0.0.1"], "ping.bad", 1),
    ("-ping -g address 11.12.165.81", ["link.0=DOWN"], "ping.error", 22),
    ("-tls -g", [], "tls.good", 0),
    ("-tls -g", ["tls.0=1"], "tls.bad", 0),
    ("-tls -s enable 0", [], "tls-set.good", 0),
    ("-tls -s enable 0", ["tls_refuses.0=true"], "tls-set.error", 1),
    ("-process -g", [], "process.idle", 0),
    ("-process -g", ["hccp.0=exist"], "process.held", 0),
    ("-optical -g", ["optical.0=absent"], "optical.error", 20),
    ("-link -g", ["hccn.busy=1"], "busy.error", 11),
    ("-link -g", ["device.0.present=false"], "no-device.error", 4),
    ("-link -g", ["hccn.fail=The cmd line execute timeout!"], "timeout.error", 1),
]


@pytest.mark.parametrize(("ask", "change", "name", "code"), CASES, ids=[f"{n or 'empty'}-{k}" for k, (_, _, n, _) in enumerate(CASES)])
def test_every_text_of_the_table_is_printed(lab: Lab, ask: str, change: list[str], name: str, code: int) -> None:
    lab.set(*OWN)
    if change:
        lab.set(*change)
    done = lab.hccn(0, *ask.split())
    printed = done.out if name.startswith("ping") and not name.endswith("error") else done.out + done.err
    assert (printed, done.code) == (sample(f"hccn/{name}") if name else "", code)


def test_what_the_tool_prints_as_an_error_goes_to_stderr(lab: Lab) -> None:
    lab.set("ip.0=none", "hccn.busy=1")
    assert lab.hccn(0, "-ip", "-g").err == "", "busy is an information"
    assert lab.hccn(0, "-ip", "-g").out == ""


def test_a_partial_loss_is_counted(lab: Lab) -> None:
    lab.set("loss.10.30.2.10=33")
    out = lab.hccn(0, "-ping", "-g", "address", "10.30.2.10").out
    assert "recv time out seq=2\n3 packets transmitted, 2 received, 33.33% packet loss\n" in out


def test_the_nodes_of_a_lab_reach_each_other_without_being_told(lab: Lab, a3: Lab, tmp_path: Path) -> None:
    second = Lab(tmp_path / "second", "a2", "--node", "0")
    address = second.hccn(7, "-ip", "-g").out.split()[0].removeprefix("ipaddr:")
    assert "3 received" in lab.hccn(0, "-ping", "-g", "address", address).out
    assert "0 received" in lab.hccn(0, "-ping", "-g", "address", "10.32.3.10").out
    assert "0.00% packets loss" in a3.hccn(0, "-hccs_ping", "-g", "address", "192.168.2.184").out


def test_the_vnic_of_an_a3(a3: Lab) -> None:
    a3.set("vnic_ip.4=192.168.2.199")
    assert a3.hccn(4, "-vnic", "-g").out == sample("hccn/vnic.good")
    a3.set("vnic_link.4=DOWN")
    assert a3.hccn(4, "-vnic", "-g").out == sample("hccn/vnic.bad")


@pytest.mark.parametrize("word", ["send fail!", "check recv msg fail!", "ping not start to send!"])
def test_hccs_ping_of_an_a3(a3: Lab, word: str) -> None:
    ask = ("-hccs_ping", "-g", "address", "192.168.2.199")
    assert a3.hccn(0, *ask).out == sample("hccn/hccs_ping.good")
    a3.set("loss.192.168.2.199=100", f"fabric.hccs_word={word}")
    assert a3.hccn(0, *ask).out == sample(f"hccn/hccs_ping.bad-{word.removeprefix('ping ').split()[0]}")


def test_other_commands_answer(lab: Lab) -> None:
    assert lab.hccn(0, "-speed", "-g").out == "Speed: 200000 Mb/s\n"
    assert "present              : present\n" in lab.hccn(0, "-optical", "-g").out
    assert lab.hccn(0, "-mtu", "-g").out == "mtu:4096\n"
    assert "[device 3]link up count       : 1\n" in lab.hccn(3, "-link_stat", "-g").out
    for command in ("-stat", "-hw_stats"):
        assert ":0\n" in lab.hccn(0, command, "-g").out
    assert lab.hccn(0, "-nothing", "-g").code == 3


def test_an_a3_numbers_ports_by_chip(a3: Lab) -> None:
    assert a3.hccn(15, "-link", "-g").code == 0
    assert a3.hccn(16, "-link", "-g").code == 4


def test_the_newer_word_order_is_understood(lab: Lab) -> None:
    assert lab.run("hccn_tool", "-g", "-link", "-i", "0").out == sample("hccn/link.good")


def test_link_down_and_recovery(lab: Lab) -> None:
    assert lab.hccn(3, "-link", "-s", "down").code == 0
    assert lab.hccn(3, "-link", "-g").out == sample("hccn/link.bad")
    assert lab.hccn(3, "-net_health", "-g").out == sample("hccn/net_health.bad-fault")
    assert lab.hccn(2, "-link", "-g").out == sample("hccn/link.good")
    assert lab.hccn(3, "-cfg", "recovery").code == 0
    assert lab.hccn(3, "-net_health", "-g").out == sample("hccn/net_health.good")


def test_what_is_set_is_kept_in_hccn_conf(lab: Lab) -> None:
    conf = lab.root / "etc/hccn.conf"
    before = conf.read_text().splitlines()
    lab.hccn(0, "-tls", "-s", "enable", "1")
    lab.hccn(1, "-ip", "-s", "address", "11.12.165.81", "netmask", "255.255.255.0")
    lab.hccn(2, "-link", "-s", "down")
    added = set(conf.read_text().splitlines()) - set(before)
    assert added == {"tls_enable_0=1", "address_1=11.12.165.81", "netmask_1=255.255.255.0"}
    assert lab.hccn(1, "-ip", "-g").out.startswith("ipaddr:11.12.165.81\n")


def test_recovery_takes_the_port_from_hccn_conf(lab: Lab) -> None:
    conf = lab.root / "etc/hccn.conf"
    conf.write_text(conf.read_text().replace("address_5=10.30.1.15", "address_5=10.30.1.99"))
    lab.hccn(5, "-cfg", "recovery")
    assert lab.hccn(5, "-ip", "-g").out.startswith("ipaddr:10.30.1.99\n")


@pytest.mark.parametrize(
    "words", ["-tls -s enable 2", "-link -s sideways", "-ip -s address 1.2.3 netmask 255.0.0.0", "-ip -s address 1.2.3.4"]
)
def test_a_wrong_setting_changes_nothing(lab: Lab, words: str) -> None:
    before = lab.paths.state.read_text()
    assert lab.hccn(0, *words.split()).code != 0
    assert lab.paths.state.read_text() == before


def test_busy_counts_down_and_can_be_wound_up_again(lab: Lab) -> None:
    lab.set("hccn.busy=3")
    codes = [lab.hccn(i % 2, "-link", "-g").code for i in range(5)]
    assert codes == [11, 11, 11, 0, 0]
    lab.set("hccn.busy=3")
    assert lab.hccn(0, "-link", "-g").code == 11


def test_two_calls_at_once_are_one_too_many(lab: Lab) -> None:
    with alone(lab.paths) as free:
        assert free
        assert lab.hccn(0, "-link", "-g") == (sample("hccn/busy.error"), "", 11)
        lab.set("hccn.exclusive=false")
        assert lab.hccn(0, "-link", "-g").code == 0
    lab.set("hccn.exclusive=true")
    assert lab.hccn(0, "-link", "-g").code == 0
