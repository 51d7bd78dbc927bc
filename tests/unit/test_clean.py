"""Whose process is it: ours, an orphaned engine, or foreign; and what an end may touch."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from roles.clean import processes as clean
from roles.clean.processes import classified, memory, named
from roles.run.seen import MARK, Seen, sections

OURS, THEIRS = "a" * 64, "b" * 64
UNIT = "bringup-a2-r0"
SCOPE = "/user.slice/user-0.slice/session-3.scope"


def row(pid: int, parent: int, args: str, cgroup: str = SCOPE, start: int = 5000, state: str = "S") -> str:
    return f"{pid}\t{parent}\t{start}\t{state}\troot\t{cgroup}\t{args}"


def hold(pid: int, args: str, cgroup: str = SCOPE, device: str = "/dev/davinci0", parent: int = 1) -> str:
    return f"{pid}\t5000\t{parent}\tS\troot\t{device}\t{cgroup}\t{args}"


def seen(rows: list[str], held: list[str] = (), listen: list[str] = ()) -> Seen:  # type: ignore[assignment]
    parts = {
        "unit": [f"name={UNIT}", f"id={OURS}"],
        "processes": rows,
        "holders": list(held),
        "holders.containers": [f"{OURS} {UNIT}", f"{THEIRS} their-training"],
        "listen": list(listen),
    }
    return Seen("n0", sections("".join(f"{MARK}{k} 0\n" + "\n".join(v) + "\n" for k, v in parts.items())))


INIT = row(1, 0, "/sbin/init", "/init.scope")
SHELL = row(50, 1, "-bash")
CASES = {
    "our own worker": (
        [INIT, row(9, 8, "VLLM::Worker_TP0", f"/system.slice/docker-{OURS}.scope")],
        [hold(9, "VLLM::Worker_TP0", f"/system.slice/docker-{OURS}.scope")],
        "ours",
    ),
    "an engine core whose launcher was killed": ([INIT, row(9, 1, "VLLM::EngineCore")], [hold(9, "VLLM::EngineCore")], "orphan"),
    "a spawn child without a title": (
        [INIT, row(9, 1, "/usr/bin/python3 -c from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=5)")],
        [hold(9, "/usr/bin/python3 -c from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=5)")],
        "orphan",
    ),
    "a launcher that somebody runs in a shell": (
        [INIT, SHELL, row(9, 50, "vllm serve /models/x")],
        [hold(9, "vllm serve /models/x", parent=50)],
        "foreign",
    ),
    "a worker whose shell was told in so many words": (
        [INIT, row(8, 1, "bash -c exec -a VLLM::EngineCore vllm serve /models/x; true"), row(9, 8, "VLLM::EngineCore")],
        [hold(9, "VLLM::EngineCore", parent=8)],
        "foreign",
    ),
    "a worker of a launcher that somebody runs": (
        [INIT, SHELL, row(8, 50, "vllm serve /models/x"), row(9, 8, "VLLM::Worker")],
        [hold(9, "VLLM::Worker", parent=8)],
        "foreign",
    ),
    "a launcher left behind by its terminal": ([INIT, row(9, 1, "vllm serve /models/x")], [hold(9, "vllm serve /models/x")], "orphan"),
    "an Xinference server whose launcher was killed": (
        [INIT, row(9, 1, "/usr/bin/python3 -u /tmp/xinf-api-w2k/start_local.py")],
        [hold(9, "/usr/bin/python3 -u /tmp/xinf-api-w2k/start_local.py", device="/dev/nvidia0")],
        "orphan",
    ),
    "an Xinference model whose server was killed": (
        [INIT, row(9, 1, "Model: MiniMax-M2-rep0")],
        [hold(9, "Model: MiniMax-M2-rep0", device="/dev/nvidia0")],
        "orphan",
    ),
    "a worker in somebody's container": (
        [INIT, row(9, 1, "VLLM::Worker", f"/system.slice/docker-{THEIRS}.scope")],
        [hold(9, "VLLM::Worker", f"/system.slice/docker-{THEIRS}.scope")],
        "foreign",
    ),
    "an engine of a service": (
        [INIT, row(9, 1, "vllm serve x", "/system.slice/inference.service")],
        [hold(9, "vllm serve x", "/system.slice/inference.service")],
        "foreign",
    ),
    "a training job": ([INIT, row(9, 1, "python3 train.py")], [hold(9, "python3 train.py")], "foreign"),
    "a watcher with vllm in its name only": (
        [INIT, row(9, 1, "python3 watch.py")],
        [hold(9, "python3 watch.py --engine vllm-serve")],
        "foreign",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_holder_is_of_the_kind_its_family_says(name: str) -> None:
    rows, held, kind = CASES[name]
    (found,) = [p for p in classified(seen(rows, held), UNIT, "a2") if p.pid == 9]
    assert found.kind == kind
    assert found.why


def test_an_engine_that_holds_nothing_of_the_plan_is_not_touched() -> None:
    assert classified(seen([INIT, row(9, 1, "VLLM::EngineCore")]), UNIT, "a2") == []


def test_the_core_of_an_orphaned_worker_is_an_orphan_too() -> None:
    rows = [INIT, row(8, 1, "VLLM::EngineCore"), row(9, 8, "VLLM::Worker")]
    found = classified(seen(rows, [hold(9, "VLLM::Worker", parent=8)]), UNIT, "a2")
    assert {p.pid: p.kind for p in found} == {8: "orphan", 9: "orphan"}


def test_a_holder_of_a_port_alone_is_found() -> None:
    found = classified(seen([INIT, row(9, 1, "vllm serve x")], [], [f"20004\t9\t10.0.0.11:20004\tvllm\t{SCOPE}\tvllm serve x"]), UNIT, "a2")
    assert [(p.pid, p.ports, p.kind) for p in found] == [(9, (20004,), "orphan")]


def test_memory_is_read_from_both_widths_of_the_process_table() -> None:
    lines = [
        "| NPU     Chip              | Process id    | Process name             | Process memory(MB)       |",
        "| 1       0                 | 669096        | VLLMWorker_DP            | 55124                    |",
        "| 0       0                 | 632268        | python3.1          | 197                   | NA                      |",
        "| No running processes found in NPU 0                                                             |",
    ]
    assert memory(lines) == {669096: 55124, 632268: 197}


def test_only_what_is_there_can_be_named() -> None:
    found = {"10.0.0.11": classified(seen([INIT, row(9, 1, "python3 train.py")], [hold(9, "python3 train.py")]), UNIT, "a2")}
    assert named("10.0.0.11:9,10.0.0.11:their-training", found) == ([("10.0.0.11", "9"), ("10.0.0.11", "their-training")], [])
    assert "no node" in named("n9:9", found)[1][0]
    assert "pid 77" in named("10.0.0.11:77", found)[1][0]


@pytest.mark.parametrize(
    ("command", "own"),
    [
        ("/usr/bin/dockerd -H fd://", True),
        ("/usr/bin/docker-proxy -proto tcp -host-port 20004", True),
        ("/usr/bin/containerd-shim-runc-v2 -namespace moby", True),
        ("/lib/systemd/systemd-resolved", True),
        ("/sbin/init", True),
        ("sshd: root@pts/0", True),
        ("/usr/bin/kubelet --config=x", True),
        ("/usr/bin/podman system service", True),
        ("python3 train.py", False),
        ("initialise-cards --all", False),
        ("/opt/systemd-like/engine serve", False),
        ("vllm serve /models/init", False),
    ],
)
def test_what_belongs_to_the_node_itself_is_never_ended(command: str, own: bool) -> None:
    group = "/system.slice/x.service"
    held = seen([INIT, row(9, 1, command, group)], [], [f"20004\t9\t*:20004\tx\t{group}\t{command}"])
    found = {"n0": classified(held, UNIT, "a2")}
    assert [p.daemon for p in found["n0"]] == [own]
    chosen, problems = named("n0:9", found)
    assert (chosen == []) == own
    assert ("never ended" in "".join(problems)) == own


def ended(processes: str) -> subprocess.CompletedProcess[str]:
    script = Path(clean.__file__).with_name("end.sh").read_text(encoding="utf-8")
    text = f"CONTAINERS=\nPROCESSES='{processes}'\n{script}"
    return subprocess.run(["sh", "-c", text], capture_output=True, text=True, timeout=60, check=False)


def start_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2].split()[19])


def test_a_process_is_ended_and_a_pid_that_is_another_process_now_is_left_alone() -> None:
    one, other = (subprocess.Popen(["sleep", "60"]) for _ in range(2))
    try:
        assert ended(f"{one.pid}:{start_of(one.pid)} {other.pid}:{start_of(other.pid) + 1}").returncode in (0, 1)
        assert one.wait(10) == -15
        assert other.poll() is None
    finally:
        for p in (one, other):
            p.kill()
            p.wait()


def test_a_process_that_ignores_term_is_killed(tmp_path: Path) -> None:
    one = subprocess.Popen(["sh", "-c", "trap '' TERM; echo; while :; do sleep 0.1; done"], stdout=subprocess.PIPE)
    assert one.stdout is not None
    one.stdout.readline()  # from here on it ignores it
    try:
        script = Path(clean.__file__).with_name("end.sh").read_text(encoding="utf-8").replace("wait_for 10", "wait_for 1")
        text = f"CONTAINERS=\nPROCESSES='{one.pid}:{start_of(one.pid)}'\n{script}"
        subprocess.run(["sh", "-c", text], capture_output=True, text=True, timeout=60, check=False)
        assert one.wait(10) == -9
    finally:
        one.kill()
        one.wait()


@pytest.mark.parametrize(
    ("start", "clock", "said"),
    [
        (5000, ["1700000000", "100"], "2023-11-14 22:14:10 UTC"),
        (0, ["1700000000", "100"], ""),
        (5000, [], ""),
        (5000, ["1700000000"], ""),
        (5000, ["x", "100"], ""),
        (5000, ["1700000000", "0"], ""),
    ],
)
def test_a_process_is_listed_with_the_time_it_began(start: int, clock: list[str], said: str) -> None:
    assert clean.began(start, clock) == said


def test_the_time_stands_in_its_row() -> None:
    rows, held = [INIT, row(9, 1, "VLLM::EngineCore")], [hold(9, "VLLM::EngineCore")]
    found = seen(rows, held)
    timed = Seen("n0", {**found.sections, **sections(f"{MARK}boot 0\n1700000000 100\n")})
    assert [p.row()[:44] for p in classified(timed, UNIT, "a2")] == ["pid 9 (root, since 2023-11-14 22:14:10 UTC):"]
    assert [p.row()[:13] for p in classified(found, UNIT, "a2")] == ["pid 9 (root):"]


def test_a_container_that_is_not_there_is_said_and_is_no_success(tmp_path: Path) -> None:
    """The double of docker knows one container."""
    script = Path(clean.__file__).with_name("end.sh").read_text(encoding="utf-8")
    double = 'docker() { [ "$1" = stop ] && [ "$5" = theirs ]; }\nPROCESSES= CONTAINERS="$1"\n'
    (tmp_path / "typo").touch()

    def end(names: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["bash", "-c", double + script, "end", names], capture_output=True, text=True, cwd=tmp_path, timeout=30)

    assert (end("theirs").returncode, end("theirs").stdout) == (0, "")
    wrong = end("theirs typ*")
    assert wrong.returncode == 1
    assert wrong.stdout == "container typ* was not stopped: there is none of this name\n"
