"""One fault, one finding: every knob of the simulated NPUs gives exactly the check that is meant, with a fix."""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Callable, Iterator

import pytest

from roles.plan.finding import Finding
from roles.plan.plan import Plan
from roles.run.seen import Seen
from tests.unit.sources import plan
from tests.unit.test_accelerators_probe import Site, judged, look

N1, N2 = "10.0.0.11", "10.0.0.12"
FAIL, WARN = "fail", "warn"
DUAL = "vllm-ascend/a2-dual"


@pytest.fixture(scope="module")
def made() -> Plan:
    return plan(DUAL)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Site]:
    root = tmp_path_factory.mktemp("pair")
    both = {N1: Site(root / "n1", "a2", "--node", "1"), N2: Site(root / "n2", "a2", "--node", "2")}
    for name, site in both.items():
        site.prepare(2 if name == N1 else 1, full=True)
    return both


@pytest.fixture(scope="module")
def healthy(sites: dict[str, Site], made: Plan) -> Seen:
    return look({N1: sites[N1]}, made)[N1]


@pytest.fixture
def ill(sites: dict[str, Site]) -> Iterator[Site]:
    """The second node, well again afterwards."""
    site = sites[N2]
    yield site
    site.sim("reset")
    shutil.rmtree(site.root / "proc")
    (site.root / "proc").mkdir()
    (site.root / "docker-ps").unlink(missing_ok=True)


def wrong(findings: list[Finding]) -> list[Finding]:
    return [f for f in findings if f.level in (FAIL, WARN)]


def brief(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return sorted({("n1" if f.node == N1 else "n2", f.check, f.level) for f in wrong(findings)})


def n2(*found: str) -> list[tuple[str, str, str]]:
    """`link!` fails on the second node, `lldp?` is a warning there; `n1:` says it is the other one."""
    made = []
    for one in found:
        node, _, name = one.rpartition(":")
        made.append((node or "n2", f"ascend.{name[:-1]}", FAIL if name.endswith("!") else WARN))
    return sorted(made)


FAULTS: list[tuple[str, list[tuple[str, str, str]], str, str]] = [
    ("link.3=DOWN", n2("link!"), "card 3: link status: DOWN", "hccn_tool -i 3 -cfg recovery;"),
    ("link.3=DOWN link.5=DOWN", n2("link!"), "cards 3, 5: link status: DOWN", "for i in 3 5; do hccn_tool -i $i -cfg recovery; done;"),
    ("link.*=DOWN", n2("link!"), "cards 0-7: link status: DOWN", "for i in 0 1 2 3 4 5 6 7; do"),
    ("health.2=Alarm errors.2=80E01801 error_text.2=simulated", n2("health!"), "card 2: Alarm (code 80E01801, simulated)", "-i 2 -c 0"),
    ("health.2=Alarm health.6=Critical", n2("health!"), "card 2: Alarm", "-i 2 -c 0"),
    ("health.1=Warning", n2("health?"), "card 1: Warning", "-i 1 -c 0"),
    ("health.0=UNKNOWN", n2("health!"), "card 0: UNKNOWN", "hardware support"),
    ("tls.2=1", n2("tls!"), "card 2: TLS is on, others have it off", "hccn_tool -i 2 -tls -s enable 0"),
    ("tls.*=1", n2("tls!"), "cards 0-7: TLS is on, others have it off", "-tls -s enable 0"),
    ("hbm_lost.5=20000", n2("idle!"), "card 5: memory in use that no process shows (5: 23445 MB)", "reboot"),
    ("hbm_lost.5=1000", [], "", ""),
    ("driver=24.1.rc1 firmware=7.1.0.5.220", n2("driver!", "driver-same?"), "driver 24.1.rc1: jobs die", "hiascend.com"),
    ("driver=25.2.3", n2("driver?", "driver-same?"), "driver 25.2.3: ", "install a newer driver"),
    ("driver=25.5.1", n2("n1:driver-same?"), "driver 25.5.0, but 25.5.1 on 10.0.0.12", "install 25.5.1 here too"),
    ("driver=26.1.0", n2("n1:driver-same?"), "but 26.1.0 on", "install 26.1.0"),
    ("firmware=6.4.12.1", n2("firmware!"), "firmware 6.4.12.1", "firmware package"),
    ("install=incomplete", n2("install!"), "Driver_Install_Status=doing", "installer again"),
    ("install=missing", n2("install!"), "/etc/ascend_install.info is not found", "installer again"),
    ("install=directory", n2("install!"), "is a directory: docker -v made it", "rmdir /etc/ascend_install.info;"),
    ("file.7=false", n2("devices!"), "missing: /dev/davinci7", "reboot"),
    ("present.7=false", n2("count!"), "card 7 not there: 7 of 8", '"devices"'),
    ("present.*=false", n2("answers!"), "There is no NPU card on this server", "lspci"),
    ("npu_smi.dcmi=-8005", n2("answers!"), "dcmi does not start: ret is -8005", "ls /dev/davinci_manager"),
    ("npu_smi.dcmi=-8020", n2("answers!"), "ret is -8020", "docker ps"),
    ("npu_smi.garbage=true", n2("answers!"), "is not understood at", "npu-smi info"),
    ("npu_smi.garbage=binary", n2("answers!"), "is not understood at", "npu-smi info"),
    ("npu_smi.garbage=Segmentation", n2("answers!"), 'npu-smi info is not understood at "Segmentation"', "npu-smi info"),
    ("npu_smi.fail=oops", n2("answers!"), 'at "oops"', "npu-smi info"),
    ("npu_smi.exit=3", [], "", ""),
    ("hccn.busy=1000000", n2("answers!"), "hccn_tool is busy (-link, -ip, ", "pgrep -a hccn_tool"),
    ("hccn.garbage=true", n2("answers!"), "is not understood at", "hccn_config.log"),
    ("hccn.garbage=binary", n2("answers!"), "is not understood at", "hccn_config.log"),
    ("hccn.fail=oops", n2("answers!"), 'at "oops"', "hccn_tool -i 0 -link -g"),
    ("hccn.exit=9", [], "", ""),
    ("hccn.netdetect_label=addr", [], "", ""),
    ("net_health.1=Fault", n2("net-health!"), "card 1: net health status: Fault", "hccn_tool -i 1 -ping -g address 10.30.0.1"),
    ("net_health.1=failed", n2("net-health!"), "card 1: net health status: Get device health status failed", "recovery"),
    ("net_health.*=Receive@timeout", n2("net-health!"), "cards 0-7: net health status: Receive timeout", "recovery"),
    ("netdetect.1=none", n2("netdetect?"), "card 1: no netdetect address", "hccn_tool -i 1 -netdetect -s address 10.30.0.1"),
    ("gateway.*=none", [], "", ""),
    ("ip.3=10.99.0.13 gateway.3=none", n2("gateway?"), "card 3: no gateway, and the peers' cards are in another", "-gateway -s gateway"),
    ("ip.3=10.99.0.13", n2("gateway?"), "card 3: gateway 10.30.0.1 is outside of 10.99.0.13/16", "hccn_tool -i 3 -gateway"),
    ("ip.3=none", n2("address!"), "card 3: no ip was preset there", "hccn_tool -i 3 -ip -s address ADDRESS netmask 255.255.0.0"),
    ("netmask.3=255.255.255.0", n2("address!"), "card 3: netmask 255.255.255.0 leaves", "-ip -s address 10.30.2.13 netmask 255.255.0.0"),
    ("netmask.3=255.0.255.0", n2("address!"), "card 3: netmask 255.0.255.0 is none", "hccn_tool -i 3 -ip -s"),
    ("ip.3=10.30.1.13", n2("duplicate!", "n1:duplicate!"), "card 3: 10.30.1.13 is also the address of card 3 of", "hccn_tool -i 3 -ip"),
    ("ip.3=10.30.2.14", n2("duplicate!"), "card 3: 10.30.2.14 is also the address of card 4", "hccn_tool -i 3 -ip"),
    ("lldp.4=none", n2("lldp?"), "card 4: no LLDP neighbour, though others have one", "-i 4 -lldp -g"),
    ("lldp.*=none", n2("lldp?"), "none of 8 cards has an LLDP neighbour: cabled without a switch", '"topology": "back-to-back"'),
    ("hccp.2=exist", n2("hccp?"), "card 2: device hccp process exists, with no job on it", "wait 10 s"),
    ("optical.0=absent", [], "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("change", "expected", "seen", "fix"), FAULTS, ids=[f[0] for f in FAULTS])
def test_a_fault_is_found_by_its_own_check_and_no_other(
    ill: Site, healthy: Seen, made: Plan, change: str, expected: list[tuple[str, str, str]], seen: str, fix: str
) -> None:
    ill.set(*(w.replace("@", " ") for w in change.split()))
    ill.prepare()
    found = judged(made, {N1: healthy, **look({N2: ill}, made)})
    assert brief(found) == expected
    for one in wrong(found):
        assert one.expected
        assert one.fix
        assert "\n" not in one.observed + one.fix
    if seen:
        first = next(f for f in wrong(found) if seen in f.observed)
        assert fix in first.fix


FABRIC: list[tuple[str, list[tuple[str, str, str]], str, str]] = [
    ("", [], "", ""),
    ("loss.10.30.1.13=100", n2("ping!"), "card 3 to the same of 10.0.0.11: 0 of 3 packets came back (recv time out)", "address 10.30.1.13"),
    ("loss.10.30.1.13=33", n2("ping!"), "card 3 to the same of 10.0.0.11: 2 of 3 packets", "hccn_tool -i 3 -ping"),
    ("fabric.peers=10.30.1.10", n2("ping!"), "cards 1-7 to the same of 10.0.0.11: 0 of 3", "switch, VLAN and subnet"),
    ("link.3=DOWN", n2("link!"), "card 3: link status: DOWN", "recovery"),
    ("ip.3=none", n2("address!"), "card 3: no ip", "-ip -s"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "expected", "seen", "fix"), FABRIC, ids=[f[0] or "healthy" for f in FABRIC])
def test_a_fault_of_the_fabric_is_found_by_pings(
    ill: Site, sites: dict[str, Site], made: Plan, change: str, expected: list[tuple[str, str, str]], seen: str, fix: str
) -> None:
    if change:
        ill.set(*change.split())
    ill.prepare(1)
    found = judged(made, look(sites, made, FABRIC="rail"))
    assert brief(found) == expected
    if seen:
        assert any(seen in f.observed and fix in f.fix for f in wrong(found))


def test_every_pair_is_pinged_when_all_are_asked_for(sites: dict[str, Site], ill: Site, made: Plan) -> None:
    ill.set("loss.10.30.1.13=100")
    ill.prepare(1, full=True)
    found = [f for f in judged(made, look(sites, made, FABRIC="full")) if f.check == "ascend.ping"]
    assert [f.observed for f in found if f.node == N1] == ["64 pings answered"]
    assert len(found) == 9
    assert "card 0 to card 3 of 10.0.0.11: 0 of 3 packets came back (recv time out)" in {f.observed for f in found}


Setup = Callable[[Site], None]
OURS = "bringup-test-r0"
HOLDERS: list[tuple[str, Setup, list[tuple[str, str, str]], str, str]] = [
    (
        "a process of the host",
        lambda s: s.holder(4711, "davinci3", "davinci4", "davinci_manager"),
        n2("holders!"),
        f"cards 3, 4 held by pid 4711 (python3 --flag), user {pwd.getpwuid(os.geteuid()).pw_name}",
        "ask whoever runs it",
    ),
    (
        "three processes of a container",
        lambda s: [s.contained(n, f"davinci{n}", name="their-job") for n in (1, 2, 3)] and None,
        n2("holders!"),
        "cards 1-3 held by pids 1, 2, 3 (python3 --flag), container their-job",
        "ask whoever runs it",
    ),
    (
        "a container that Docker does not know",
        lambda s: s.holder(9, "davinci0", cgroup="/kubepods/pod1/" + "ab" * 32),
        n2("holders!"),
        "card 0 held by pid 9 (python3 --flag), container abababababab",
        "ask whoever runs it",
    ),
    ("one that cannot be killed", lambda s: s.holder(9, "davinci0", state="D"), n2("holders!"), "state D, cannot be killed", "reboot"),
    ("only the manager", lambda s: s.holder(9, "davinci_manager", "devmm_svm"), [], "", ""),
    ("our own engine", lambda s: [s.contained(n + 1, f"davinci{n}", name=OURS) for n in range(8)] and None, [], "", ""),
    (
        "our own engine and a stranger",
        lambda s: [s.contained(n + 1, f"davinci{n}", name=OURS) for n in range(8)] and s.holder(99, "davinci0"),
        n2("holders!"),
        "card 0 held by pid 99",
        "ask whoever runs it",
    ),
]


@pytest.mark.parametrize(("name", "setup", "expected", "seen", "fix"), HOLDERS, ids=[h[0] for h in HOLDERS])
def test_who_has_the_cards_is_named(
    ill: Site, healthy: Seen, made: Plan, name: str, setup: Setup, expected: list[tuple[str, str, str]], seen: str, fix: str
) -> None:
    ill.set("process_mb.*=50000") if OURS in str(setup.__code__.co_consts) else None
    setup(ill)
    ill.prepare()
    found = judged(made, {N1: healthy, **look({N2: ill}, made)})
    assert brief(found) == expected
    assert not seen or any(seen in f.observed and fix in f.fix for f in wrong(found))


def test_our_engines_memory_and_processes_are_fine(ill: Site, healthy: Seen, made: Plan) -> None:
    for n in range(8):
        ill.contained(n + 1, f"davinci{n}", name=OURS)
    ill.set("process_mb.*=100", "hbm_lost.*=50000")
    ill.prepare()
    found = judged(made, {N1: healthy, **look({N2: ill}, made)})
    assert wrong(found) == []
    assert [f.observed for f in found if f.node == N2 and f.check in ("ascend.idle", "ascend.holders")] == ["our engine serves"] * 2


def test_npu_smis_own_doubt_is_passed_on(ill: Site, healthy: Seen, made: Plan) -> None:
    ill.set("install=incomplete")
    ill.prepare()
    path = ill.root / "etc/ascend_install.info"
    path.write_text(path.read_text().replace("=doing", "=complete"))
    found = judged(made, {N1: healthy, **look({N2: ill}, made)})
    assert brief(found) == n2("install?")


@pytest.mark.parametrize(
    ("topology", "change", "expected"),
    [
        ("back-to-back", "lldp.*=none", []),
        ("back-to-back", "lldp.0=400GE1/0/1", [("lldp", WARN)]),
        ("direct-out", "lldp.*=none", [("lldp", WARN)]),
        ("direct-out", "lldp.0=400GE1/0/1", []),
    ],
)
def test_neighbours_are_compared_with_the_plans_topology(ill: Site, topology: str, change: str, expected: list[tuple[str, str]]) -> None:
    ill.set(change)
    ill.prepare()
    other = plan(DUAL, topology=topology)
    found = judged(other, look({N2: ill}, other))
    assert [(f.check.removeprefix("ascend."), f.level) for f in wrong(found)] == expected


def test_pairs_cabled_back_to_back_may_be_numbered_alike(sites: dict[str, Site]) -> None:
    made = plan(DUAL, replicas=2, topology="back-to-back")
    seen = look(sites, made)
    again = {f"10.0.0.{13 + i}": Seen(f"10.0.0.{13 + i}", one.sections) for i, one in enumerate(seen.values())}
    assert not [f for f in wrong(judged(made, {**seen, **again})) if f.check == "ascend.duplicate"]
    made = plan(DUAL, replicas=2)
    assert len([f for f in wrong(judged(made, {**seen, **again})) if f.check == "ascend.duplicate"]) == 32
