"""The accelerators' part of the probe, run by a plain sh on the simulator; and the bench on which all tests of the room stand."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from roles.accelerators.fabric import pings
from roles.plan.finding import Finding
from roles.plan.plan import Plan
from roles.run import remote
from roles.run.checks import judge
from roles.run.holders import holders
from roles.run.look import ASK, HEAD, ROLES, values
from roles.run.seen import Seen, sections
from tests.unit.sources import plan
from tests.unit.test_sim import Lab

PARTS = (HEAD, ROLES / "accelerators/probe.sh", ROLES / "accelerators/probe_last.sh")
QUERIES = ("link", "ip", "net_health", "tls", "lldp", "netdetect", "gateway", "process", "vnic")
FAST = """\
#!/bin/sh
f="$LAB_ANSWERS/${0##*/} $*"
[ -e "$f" ] || { echo "no answer is prepared for: ${0##*/} $*"; exit 97; }
{ read -r code; while IFS= read -r line || [ -n "$line" ]; do printf '%s\\n' "$line"; done; } <"$f"
exit "$code"
"""
ID = "4f" * 32
FEW = {"NUMBERS": "0 5"}
"""The real tools of the simulator are a Python each; two cards tell as much as eight."""


class Site(Lab):
    """One simulated node on which the probe can be run: by its real tools, or by prepared answers, which is quick."""

    def __init__(self, root: Path, family: str = "a2", *more: str) -> None:
        super().__init__(root, family, *more)
        self.stub(
            "docker", 'case "$*" in ps*names*|*--filter*) exit 0;; ps*) cat "$LAB_ROOT/docker-ps" 2>/dev/null;; info*) echo "{}";; esac'
        )
        self.stub("systemctl", "echo inactive")
        for device in self.paths.dev.rglob("*"):
            if device.is_file():
                device.chmod(0o666)

    def stub(self, name: str, body: str) -> None:
        path = self.root / "stubs" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def holder(self, pid: int, *files: str, cgroup: str = "/user.slice/session-3.scope", state: str = "S", comm: str = "python3") -> None:
        """A process with all that the probe reads of one."""
        self.process(pid, *files, comm=comm)
        numbers = " ".join("0" for _ in range(17))
        (self.root / f"proc/{pid}/stat").write_text(f"{pid} ({comm}) {state} 1 {numbers} {pid}77 0\n")
        (self.root / f"proc/{pid}/cgroup").write_text(f"0::{cgroup}\n")

    def contained(self, pid: int, *files: str, name: str, **more: Any) -> None:
        """The same inside a container that Docker knows."""
        self.holder(pid, *files, cgroup=f"/system.slice/docker-{ID}.scope", **more)
        (self.root / "docker-ps").write_text(f"{ID} {name}\n")

    def prepare(self, peer: int | None = None, full: bool = False) -> None:
        """Every answer the probe may ask for, rendered once; with a peer's number, pings to its cards too."""
        folder = self.root / "answers"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        asked = [("npu-smi", "info"), *(("npu-smi", "info", "-t", "health", "-i", str(n)) for n in range(8))]
        asked.append(("npu-smi", "info", "-t", "spod-info", "-i", "0", "-c", "0"))
        for n in range(int(self.run("npu-smi", "info").out.count(" Ascend910 ") or 8)):
            asked += [("hccn_tool", "-i", str(n), f"-{q}", "-g") for q in QUERIES]
            for m in range(8) if full and peer is not None else [n] if peer is not None else []:
                asked.append(("hccn_tool", "-i", str(n), "-ping", "-g", "address", f"10.30.{peer}.{10 + m}"))
                asked.append(("hccn_tool", "-i", str(n), "-hccs_ping", "-g", "address", f"192.168.{peer}.{199 - m}"))
        for words in asked:
            done = self.run(*words)
            text = (done.out + done.err).encode("utf-8", "surrogateescape").replace(b"\0", b"")
            (folder / " ".join(words)).write_bytes(f"{done.code}\n".encode() + text)
        for tool in ("usr/local/bin/npu-smi", "usr/local/Ascend/driver/tools/hccn_tool"):
            (self.root / tool).unlink(missing_ok=True)
            (self.root / tool).write_text(FAST)
            (self.root / tool).chmod(0o755)

    def env(self) -> dict[str, str]:
        first = [self.root / "stubs", self.root / "usr/local/bin", self.root / "usr/bin", Path(sys.executable).parent]
        return {
            "PATH": ":".join([*map(str, first), "/usr/bin", "/bin"]),
            "BRINGUP_PROBE_ROOT": str(self.root), "LAB_ANSWERS": str(self.root / "answers"),
            "LAB_ROOT": str(self.root), "LAB_DEV": str(self.paths.dev), "LAB_PROC": str(self.paths.proc),
            "LAB_STATE": str(self.paths.state), "LAB_UID": "0",
        }  # fmt: skip


class Talk:
    """One probe that runs: up to its question, then to its end."""

    def __init__(self, site: Site, made: Plan, name: str, options: Mapping[str, object]) -> None:
        text = remote.script(*PARTS, values={**values(made, made.node(name)[1]), **options}) + "say end 0 ''\n"
        self.name = name
        self.run = subprocess.Popen(
            ["sh", "-c", text, "bringup-probe"], env=site.env(), text=True, errors="replace",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.lines: list[str] = []

    def until_it_asks(self) -> Seen:
        assert self.run.stdout
        for line in self.run.stdout:
            self.lines.append(line)
            if line.startswith(ASK):
                break
        return self.seen()

    def seen(self) -> Seen:
        return Seen(self.name, sections("".join(self.lines)))

    def told(self, answer: str | None) -> Seen:
        rest, _ = self.run.communicate(answer)
        self.lines.append(rest)
        assert "end" in self.seen(), "".join(self.lines)
        return self.seen()


def look(sites: Mapping[str, Site], made: Plan, **options: object) -> dict[str, Seen]:
    """As roles.run.look does it: all nodes at once, answered when all have asked or ended."""
    talks = {name: Talk(site, made, name, options) for name, site in sites.items()}
    asked = {name: talk.until_it_asks() for name, talk in talks.items()}
    waiting = {n: s for n, s in asked.items() if "fabric.mode" in s}
    return {n: t.told(pings(made, made.node(n)[1], waiting) + "\n" if n in waiting else None) for n, t in talks.items()}


def judged(made: Plan, seen: Mapping[str, Seen]) -> list[Finding]:
    """Findings of this room's checks."""
    return [f for f in judge(made, seen) if f.check.startswith(("ascend.", "nvidia.", "amd."))]


def bad(findings: list[Finding]) -> list[tuple[str, str]]:
    """What is not well: check and level."""
    return sorted({(f.check, f.level) for f in findings if f.level != "pass"})


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Site]:
    root = tmp_path_factory.mktemp("pair")
    return {f"10.0.0.{10 + n}": Site(root / f"n{n}", "a2", "--node", str(n)) for n in (1, 2)}


def test_a_healthy_pair_by_its_real_tools_has_nothing_but_passes(pair: dict[str, Site]) -> None:
    made = plan("vllm-ascend/a2-dual")
    seen = look(pair, made, FABRIC="rail", **FEW)
    found = judged(made, seen)
    assert [f for f in found if f.level != "pass"] == []
    assert {f.check for f in found} == {f"ascend.{name}" for name in (
        "driver", "driver-same", "firmware", "install", "answers", "devices", "count", "family", "health", "idle", "holders", "hccp",
        "link", "net-health", "netdetect", "gateway", "address", "duplicate", "lldp", "tls", "ping",
    )}  # fmt: skip
    assert "8 cards OK" in {f.observed for f in found}
    for site in pair.values():
        site.prepare()
    quick = look(pair, made, **FEW)
    changing = {"end"}
    for name, one in quick.items():
        assert {k: s for k, s in one.sections.items() if k not in changing} == {
            k: s for k, s in seen[name].sections.items() if k not in changing and not k.startswith(("fabric", "ask"))
        }, "prepared answers are those of the tools"


def test_other_vendors_tools_are_not_asked(tmp_path: Path) -> None:
    site = Site(tmp_path / "n", "nvidia")
    made = plan("vllm/nvidia-dp8-ep")
    seen = look({"10.0.0.11": site}, made)["10.0.0.11"]
    assert not any(name.startswith(("npu-smi", "hccn", "ascend", "amd", "rocm")) for name in seen.sections)


@pytest.mark.parametrize("fabric", ["off", "rail"])
def test_a_replica_of_one_node_is_asked_nothing_of_its_network(tmp_path: Path, fabric: str) -> None:
    site = Site(tmp_path / "n", "a2")
    site.prepare()
    seen = look({"10.0.0.11": site}, plan("vllm-ascend/a2-single"), FABRIC=fabric)["10.0.0.11"]
    assert {n.split(".")[1] for n in seen.sections if n.startswith("hccn.")} == {"process"}
    assert not any(n.startswith(("fabric", "ask")) for n in seen.sections)


def test_holders_are_told_with_all_that_is_known_of_them(tmp_path: Path) -> None:
    site = Site(tmp_path / "n", "a2")
    site.prepare()
    site.contained(4711, "davinci3", "davinci4", "davinci_manager", name="their-job")
    site.holder(12, "hisi_hdc", comm="a b) c")
    site.holder(13, "null")
    (site.root / "proc/12/cmdline").write_bytes(b"serve\0--api-key\0abc\0HF_TOKEN=xyz\0")
    (site.root / "proc/14/fd").mkdir(parents=True)
    (site.root / "proc/14/fd/5").symlink_to(f"{site.paths.dev}/davinci6")  # ended meanwhile: no stat
    seen = look({"10.0.0.11": site}, plan("vllm-ascend/a2-single"))["10.0.0.11"]
    first, second = holders(seen)
    assert (first.pid, first.start, first.parent, first.state, first.devices) == (12, 1277, 1, "S", ("/dev/hisi_hdc",))
    assert first.command == "serve --api-key *** HF_TOKEN=***"
    assert (second.pid, second.container, second.name) == (4711, ID, "their-job")
    assert set(second.devices) == {"/dev/davinci3", "/dev/davinci4", "/dev/davinci_manager"}
    assert (second.command, second.user) == ("python3 --flag", "root" if os.geteuid() == 0 else second.user)
    assert second.ours("their-job")
    assert not second.ours("bringup-test-r0")


def test_a_process_of_our_unit_is_ours_without_a_container_too() -> None:
    line = "7\t1\t1\tS\troot\t/dev/nvidia0\t/system.slice/bringup-test-r0.service\tvllm serve"
    (found,) = holders(Seen("n", sections(f"\x1eholders 0\n{line}\n")))
    assert found.ours("bringup-test-r0")
    assert not found.ours("bringup-test-r1")


def test_a_list_of_holders_that_is_no_list_is_said() -> None:
    with pytest.raises(ValueError, match='not understood at "rubbish"'):
        holders(Seen("n", sections("\x1eholders 0\nrubbish\n")))


def test_the_probe_is_understood_by_the_plainest_shell() -> None:
    for part in PARTS[1:]:
        assert subprocess.run(["sh", "-n", str(part)], capture_output=True).returncode == 0


def test_busy_answers_are_asked_again_and_then_given_up(tmp_path: Path) -> None:
    sites = {f"10.0.0.{10 + n}": Site(tmp_path / f"n{n}", "a2", "--node", str(n)) for n in (1, 2)}
    made = plan("vllm-ascend/a2-dual", devices=None)
    sites["10.0.0.11"].prepare()
    sites["10.0.0.12"].set("hccn.busy=3")
    seen = look(sites, made, **FEW)
    assert seen["10.0.0.12"]["hccn.link.0"].first == "link status: UP"
    assert bad(judged(made, seen)) == []


@pytest.mark.parametrize("answer", [None, "\n", "ping 0 10.30.1.10\n"])
def test_nobody_to_talk_to_is_said(tmp_path: Path, answer: str | None) -> None:
    site = Site(tmp_path / "n", "a2")
    site.prepare()
    made = plan("vllm-ascend/a2-dual")
    talk = Talk(site, made, "10.0.0.11", {"FABRIC": "rail"})
    talk.until_it_asks()
    seen = talk.told(answer)
    assert seen["fabric"].first == "no partner"
    (found,) = [f for f in judged(made, {"10.0.0.11": seen}) if f.check == "ascend.ping"]
    assert (found.level, found.observed) == ("warn", "not tested: no partner")


@pytest.mark.parametrize("stub", [("systemctl", "echo active"), ("docker", "echo abc")])
def test_no_ping_disturbs_our_own_engine(tmp_path: Path, stub: tuple[str, str]) -> None:
    site = Site(tmp_path / "n", "a2")
    site.prepare()
    site.stub(*stub)
    made = plan("vllm-ascend/a2-dual")
    talk = Talk(site, made, "10.0.0.11", {"FABRIC": "rail"})
    assert talk.until_it_asks()["fabric"].first == "skip serving"
    (found,) = [f for f in judged(made, {"10.0.0.11": talk.told(None)}) if f.check == "ascend.ping"]
    assert found.level == "skip"
