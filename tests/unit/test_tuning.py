"""Host settings: what is decided for a node, which files it gets, and how it goes back."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from roles.run import checks
from roles.run.checks import Case
from roles.run.look import values
from roles.run.seen import Section, Seen
from roles.tuning import ranges, texts
from roles.tuning import settings as known
from roles.tuning.present import EPHEMERAL, LIMITS, RESERVED, SCRIPT, SYSCTL, UNIT
from roles.tuning.work import tuning, undoing
from tests.unit.sources import plan

ROOT = Path(__file__).parents[2]
MADE = {"ascend": plan("vllm-ascend/a2-dual"), "nvidia": plan("vllm/nvidia-tp4")}
SWAPPINESS, NUMA, COST = (known.path(n) for n in ("vm.swappiness", "kernel.numa_balancing", "kernel.sched_migration_cost_ns"))
DEBUGFS = "/sys/kernel/debug/sched/migration_cost_ns"
POLICY = "/sys/devices/system/cpu/cpufreq/policy{}/scaling_governor"
STOCK = {
    SWAPPINESS: "60", NUMA: "1", COST: "500000", DEBUGFS: "500000", RESERVED: "", EPHEMERAL: "32768\t60999",
    POLICY.format(0): "powersave", POLICY.format(1): "powersave",
}  # fmt: skip
HOST = {"kernel": "5.10.0", "systemd": "yes", "boot": "", "pam": "yes", "memlock": "yes", "nofile": "yes"}
OURS = "2347,20004,27431,60000-60031"
FILES = {SYSCTL: "sysctl", LIMITS: "limits", SCRIPT: "script", UNIT: "unit"}


def lines(pairs: dict[str, str]) -> tuple[str, ...]:
    return tuple(f"{k}={v}" for k, v in pairs.items())


def case(
    knobs: dict[str, str] | None = None, vendor: str = "ascend", files: dict[str, str] | None = None, records: str = "", **host: str
) -> Case:
    """A node of which the probe said this."""
    made = MADE[vendor]
    sections = {
        "tuning.knobs": Section("tuning.knobs", 0, lines(STOCK if knobs is None else knobs)),
        "tuning.offered": Section("tuning.offered", 0, lines({POLICY.format(n): "performance powersave" for n in (0, 1)})),
        "tuning.host": Section("tuning.host", 0, lines({**HOST, **host})),
        "tuning.before": Section("tuning.before", 0 if records else 1, tuple(records.splitlines())),
    }
    for path, name in FILES.items():
        text = (files or {}).get(path)
        sections[f"tuning.{name}"] = Section(name, 1 if text is None else 0, tuple((text or "").splitlines()))
    node = made.nodes[0]
    return Case(made, made.replicas[0], node, Seen(node.name, sections))


def tuned(before: Case | None = None) -> tuple[dict[str, str], dict[str, str], str]:
    """Knobs, files and record as the first prepare of a stock node leaves them."""
    work = tuning(before or case())
    return {**STOCK, **work.knobs}, dict(work.files), "".join(f"{k}={v}\n" for k, v in work.record.items())


def whats(changes: Any) -> list[str]:
    return [c.what for c in changes]


def findings(here: Case) -> dict[str, str]:
    found = checks.judge(here.plan, {here.node.name: here.seen})
    return {f.check: f.level for f in found if f.check.startswith("tuning.")}


def test_a_stock_node_gets_every_setting_and_every_file() -> None:
    assert whats(tuning(case()).changes) == [
        "set vm.swappiness to 0 (now 60)",
        "set kernel.numa_balancing to 0 (now 1)",
        "set kernel.sched_migration_cost_ns to 50000 (now 500000)",
        f"set net.ipv4.ip_local_reserved_ports to {OURS} (now nothing)",
        "set the governor of 2 CPU policies to performance (now powersave)",
        "write /etc/sysctl.d/90-bringup.conf",
        "write /etc/security/limits.d/90-bringup.conf",
        "write /etc/bringup/tuning.sh",
        "write /etc/systemd/system/bringup-tuning.service",
        "run our settings at every boot: enable bringup-tuning.service",
    ]


def test_a_second_prepare_changes_nothing() -> None:
    knobs, files, records = tuned()
    assert tuning(case(knobs, files=files, records=records, boot="enabled")) == type(tuning(case()))()


def test_the_sysctl_file_is_this() -> None:
    assert tuning(case()).files[SYSCTL] == texts.HEAD + (
        "vm.swappiness = 0\nkernel.numa_balancing = 0\nkernel.sched_migration_cost_ns = 50000\n"
        "# The plan's ports, and what others had reserved: the kernel gives none of them to outgoing connections.\n"
        f"net.ipv4.ip_local_reserved_ports = {OURS}\n"
    )


def test_the_limits_file_names_root_too() -> None:
    assert tuning(case()).files[LIMITS] == texts.HEAD + (
        "* - memlock unlimited\nroot - memlock unlimited\n* - nofile 1048576\nroot - nofile 1048576\n"
    )


def test_limits_the_machine_cannot_give_are_not_asked_for() -> None:
    assert "memlock" not in tuning(case(memlock="no")).files[LIMITS]
    assert LIMITS not in tuning(case(memlock="no", nofile="no")).files
    assert LIMITS not in tuning(case(pam="")).files


def test_what_runs_at_boot_is_a_shell_script_for_the_governor_and_the_ports() -> None:
    text = tuning(case()).files[SCRIPT]
    assert 'do put performance "$file"; done' in text
    assert "migration_cost_ns" not in text, "/proc/sys has it here"
    assert subprocess.run(["dash", "-n"], input=text, text=True, check=False).returncode == 0


def test_a_kernel_without_the_sysctl_gets_its_debugfs_twin_now_and_at_boot() -> None:
    new = {k: v for k, v in STOCK.items() if k != COST}
    work = tuning(case(new))
    assert work.knobs[DEBUGFS] == "50000"
    assert f"put 50000 {DEBUGFS}\n" in work.files[SCRIPT]
    assert "sched_migration_cost_ns" not in work.files[SYSCTL]
    assert COST not in work.knobs


def test_a_kernel_with_neither_is_tolerated() -> None:
    bare = {k: v for k, v in STOCK.items() if k not in (COST, DEBUGFS)}
    assert not {COST, DEBUGFS} & tuning(case(bare)).knobs.keys()
    knobs, files, records = {**bare, **tuning(case(bare)).knobs}, tuning(case(bare)).files, "x=1\n"
    assert findings(case(knobs, files=dict(files), records=records))["tuning.sysctl"] == "skip"


def test_without_cpufreq_there_is_no_governor_to_set() -> None:
    bare = {k: v for k, v in STOCK.items() if "cpufreq" not in k}
    assert not [k for k in tuning(case(bare)).knobs if "governor" in k]
    assert findings(case(bare))["tuning.governor"] == "skip"


def test_nvidia_gets_its_ports_reserved_and_nothing_else() -> None:
    work = tuning(case(vendor="nvidia"))
    assert whats(work.changes)[0] == "set net.ipv4.ip_local_reserved_ports to 8000 (now nothing)"
    assert set(work.knobs) == {RESERVED}
    assert set(work.files) == {SYSCTL, SCRIPT, UNIT}
    assert findings(case(vendor="nvidia")) == {"tuning.governor": "warn", "tuning.ports": "pass"}


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("", set()), ("8000", {8000}), ("1-3,7", {1, 2, 3, 7}), ("7,1-3,2-4", {1, 2, 3, 4, 7}), ("8000\n", {8000}), (" 5 , 6", {5, 6})],
)
def test_port_lists_are_read(text: str, numbers: set[int]) -> None:
    assert ranges.ports(text) == numbers


@pytest.mark.parametrize(("numbers", "text"), [(set(), ""), ({5}, "5"), ({5, 6}, "5-6"), ({9, 1, 2, 3, 5}, "1-3,5,9")])
def test_port_lists_are_written_as_the_kernel_writes_them(numbers: set[int], text: str) -> None:
    assert ranges.text(numbers) == text


def test_reservations_of_others_are_kept() -> None:
    work = tuning(case({**STOCK, RESERVED: "30000-32767,60010-60100"}))
    assert work.knobs[RESERVED] == "2347,20004,27431,30000-32767,60000-60100"
    assert f"= {work.knobs[RESERVED]}\n" in work.files[SYSCTL]


def test_what_somebody_reserves_later_is_no_change_of_ours() -> None:
    knobs, files, records = tuned()
    later = {**knobs, RESERVED: f"111,{OURS}"}
    assert not tuning(case(later, files=files, records=records, boot="enabled")).changes


def test_the_first_record_stays_and_new_keys_are_added() -> None:
    assert tuning(case(records=f"{SWAPPINESS}=33\n")).record == {
        k: v for k, v in STOCK.items() if k not in (SWAPPINESS, DEBUGFS, EPHEMERAL)
    }


def test_a_setting_the_kernel_refused_is_not_tried_again_on_the_same_kernel() -> None:
    knobs, files, records = tuned()
    here = case({**knobs, SWAPPINESS: "60"}, files=files, records=records, boot="enabled")
    refused = Section("tuning.refused", 0, (f"{SWAPPINESS}=0@5.10.0",))
    again = Case(here.plan, here.replica, here.node, Seen(here.node.name, {**here.seen.sections, "tuning.refused": refused}))
    assert not tuning(again).changes
    assert findings(again)["tuning.sysctl"] == "skip"
    older = Seen(here.node.name, {**here.seen.sections, "tuning.refused": Section("", 0, (f"{SWAPPINESS}=0@4.19.0",))})
    assert tuning(Case(here.plan, here.replica, here.node, older)).knobs == {SWAPPINESS: "0"}


def test_reverting_restores_exactly_what_was_there() -> None:
    knobs, files, records = tuned()
    undo = undoing(case(knobs, files=files, records=records, boot="enabled"))
    assert {**knobs, **undo.knobs} == STOCK
    assert [w for w in whats(undo.changes) if w.startswith("remove /")] == [f"remove {p}" for p in FILES]


def test_reverting_keeps_what_others_reserved_since_then() -> None:
    knobs, files, records = tuned(case({**STOCK, RESERVED: "30000"}))
    undo = undoing(case({**knobs, RESERVED: "111,2347,20004,27431,30000,60000-60031"}, files=files, records=records))
    assert undo.knobs[RESERVED] == "111,30000"


def test_reverting_leaves_what_somebody_set_since_then() -> None:
    knobs, files, records = tuned()
    undo = undoing(case({**knobs, SWAPPINESS: "10"}, files=files, records=records))
    assert SWAPPINESS not in undo.knobs
    assert "leave vm.swappiness at 10: somebody set it since then (before us it was 60)" in whats(undo.changes)


def test_a_node_that_was_never_tuned_has_nothing_to_revert() -> None:
    assert undoing(case()).changes == ()


def test_a_node_tuned_for_other_hardware_is_reverted_too() -> None:
    knobs, files, records = tuned()
    assert undoing(case(knobs, vendor="nvidia", files=files, records=records)).knobs[SWAPPINESS] == "60"


def changed(**knobs: str) -> dict[str, str]:
    all_knobs, _, _ = tuned()
    return {**all_knobs, **{{"swappiness": SWAPPINESS, "numa": NUMA, "cost": COST, "policy": POLICY.format(1), "ports": RESERVED}[k]: v
                            for k, v in knobs.items()}}  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ({"swappiness": "60"}, "tuning.sysctl"),
        ({"numa": "1"}, "tuning.sysctl"),
        ({"cost": "500000"}, "tuning.sysctl"),
        ({"policy": "ondemand"}, "tuning.governor"),
        ({"ports": "2347,20004,27431,60000-60015"}, "tuning.ports"),
    ],
)
def test_one_fault_gives_one_finding(fault: dict[str, str], check: str) -> None:
    _, files, records = tuned()
    found = findings(case(changed(**fault), files=files, records=records))
    assert [k for k, level in found.items() if level == "warn"] == [check]
    assert set(found) == {"tuning.sysctl", "tuning.governor", "tuning.limits", "tuning.ports"}


def test_missing_limits_are_a_finding_of_their_own() -> None:
    knobs, files, records = tuned()
    found = findings(case(knobs, files={k: v for k, v in files.items() if k != LIMITS}, records=records))
    assert [k for k, level in found.items() if level != "pass"] == ["tuning.limits"]


def test_every_setting_of_the_data_is_asked_by_the_probe() -> None:
    probe = (ROOT / "roles/tuning/probe.sh").read_text(encoding="utf-8")
    for settings in known.every():
        for name, knob in settings.sysctl.items():
            assert known.path(name) in probe
            assert not knob.debugfs or known.DEBUG + knob.debugfs in probe
    assert f"tuning_may -n {known.of('ascend').limits['nofile']}" in probe


def test_the_scripts_are_plain_shell_and_all_their_values_are_given() -> None:
    from roles.tuning import role

    for name in ("probe.sh", "apply.sh", "revert.sh"):
        file = ROOT / "roles/tuning" / name
        assert subprocess.run(["dash", "-n", str(file)], check=False).returncode == 0
        given = {
            *role.PLACES,
            "SYSCTL",
            "SCRIPT",
            "UNIT",
            "LIMITS",
            "KNOBS",
            "RECORD",
            "BOOT",
            *values(MADE["ascend"], MADE["ascend"].nodes[0]),
        }
        assert set(re.findall(r"\$\{?([A-Z_]+)", file.read_text(encoding="utf-8"))) <= given
