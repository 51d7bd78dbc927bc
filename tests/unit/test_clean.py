"""Whose process is it: ours, an orphaned engine, or foreign; and what an end may touch."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from roles.clean import processes as clean
from roles.clean.processes import classified, memory, named
from roles.run import remote
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
    one = subprocess.Popen(["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"])
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


class Node:
    """A node of files on which remove.sh runs, with doubles of systemctl and of a Docker that has one container."""

    def __init__(self, root: Path, mounted: str = "", image: str = "exit 0") -> None:
        self.root, self.models = root, root / "models"
        for name in ("MiniMax-M2", "MiniMax-M2.1", "MiniMax-M2.5", "MiniMax-M2.5-w8a8-QuaRot", "MiniMax-M2.manifests"):
            (self.models / name).mkdir(parents=True)
            (self.models / name / "model.safetensors").write_text("x")
            (self.models / f"{name}.manifest").write_text("# bringup weights 1\n")
        (self.models / "MiniMax-M2.manifest.part").write_text("")
        (self.models / "MiniMax-M2.bak").write_text("the user's own")
        (root / "etc" / "mine").mkdir(parents=True)
        (root / "etc" / "mine" / "r0.env").write_text("VLLM_API_KEY=sk-secret\n")
        self.double("systemctl", "")
        self.double("docker", f'case "$1 $2" in "ps -q") echo 1 ;; inspect*) echo "/theirs {mounted}" ;; "image rm") {image} ;; esac')

    def double(self, name: str, body: str) -> None:
        file = self.root / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)

    def record(self, cluster: str, weights: str) -> None:
        folder = self.root / cluster / "r0"
        folder.mkdir(parents=True)
        (folder / "plan.json").write_text(f'{{"mounts": ["{self.models / weights}:/models"]}}')

    def remove(self, weights: str = "MiniMax-M2", image: str = "") -> tuple[int, str]:
        values = {
            "STATE": self.root, "CONFIG": self.root / "etc", "CLUSTER": "mine", "STOP": 1, "LEFTOVERS": "", "REMOVE_IMAGE": image,
            "REMOVE_WEIGHTS": self.models / weights if weights else "",
        }  # fmt: skip
        env = {**os.environ, "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}"}
        text = remote.script(Path(clean.__file__).with_name("remove.sh"), values=values)
        done = subprocess.run(["sh", "-c", text], env=env, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    def left(self) -> set[str]:
        return {p.name for p in self.models.iterdir()}


NAMED = {"MiniMax-M2", "MiniMax-M2.manifest", "MiniMax-M2.manifest.part"}


def test_only_the_named_weights_are_removed(tmp_path: Path) -> None:
    """M2 is a prefix of M2.1, M2.5 and their quantised forms: they are other models, and may be another cluster's."""
    node = Node(tmp_path, mounted=str(tmp_path / "models" / "MiniMax-M2.5"))
    node.record("theirs", "MiniMax-M2.1")
    before = node.left()
    assert node.remove() == (0, "")
    assert before - node.left() == NAMED


@pytest.mark.parametrize("mounted", ["MiniMax-M2", "", "MiniMax-M2/shards"])
def test_weights_that_a_container_mounts_are_left(tmp_path: Path, mounted: str) -> None:
    node = Node(tmp_path, mounted=str(tmp_path / "models" / mounted))
    assert node.remove() == (1, f"weights {node.models / 'MiniMax-M2'} were left: container theirs uses them\n")
    assert node.left() >= NAMED


def test_a_container_that_sees_the_whole_machine_uses_no_weights(tmp_path: Path) -> None:
    """Exporters and agents mount / or /var."""
    for mounted in ("/", str(tmp_path.parent)):
        node = Node(tmp_path / str(len(mounted)), mounted=mounted)
        assert node.remove() == (0, "")


def test_weights_that_another_clusters_record_names_are_left(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.record("theirs", "MiniMax-M2")
    code, said = node.remove()
    assert (code, "theirs/r0/plan.json uses them" in said) == (1, True)
    assert node.left() >= NAMED


def test_an_image_that_others_use_leaves_no_key_behind(tmp_path: Path) -> None:
    node = Node(tmp_path, image="echo conflict >&2; exit 1")
    assert node.remove(weights="", image="team/engine:1") == (1, "image team/engine:1 was not removed\n")
    assert not (tmp_path / "etc").exists()
