"""Parsers against real outputs, and against what is left of them after a bad day."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roles.accelerators.parse import amd, files, hccn, npu_details, nvidia
from roles.accelerators.parse.npu_table import Table, table
from roles.accelerators.parse.reading import Refused, Unreadable, Unsupported
from tests.examples import examples
from tests.unit.test_accelerators_probe import Site

SAMPLES = Path(__file__).parents[1] / "fixtures" / "accelerators"
ALL = sorted(p for p in SAMPLES.rglob("*") if p.is_file() and p.name != "README.md")
GPUS = """\
index, uuid, name, driver_version, memory.total [MiB], memory.used [MiB], persistence_mode, ecc.mode.current, \
ecc.errors.uncorrected.volatile.total
0, GPU-1, NVIDIA H200, 580.95.05, 143771, 4, Enabled, Enabled, 0
1, GPU-2, NVIDIA H200, 580.95.05, 143771, 4, Disabled, [N/A], [N/A]
"""
APPS = "gpu_uuid, pid, process_name, used_gpu_memory [MiB]\nGPU-1, 4711, /usr/bin/python3, 70000\nGPU-1, 12, x, [N/A]\n"
STATIC = '[{"gpu": 0, "asic": {"market_name": "AMD Instinct MI300X OAM"}, "driver": {"name": "amdgpu", "version": "6.12.12"}}]'
METRIC = (
    '{"gpu_data": [{"gpu": 0, "mem_usage": {"total_vram": {"value": 196592, "unit": "MB"}, "used_vram": {"value": 297, "unit": "MB"}}}]}'
)
PARSERS: dict[str, Callable[[str], Any]] = {
    **{
        f"hccn.{n}": getattr(hccn, n)
        for n in ("link", "net_health", "netdetect", "gateway", "ip", "lldp", "vnic", "tls", "process", "ping")
    },
    **{f"details.{n}": getattr(npu_details, n) for n in ("health", "super_pod")},
    **{f"files.{n}": getattr(files, n) for n in ("driver_version", "firmware_version", "firmware_range", "port_settings", "numbers")},
    **{f"nvidia.{n}": getattr(nvidia, n) for n in ("gpus", "apps", "links")},
    **{f"amd.{n}": getattr(amd, n) for n in ("processes", "of_rocm_smi")},
    "table": table,
    "amd.static": lambda text: amd.of_amd_smi(text, METRIC),
    "amd.metric": lambda text: amd.of_amd_smi(STATIC, text),
}


def sample(name: str) -> str:
    return (SAMPLES / name).read_text(encoding="utf-8")


def tried(text: str) -> None:
    """Every parser gives a value or a ValueError whose sentence fits on a line."""
    for name, parse in PARSERS.items():
        try:
            parse(text)
        except (Unreadable, Refused) as e:
            said = str(e)
            assert said, name
            assert said.isprintable(), (name, said)
            assert len(said) < 200, (name, said)


@pytest.mark.parametrize("name", ["25.0.rc1", "25.5.0.excerpt", "26.1.0"])
def test_a_table_of_an_a2_is_read(name: str) -> None:
    read = table(sample(f"npu-smi/info-a2-{name}.txt"))
    assert read.family == "a2"
    assert read.driver.startswith(name.removesuffix(".excerpt"))
    assert {c.name for c in read.chips} == {"910B3"}
    assert [c.number for c in read.chips] == [c.card for c in read.chips] == list(range(len(read.chips)))
    assert {c.total_mb for c in read.chips} == {65536}


def test_the_fifth_column_of_26_is_read_by_its_name() -> None:
    read = table(sample("npu-smi/info-a2-26.1.0.txt"))
    assert [(p.card, p.pid, p.name, p.mb) for p in read.processes] == [(0, 485946, "pytest", 5175)]
    assert [c.used_mb for c in read.chips] == [8676, 3403, 3403, 3407, 3403, 3402, 3402, 3403]


def test_a_real_table_of_a_busy_a3_is_read() -> None:
    read = table(sample("npu-smi/info-a3-25.2.3.txt"))
    assert read.family == "a3"
    assert [(c.number, c.card, c.position) for c in read.chips] == [(n, n // 2, n % 2) for n in range(16)]
    assert read.at(0) is not None
    assert read.at(0).used_mb == 53444  # type: ignore[union-attr]
    assert len(read.on(read.chips[12])) == 4
    assert {p.name for p in read.processes} == {""}
    assert not read.incomplete


def test_the_driver_that_is_not_complete_is_noticed() -> None:
    text = sample("npu-smi/info-a2-25.0.rc1.txt")
    assert not table(text).incomplete
    assert table(text + sample("npu-smi/warning.txt")).incomplete
    assert table("Warning: something on stderr\n" + text).chips == table(text).chips


@pytest.mark.parametrize(
    ("name", "words"),
    [("dcmi-8005.bad", "ret is -8005"), ("dcmi-8020.bad", "ret is -8020"), ("no-card.bad", "no NPU card")],
)
def test_what_npu_smi_refuses_is_told_in_its_words(name: str, words: str) -> None:
    with pytest.raises(Refused, match=words):
        table(sample(f"npu-smi/{name}.txt"))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda t: "", "answered nothing"),
        (lambda t: "bash: npu-smi: Permission denied", 'at "bash: npu-smi: Permission denied"'),
        (lambda t: t.replace("HBM-Usage(MB)", "DDR-Usage(MB)"), "the header of npu-smi info is not understood"),
        (lambda t: t.replace("| Chip  ", "| Device"), "the header of npu-smi info"),
        (lambda t: t.replace("3440 / 65536", "3440 / lots"), 'at "0 | 0000:C1:00.0 | 0 0 / 0 3440 / lots"'),
        (lambda t: t.replace("| 0     910B3 ", "| x     910B3 "), 'at "x 910B3 | OK'),
        (lambda t: t[: t.index("| NPU     Chip")], "which stops before its processes,"),
        (lambda t: t[: t.index("3440")], 'at "| 0 '),
        (lambda t: t.replace("Process memory(MB)", "Memory(MB)"), "the header of npu-smi info's processes"),
    ],
)
def test_the_first_line_that_is_not_understood_is_shown(change: Callable[[str], str], line: str) -> None:
    with pytest.raises(Unreadable) as e:
        table(change(sample("npu-smi/info-a2-25.0.rc1.txt")))
    assert line in " ".join(str(e.value).split())


def test_lists_of_names_and_values_are_read() -> None:
    assert npu_details.health(sample("npu-smi/health.good.txt")) == (npu_details.Health("OK", "", ""),)
    assert npu_details.health(sample("npu-smi/health.bad.txt")) == (npu_details.Health("Alarm", "80E01801", "simulated"),)
    assert npu_details.super_pod(sample("npu-smi/spod-info.txt")) == npu_details.SuperPod(id=0, server=4, size=384)


GOOD: list[tuple[str, Callable[[str], Any], Any]] = [
    ("link.good", hccn.link, "UP"),
    ("link.bad", hccn.link, "DOWN"),
    ("net_health.good", hccn.net_health, "Success"),
    ("net_health.error", hccn.net_health, "Get device health status failed"),
    *((f"net_health.bad-{w.lower().replace(' ', '-')}", hccn.net_health, w) for w in (
        "Socket fail", "Receive timeout", "Unreachable", "Time exceeded", "Fault", "Init", "Thread error", "Detect ip set", "Unknown",
    )),
    ("netdetect.good", hccn.netdetect, "11.12.165.1"),
    ("netdetect.new", hccn.netdetect, "11.12.165.1"),
    ("gateway.good", hccn.gateway, "11.12.165.1"),
    ("gateway.error", hccn.gateway, None),
    ("ip.good", hccn.ip, hccn.Address("11.12.165.80", "255.255.255.0")),
    ("ip.error", hccn.ip, None),
    ("lldp.good", hccn.lldp, hccn.Neighbour("400GE1/1/5:1", "...", "xx:xx:xx:xx:xx:xx")),
    ("tls.good", hccn.tls, 0),
    ("tls.bad", hccn.tls, 1),
    ("process.idle", hccn.process, False),
    ("process.held", hccn.process, True),
    ("vnic.good", hccn.vnic, hccn.Vnic(True, "192.168.2.199", "255.255.255.0")),
    ("vnic.bad", hccn.vnic, hccn.Vnic(False, "", "")),
    ("ping.good", hccn.ping, hccn.Ping(3, 3, "")),
    ("ping.bad", hccn.ping, hccn.Ping(3, 0, "recv time out")),
    ("ping.error", hccn.ping, hccn.Ping(3, 0, "the card's link is down")),
    ("hccs_ping.good", hccn.ping, hccn.Ping(3, 3, "")),
    ("hccs_ping.bad-check", hccn.ping, hccn.Ping(3, 0, "check recv msg fail")),
    ("hccs_ping.bad-send", hccn.ping, hccn.Ping(3, 0, "send fail")),
    ("hccs_ping.bad-not", hccn.ping, hccn.Ping(3, 0, "ping not start to send")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "parse", "value"), GOOD, ids=[g[0] for g in GOOD])
def test_an_answer_of_hccn_tool_is_read(name: str, parse: Callable[[str], Any], value: Any) -> None:
    text = sample(f"hccn/{name}.txt")
    assert parse(text) == value
    assert parse(text.replace("\n", "\r\n")) == value


@pytest.mark.parametrize("name", ["busy", "permission", "no-device", "timeout", "tls-set"])
@pytest.mark.parametrize("query", hccn.EVERY, ids=lambda q: q.name)
def test_a_refusal_of_hccn_tool_is_told_in_its_words(name: str, query: hccn.Query[Any]) -> None:
    text = sample(f"hccn/{name}.error.txt")
    with pytest.raises(Refused) as e:
        query.read(text)
    assert str(e.value).removeprefix("hccn_tool: ") in text


@pytest.mark.parametrize("query", hccn.EVERY, ids=lambda q: q.name)
def test_what_a_product_does_not_have_is_no_trouble(query: hccn.Query[Any]) -> None:
    with pytest.raises(Unsupported):
        query.read(sample("hccn/unsupported.error.txt"))


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (hccn.netdetect, "", None),
        (hccn.netdetect, "netdetect address: 0.0.0.0\n", None),
        (hccn.netdetect, "netdetect address:\n", None),
        (hccn.lldp, "", None),
        (hccn.lldp, "Get lldp info failed!\n", None),
        (hccn.lldp, "Chassis ID TLV\n\tMAC: 1\nEnd of LLDPDU TLV\n", None),
    ],
)
def test_empty_answers_mean_that_nothing_is_there(parse: Callable[[str], Any], text: str, value: Any) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("mask", "prefix"),
    [("255.255.0.0", 16), ("255.255.255.255", 32), ("0.0.0.0", 0), ("255.0.255.0", None), ("0.0.255.255", None), ("x", None), ("", None)],
)
def test_a_mask_is_ones_and_then_noughts(mask: str, prefix: int | None) -> None:
    address = hccn.Address("10.1.2.3", mask)
    assert address.prefix == prefix
    assert address.sees("10.1.2.9") == (prefix in (0, 16))


def test_version_files_are_read() -> None:
    assert files.driver_version(sample("files/driver-version.info")) == "25.3.rc1"
    assert files.driver_version(sample("files/driver-version-24.info")) == "24.1.rc1"
    assert files.firmware_range(sample("files/driver-version.info")) == ("7.0.0", "8.9.9")
    assert files.firmware_version(sample("files/firmware-version.info")) == "7.7.0.1.231"
    assert files.port_settings(sample("files/hccn.conf"))[7]["address"] == "11.12.165.87"
    assert files.pairs(sample("files/ascend_install.info"))["Driver_Install_Status"] == "complete"


@pytest.mark.parametrize(
    ("one", "other", "is_older"),
    [
        ("24.1.rc1", "25.0", True),
        ("25.0.rc1.b099", "25.0", False),
        ("25.5", "25.5.0", False),
        ("25.10.1", "25.9", False),
        ("25", "25.0.1", True),
    ],
)
def test_versions_are_compared_as_numbers(one: str, other: str, is_older: bool) -> None:
    assert files.older(one, other) is is_older


@pytest.mark.parametrize(("found", "fits"), [("7.0.0", True), ("8.9.9.1", True), ("8.9.10", False), ("6.9.9.9", False), ("9.0", False)])
def test_a_range_of_firmware_has_its_ends_in_it(found: str, fits: bool) -> None:
    assert files.within(found, "7.0.0", "8.9.9") is fits


def test_nvidias_lists_are_read() -> None:
    first, second = nvidia.gpus(GPUS)
    assert (first.number, first.total_mb, first.persistent, first.ecc, first.uncorrected) == (0, 143771, True, True, 0)
    assert (second.persistent, second.ecc, second.uncorrected) == (False, None, None)
    assert [(a.pid, a.mb) for a in nvidia.apps(APPS)] == [(4711, 70000), (12, 0)]
    assert nvidia.links(sample("gpu/nvlink-status.txt")) == {3: (6, [3, 5])}


def test_amds_json_is_read() -> None:
    (found,) = amd.of_amd_smi(STATIC, METRIC)
    assert (found.total_mb, found.used_mb, found.driver) == (196592, 297, "6.12.12")
    assert amd.processes(sample("gpu/amd-smi-process.idle.json")) == ()
    assert amd.of_amd_smi(f"WARNING: something\n{STATIC}", METRIC) == (found,)


@pytest.mark.parametrize("path", ALL, ids=lambda p: p.name)
def test_every_beginning_of_every_sample_is_a_value_or_a_sentence(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    ends = range(len(text) + 1) if len(text) < 300 else sorted(random.Random(1).sample(range(len(text)), 120))
    for end in ends:
        tried(text[:end])


TEXTS = [p.read_text(encoding="utf-8") for p in ALL] + [GPUS, APPS, STATIC, METRIC]
JUNK = st.one_of(
    st.sampled_from(["|", "\n", "\t", "0", "-1", "9" * 5000, "\ufffd", "\x00", "[", '{"gpu": ', "null", "/", ":", "²", "٣"]),
    st.text(max_size=4),
)


@examples(300)
@given(st.sampled_from(TEXTS), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 6), JUNK), min_size=1, max_size=4))
def test_every_change_of_every_sample_is_a_value_or_a_sentence(text: str, changes: list[tuple[float, int, str]]) -> None:
    for where, cut, junk in changes:
        at = int(where * len(text))
        text = text[:at] + junk + text[at + cut :]
    tried(text)


def test_a_code_without_an_end_is_no_code() -> None:
    tried("dcmi module initialize failed. ret is -80" + "9" * 5000)


@examples(100)
@given(st.text(max_size=200))
def test_any_text_is_a_value_or_a_sentence(text: str) -> None:
    tried(text)


@pytest.mark.parametrize("family", ["a2", "a3"])
@pytest.mark.parametrize("layout", ["narrow", "wide", "v26"])
def test_every_layout_of_the_simulator_says_the_same(tmp_path: Path, family: str, layout: str) -> None:
    site = Site(tmp_path / "n", family)
    site.process(4711, "davinci3", "davinci4", rss_mb=50000)
    site.set(f"layout={layout}")
    read = table(site.info())
    plain: Table = table(Site(tmp_path / "m", family).info())
    assert [(c.number, c.name, c.bus) for c in read.chips] == [(c.number, c.name, c.bus) for c in plain.chips]
    assert [(p.pid, p.mb) for p in read.processes] == [(4711, 50000)] * 2
    assert read.at(3).used_mb > 50000  # type: ignore[union-attr]
