"""When a line was written: every format, zones, years, clocks that are off."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from roles.doctor.times import Clock, kernel, offset_of, stamped, zone
from tests.unit.doctor_bench import BOOT, MADE, Case

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=timezone.utc).timestamp()
CLOCK = Clock(MADE, BOOT)


@pytest.mark.parametrize(
    ("line", "at", "text"),
    [
        ("2026-11-20T12:00:00.123456789Z INFO hello", 0.123456, "INFO hello"),
        ("2026-11-20T12:00:00Z the engine ended with code 1", 0, "the engine ended with code 1"),
        (f"{NOON:.6f} n0 docker[812]: started", 0, "n0 docker[812]: started"),
        ("INFO 11-20 12:00:00 [core.py:101] x", 0, None),
        ("(Worker_DP0_TP3_EP3 pid=4711) ERROR 11-20 12:00:00 [multiproc_executor.py:888] x", 0, None),
        ("(vLLMHttpServer pid=1) (Worker_TP3 pid=2) ERROR 11-20 12:00:00 [x.py:1] y", 0, None),
        ("(APIServer pid=1) WARNING 11-20 12:00:00.250 [x.py:1] y", 0.25, None),
        ("[ERROR] HCCL(2717288,python3):2026-11-20-12:00:00.070.463 [hccl_socket.cc:100] x", 0.07, None),
        ("[ERROR] 2026-11-20-12:00:00 (PID:1292363, Device:1, RankID:1) ERR01100 OPS call acl api failed.", 0, None),
        ("EI0006: [PID: 1292363] 2026-11-20-12:00:00.444.436 Getting socket times out.", 0.444, None),
        ("EZ9999[PID: 5317] 2026-11-20-12:00:00.433.180 AclNN_Inner_Error(EZ9999):  x", 0.433, None),
        ("[rank0]:[E1120 12:00:00.600429810 compiler_depend.ts:444] x", 0.6, None),
        ("W1120 12:00:00.953000 1 torch/_library/triton.py:53] x", 0.953, None),
        ("[2026-11-20 12:00:00 TP0] Memory pool end. avail mem=8.38 GB", 0, None),
        ("2026-11-20 12:00:00,463 - vllm.v1.executor - ERROR - x", 0.463, None),
    ],
)
def test_a_time_is_read_however_it_is_written(line: str, at: float, text: str | None) -> None:
    found = stamped(line, CLOCK)
    assert found.at == pytest.approx(NOON + at, abs=1e-3)
    assert found.text == (line if text is None else text)


@pytest.mark.parametrize(
    "line",
    [
        "Traceback (most recent call last):",
        "Loading safetensors checkpoint shards:  64% Completed | 81/126 [09:30<04:59,  5.16s/it]",
        "INFO 13-45 99:00:00 [core.py:101] x",
        'INFO:     10.0.0.9:40712 - "POST /v1/chat/completions HTTP/1.1" 200 OK',
        "device_ids=2026-11",
        "",
    ],
)
def test_what_only_looks_like_a_time_is_none(line: str) -> None:
    assert stamped(line, CLOCK).at is None


def test_month_and_day_belong_to_the_year_before_the_look() -> None:
    new_year = datetime(2027, 1, 2, tzinfo=timezone.utc).timestamp()
    found = stamped("INFO 12-31 23:59:00 [x.py:1] y", Clock(new_year)).at
    assert found == datetime(2026, 12, 31, 23, 59, tzinfo=timezone.utc).timestamp()
    leap = stamped("INFO 02-29 12:00:00 [x.py:1] y", Clock(new_year)).at
    assert leap == datetime(2024, 2, 29, 12, tzinfo=timezone.utc).timestamp()


def test_the_kernel_counts_from_boot() -> None:
    assert kernel("[ 3600.250000] Out of memory", CLOCK).at == pytest.approx(BOOT + 3600.25)
    assert kernel("<3>[   12.5] x", CLOCK).text == "x"
    assert kernel("[ 3600.250000] x", Clock(MADE)).at is None


@pytest.mark.parametrize(("text", "seconds"), [("+0800", 28800), ("-0330", -12600), ("+00:00", 0), ("CST", 0), ("", 0)])
def test_zones_as_date_says_them(text: str, seconds: float) -> None:
    assert offset_of(text) == seconds


@pytest.mark.parametrize(("inner", "apart"), [("12:00:01", 0), ("20:00:01", 28800), ("06:30:01", -19800), ("08:00:01", -14400)])
def test_the_zone_of_a_container_is_seen_where_both_times_stand(inner: str, apart: float) -> None:
    assert zone([f"2026-11-20T12:00:01.5Z INFO 11-20 {inner} [x.py:1] y"], 0.0, MADE) == apart


def test_without_both_times_no_line_is_put_into_the_future() -> None:
    assert zone(["INFO 11-20 20:20:00 [x.py:1] y"], 28800.0, MADE) == 28800.0
    assert zone(["INFO 11-20 12:20:00 [x.py:1] y"], 28800.0, MADE) == 0.0


def test_a_node_whose_clock_is_an_hour_ahead_is_put_in_order() -> None:
    case = Case(offsets={1: 3600.0}).put(1, "engine", "2026-11-20T13:10:00Z ERROR x\nno time of its own\n")
    lines = case.evidence().nodes[1].logs[0].lines
    assert [line.at for line in lines] == [NOON + 600, NOON + 600]


def test_plog_is_read_in_the_zone_of_the_engine_beside_it() -> None:
    case = Case().put(0, "engine", "2026-11-20T12:00:00Z INFO 11-20 20:00:00 [x.py:1] y")
    case.put(0, "plog.debug.plog-1", "[ERROR] HCCL(1,python3):2026-11-20-20:00:05.000.000 [a.cc:1] x")
    plog = next(log for log in case.evidence().nodes[0].logs if log.source == "plog")
    assert plog.lines[0].at == NOON + 5


def test_lines_from_before_the_present_start_do_not_count() -> None:
    text = "2026-11-20T11:00:00Z old\n2026-11-20T12:00:00Z new\n"
    case = Case(facts={0: {"generation_at": str(NOON - 60)}}).put(0, "engine", text).put(0, "dmesg", "[ 3100.0] near\n[ 10.0] far\n")
    logs = {log.source: [line.text for line in log.lines] for log in case.evidence().nodes[0].logs}
    assert logs["engine"] == ["new"]
    assert logs["dmesg"] == ["near"]


def test_colours_and_bars_are_no_part_of_a_line() -> None:
    case = Case().put(0, "engine", "\x1b[1;36m(EngineCore pid=1)\x1b[0;0m ERROR 11-20 12:00:00 [x.py:1] y\rnext\n")
    assert [line.text for line in case.evidence().nodes[0].logs[0].lines] == ["(EngineCore pid=1) ERROR 11-20 12:00:00 [x.py:1] y", "next"]
