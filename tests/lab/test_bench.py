"""bench on two nodes with the real engine and its own client: both data sets, a sweep, history, no key anywhere, nothing left behind."""

from __future__ import annotations

import json
import signal
import time
from typing import Any

import pytest

from tests.browser import Browser
from tests.lab.conftest import RunningLab
from tests.lab.real import RealPair
from tests.lab.verbs import Ran, Site
from tests.unit import test_report_browser as pages

pytestmark = pytest.mark.lab
browser = pages.browser
UNIT = "bringup-real-r0"
LEFT = f"docker exec {UNIT} sh -c 'ls -d /tmp/bringup-bench-* 2>/dev/null || :'"
CLIENTS = "ps -eww -o args | grep -c '[v]llm bench serve' || :"


@pytest.fixture(scope="module")
def serving(real_pair: RealPair) -> Site:
    """The pair with one worker a node, served by the real engine; the double has no client."""
    return real_pair.up()


def measure(site: Site, *data: str, seconds: float = 400) -> Ran:
    return site.run("bench", *(w for d in data for w in ("--data", d)), seconds=seconds)


def kept(ran: Ran) -> dict[str, Any]:
    assert ran.folder is not None
    found: dict[str, Any] = json.loads((ran.folder / "bench.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.long
def test_both_data_sets_run_and_every_request_is_answered(lab: RunningLab, serving: Site) -> None:
    ran = measure(serving)
    assert ran.code == 0, ran.err + ran.out
    points = {p["scenario"]: p for p in kept(ran)["points"]}
    assert {name: (p["completed"], p["failed"]) for name, p in points.items()} == {"random-small": (8, 0), "prefix-small": (16, 0)}
    for p in points.values():
        assert p["figures"]["output_throughput"] > 0
        assert p["figures"]["mean_ttft_ms"] > 0
        assert 0 <= p["figures"]["prefix_hit_rate"] <= 1
        assert (p["conditions"]["accelerators"], p["conditions"]["layout"]) == (2, {"dp": 2})
        assert p["page"] is None
    assert ran.folder is not None
    assert sorted(f.name for f in (ran.folder / "bench").iterdir()) == ["r0-prefix-small-at-4.json", "r0-random-small-at-4.json"]
    assert lab.ssh("n0", LEFT).strip() == ""
    assert "random-small at 4" in ran.out


@pytest.mark.long
def test_a_sweep_is_a_curve_and_stands_beside_the_run_before(serving: Site) -> None:
    ran = measure(serving, "scenario=random-small", "sweep=1,4", "tolerance=90%")
    assert ran.code == 0, ran.err + ran.out
    (curve,) = kept(ran)["curves"]
    assert [(p["concurrency"], p["prompts"]) for p in curve["points"]] == [(1, 8), (4, 8)]
    at = {p["conditions"]["concurrency"]: p["before"] for p in kept(ran)["points"]}
    assert at[1]["unlike"] == ["requests at the same time 1 here, 4 then"]
    assert at[4]["ratios"]["output_throughput"] > 0
    assert "latency and throughput" in ran.out


@pytest.mark.long
def test_its_report_opens_in_a_browser_with_curve_and_tables(serving: Site, browser: Browser) -> None:
    """The synthetic reports of tests/unit have all cases; this one is a real engine's."""
    runs = sorted((serving.runs / serving.cluster).glob("*-bench*"), key=lambda p: p.stat().st_mtime)
    (report,) = [r / "report.html" for r in runs if (r / "bench.json").exists() and json.loads((r / "bench.json").read_text())["curves"]]
    browser.open(report)
    pages.opened(browser)
    assert browser.said() == []
    assert browser.requests() == [report.as_uri()]
    plots = browser.ask("[...document.querySelectorAll('svg[role=img]')].map(s => s.getAttribute('aria-label'))")
    assert len(plots) >= 2, "the stages, and latency over throughput"
    assert all(plots)
    assert "random-small" in browser.ask("document.body.innerText")
    assert browser.ask("document.querySelectorAll('table tbody tr').length") > 4
    assert browser.ask("document.documentElement.scrollWidth") <= 1280
    found = pages.judged(browser)
    assert [(v["id"], [n["target"] for n in v["nodes"]][:3]) for v in found["violations"]] == []


def test_the_key_is_on_no_command_line_and_in_no_file(lab: RunningLab, serving: Site) -> None:
    key = (serving.path / "config" / "bringup" / "real" / "api-key").read_text(encoding="utf-8").strip()
    process = serving.start("bench", "--data", "scenario=random-small", "--data", "prompts=8")
    seen, end = "", time.monotonic() + 200
    while process.poll() is None and time.monotonic() < end:
        seen += lab.ssh("n0", "ps -eww -o args")
        time.sleep(0.5)
    ran = serving.end(process)
    assert ran.code == 0, ran.err + ran.out
    assert {p["scenario"]: (p["completed"], p["failed"]) for p in kept(ran)["points"]} == {"random-small": (8, 0)}
    assert "vllm bench serve" in seen
    assert key not in seen
    assert key not in ran.out + ran.err
    for path in serving.runs.rglob("*"):
        assert not path.is_file() or key not in path.read_text(encoding="utf-8", errors="replace"), path


@pytest.mark.long
def test_ctrl_c_ends_the_tool_inside_the_container(lab: RunningLab, serving: Site) -> None:
    process = serving.start("bench", "--data", "scenario=random-small", "--data", "prompts=5000")
    end = time.monotonic() + 60
    while lab.ssh("n0", CLIENTS).strip() in ("", "0") and time.monotonic() < end:
        time.sleep(0.5)
    time.sleep(5)
    process.send_signal(signal.SIGINT)
    ran = serving.end(process, 60)
    assert ran.code == 130
    end = time.monotonic() + 20
    while lab.ssh("n0", CLIENTS).strip() != "0" and time.monotonic() < end:
        time.sleep(0.5)
    assert lab.ssh("n0", CLIENTS).strip() == "0"
    assert lab.ssh("n0", LEFT).strip() == ""


def test_another_plan_is_not_measured_under_this_ones_name(serving: Site) -> None:
    ran = measure(serving, "flags.max-num-seqs=16")
    assert ran.code == 1
    assert "runs another plan than this inventory's" in ran.err
    assert serving.run("verify", "--data", "soak=0").code == 0  # nothing was changed by measuring
