"""The firewall: our rules as text, when they are set and removed, and what is read in the rules of others."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from roles.firewall.filters import Packet, closed_tables, passes
from roles.firewall.rules import FILE, HEAD, UNIT_FILE, rules, unit
from roles.firewall.work import opening, work
from roles.run import checks
from roles.run.checks import Case
from roles.run.seen import Section, Seen
from tests.unit.sources import plan

ROOT = Path(__file__).parents[2]
HOST = {"look": "full", "nft": "/usr/sbin/nft", "systemd": "yes", "enabled": "", "live": "", "ssh": "22"}
OPEN = ("-P INPUT ACCEPT", "-P FORWARD DROP", "-A FORWARD -j DOCKER-USER")
PEER = Packet("10.0.0.12", "10.0.0.11", "enp67s0f0np0")
CLOSED = """\
table inet bringup_test
delete table inet bringup_test
table inet bringup_test {
  chain input {
    type filter hook input priority 10; policy accept;
    tcp dport { 22, 2222 } accept
    ct state established,related accept
    iifname "lo" accept
    meta l4proto { icmp, ipv6-icmp } accept
    ip saddr { 10.0.0.12 } accept
    tcp dport 20004 accept
    drop
  }
}
"""


def case(at: int = 0, host: dict[str, str] | None = None, sections: dict[str, Section] | None = None, **keys: Any) -> Case:
    made = plan("vllm-ascend/a2-dual", **keys)
    node = made.nodes[at]
    found = {
        "firewall.host": Section("", 0, tuple(f"{k}={v}" for k, v in {**HOST, **(host or {})}.items())),
        "firewall.rules": Section("", 1),
        "firewall.unit": Section("", 1),
        "firewall.iptables": Section("", 0, OPEN),
        "firewall.nft": Section("", 0),
        **(sections or {}),
    }
    return Case(made, made.replicas[0], node, Seen(node.name, found))


def written(here: Case, ssh_port: int | None = None) -> dict[str, Section]:
    """The sections of a node on which our files stand."""
    files = work(here, ssh_port).files
    return {
        "firewall.rules": Section("", 0, tuple(files[FILE].splitlines())),
        "firewall.unit": Section("", 0, tuple(files[UNIT_FILE].splitlines())),
    }


def whats(here: Case, ssh_port: int | None = None) -> list[str]:
    return [c.what for c in work(here, ssh_port).changes]


def test_our_table_is_this_with_ssh_first() -> None:
    made = plan()
    assert rules("test", made.nodes[0], [made.nodes[1]], [2222]) == HEAD + CLOSED


def test_only_the_first_rank_opens_the_api() -> None:
    made = plan()
    text = rules("test", made.nodes[1], [made.nodes[0]], [])
    assert "20004" not in text
    assert "ip saddr { 10.0.0.11 } accept" in text
    assert "tcp dport { 22 } accept" in text


def test_a_node_without_peers_names_none() -> None:
    made = plan("vllm-ascend/a3")
    assert "saddr" not in rules("test", made.nodes[0], [], [])


def test_unasked_nothing_is_closed() -> None:
    assert work(case()).changes == ()


def test_asked_for_it_is_closed_once() -> None:
    here = case(firewall=True)
    assert whats(here) == [
        "close the node to all but SSH and the API, and all that its peer sends",
        f"write {FILE}",
        f"write {UNIT_FILE}",
    ]
    assert whats(case(firewall=True, host={"live": "yes", "enabled": "enabled"}, sections=written(here))) == []


def test_rules_that_somebody_flushed_are_set_again() -> None:
    assert len(whats(case(firewall=True, host={"enabled": "enabled"}, sections=written(case(firewall=True))))) == 1


def test_the_port_pyinfra_uses_stays_open() -> None:
    assert "tcp dport { 22, 2022, 2222 } accept" in work(case(firewall=True, host={"ssh": "2022"}), 2222).files[FILE]


def test_no_longer_asked_for_it_is_opened_again() -> None:
    here = case(firewall=True)
    closed = case(host={"live": "yes", "enabled": "enabled"}, sections=written(here))
    assert work(closed).remove
    assert whats(closed) == ["open the node again: remove our firewall"]
    assert work(case(host={"live": "yes"})).remove, "the table alone is ours too"


def test_the_rules_of_another_cluster_are_not_touched() -> None:
    theirs = {"firewall.rules": Section("", 0, tuple(rules("other", plan().nodes[0], [], []).splitlines()))}
    assert work(case(sections=theirs)).changes == ()
    assert "holds the rules of another cluster (bringup_other)" in work(case(firewall=True, sections=theirs)).problem


@pytest.mark.parametrize(("host", "says"), [({"nft": ""}, "nft is not installed"), ({"systemd": ""}, "does not run systemd")])
def test_what_a_node_lacks_is_a_sentence(host: dict[str, str], says: str) -> None:
    here = case(firewall=True, host=host)
    assert says in work(here).problem
    assert whats(here)[-1].startswith("stop here: ")


def test_the_unit_follows_nftables() -> None:
    text = unit("test", "/usr/sbin/nft")
    assert "PartOf=nftables.service\n" in text
    assert f"ExecStart=/usr/sbin/nft -f {FILE}\n" in text


DROP = ("-P INPUT DROP",)
EL = (
    "-P INPUT ACCEPT", "-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT", "-A INPUT -i lo -j ACCEPT", "-A INPUT -p icmp -j ACCEPT",
    "-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT", "-A INPUT -j REJECT --reject-with icmp-host-prohibited",
)  # fmt: skip
UFW = ("-P INPUT DROP", "-N ufw-user-input", "-A INPUT -j ufw-user-input", "-A ufw-user-input -s 10.0.0.12/32 -j ACCEPT")


@pytest.mark.parametrize(
    ("lines", "open_"),
    [
        (OPEN, True),
        (DROP, False),
        (EL, False),
        ((*EL[:-1], "-A INPUT -s 10.0.0.0/24 -j ACCEPT", EL[-1]), True),
        ((*DROP, "-A INPUT -i enp67s0f0np0 -j ACCEPT"), True),
        ((*DROP, "-A INPUT -i enp67+ -j ACCEPT"), True),
        ((*DROP, "-A INPUT -p udp -j ACCEPT"), False),
        ((*DROP, "-A INPUT -p tcp -m multiport --dports 22,40000:50000 -j ACCEPT"), True),
        ((*DROP, "-A INPUT ! -s 192.168.0.0/16 -j ACCEPT"), True),
        ((*DROP, "-A INPUT -m set --match-set friends src -j ACCEPT"), False),
        (UFW, True),
        ((*UFW[:3], "-A ufw-user-input -s 10.0.0.13/32 -j ACCEPT"), False),
        (("-P INPUT ACCEPT", "-A INPUT -j A", "-A A -j RETURN", "-A A -j DROP"), True),
        (("-P INPUT ACCEPT", '-A INPUT -s 10.0.0.12/32 -m comment --comment "don\'t -j ACCEPT" -j DROP'), False),
        (("-P INPUT DROP", "-A INPUT -j INPUT"), False),
    ],
)
def test_iptables_rules_are_followed_for_a_peers_packet(lines: tuple[str, ...], open_: bool) -> None:
    assert passes(lines, PEER)[0] == open_


NFT = "table inet mine {\n\tchain in {\n\t\ttype filter hook input priority 0; policy drop;\n%s\t}\n}\n"


def test_an_nft_table_that_drops_must_name_the_peers() -> None:
    assert closed_tables(NFT % "", ["10.0.0.12"]) == ["inet mine"]
    assert closed_tables(NFT % "\t\tip saddr 10.0.0.0/24 accept\n", ["10.0.0.12"]) == []
    assert closed_tables(NFT.replace("mine", "bringup_x") % "", ["10.0.0.12"]) == []


@pytest.mark.parametrize(
    ("sections", "level", "says"),
    [
        ({}, "pass", ""),
        ({"firewall.iptables": Section("", 0, EL)}, "warn", "iptables -I INPUT -s 10.0.0.12 -j ACCEPT"),
        ({"firewall.nft": Section("", 0, tuple((NFT % "").splitlines()))}, "warn", "nft list table inet mine"),
        (
            {"firewall.firewalld": Section("", 0, ("zone=public", "target=default", "trusted="))},
            "warn",
            "--zone=trusted --add-source=10.0.0.12",
        ),
        ({"firewall.firewalld": Section("", 0, ("zone=public", "target=default", "trusted=10.0.0.0/24"))}, "pass", ""),
        ({"firewall.firewalld": Section("", 0, ("zone=trusted", "target=ACCEPT", "trusted="))}, "pass", ""),
        ({"firewall.iptables": Section("", 127), "firewall.nft": Section("", 127)}, "skip", ""),
    ],
)
def test_one_fault_gives_one_finding(sections: dict[str, Section], level: str, says: str) -> None:
    here = case(sections=sections)
    found = [f for f in checks.judge(here.plan, {here.node.name: here.seen}) if f.check.startswith("firewall.")]
    assert [(f.check, f.level) for f in found] == [("firewall.rules", level)]
    assert says in found[0].fix


@pytest.mark.parametrize("file", ["probe.sh", "apply.sh"])
def test_the_scripts_are_plain_shell(file: str) -> None:
    assert subprocess.run(["dash", "-n", str(ROOT / "roles/firewall" / file)], check=False).returncode == 0


def test_a_clean_node_is_open_whatever_the_inventory_says() -> None:
    here = case(firewall=True)
    closed = case(firewall=True, host={"live": "yes", "enabled": "enabled"}, sections=written(here))
    assert opening(closed).remove
    assert opening(here).changes == ()


def test_a_short_probe_is_no_occasion_to_judge() -> None:
    here = case(host={"look": "light"})
    assert not [f for f in checks.judge(here.plan, {here.node.name: here.seen}) if f.check.startswith("firewall.")]
