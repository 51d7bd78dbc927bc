"""serve, stop and clean on two nodes, with the engine's double: order, convergence, restart, nothing left."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.conftest import RunningLab
from tests.lab.double_image import double_image
from tests.lab.verbs import DOUBLE, Ran, Site

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def site(lab: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    double_image(lab.place)
    one = Site(lab.place, tmp_path_factory.mktemp("site"), data={"image": DOUBLE, "timeouts": {"stall": 15, "ready": 120}})
    assert one.run("clean", "-y").code == 0
    yield one
    one.data["env"] = {}
    assert one.run("clean", "-y").code == 0


def engine_order(ran: Ran, site: Site) -> list[str]:
    """What happened to the engines, in the order of the clock."""
    names = {site.name(n): n for n in site.members}
    told = []
    for e in ran.events:
        if e["event"] == "start" and e.get("stage") == "start":
            told.append(f"start {names[e['node']]}")
        elif e["event"] == "end" and e.get("stage") in ("listen", "reach") and e["ok"]:
            told.append(f"{e['stage']} {names[e['node']]}")
        elif e["event"] == "healthy":
            told.append("healthy")
        elif e["event"] == "proof":
            told.append(f"proof {e['name']}")
    return told


ORDER = ["start n0", "listen n0", "reach n1", "start n1", "healthy", "proof health"]


def test_bare_nodes_become_a_proven_endpoint_in_the_right_order(lab: RunningLab, site: Site) -> None:
    ran = site.run("serve", "-y", "--data", "soak=2s")
    assert ran.code == 0, ran.err
    order = engine_order(ran, site)
    assert order[: len(ORDER)] == ORDER
    assert order[-1] == "proof soak"
    assert "is served at http://10.77.0.11:20004/v1" in ran.out
    assert {s["stage"] for s in ran.report["stages"]} >= {"look", "start", "listen", "reach", "weights", "loaded", "http", "proof"}


def test_a_second_run_changes_nothing_and_restarts_nothing(lab: RunningLab, site: Site) -> None:
    before = lab.ssh("n0", "docker inspect -f '{{.Id}} {{.State.StartedAt}}' bringup-site-r0")
    ran = site.run("serve", "-y")
    assert (ran.code, ran.success) == (0, 0), ran.err
    assert "left alone" in ran.err
    assert lab.ssh("n0", "docker inspect -f '{{.Id}} {{.State.StartedAt}}' bringup-site-r0") == before


def test_verify_and_status_say_that_it_serves(site: Site) -> None:
    assert site.run("verify", "--data", "soak=1s").code == 0
    ran = site.run("status")
    assert ran.code == 0, ran.out
    assert "serves" in ran.out
    assert "rank 1" in ran.out


def test_an_api_that_only_the_nodes_reach_is_proven_through_ssh(lab: RunningLab, site: Site) -> None:
    rule = "INPUT -i enp67s0f0np0 -p tcp --dport 20004 ! -s 10.77.0.12 -j DROP"
    lab.exec("n0", f"iptables -I {rule}")
    try:
        ran = site.run("verify", "--data", "soak=1s")
    finally:
        lab.exec("n0", f"iptables -D {rule}")
    assert ran.code == 0, ran.err + ran.out
    assert "through SSH to 10.78.0.11" in ran.out


def test_logs_of_both_ranks_are_merged_by_time(site: Site) -> None:
    ran = site.run("logs", "--data", "tail=0")
    assert ran.code == 0
    lines = [line for line in ran.out.splitlines() if " 10.78.0.1" in line]
    assert lines == sorted(lines, key=lambda line: line[:12])
    assert {line.split()[1] for line in lines} == {"10.78.0.11", "10.78.0.12"}
    assert "\r" not in ran.out


@pytest.mark.parametrize(("verb", "words", "often"), [("logs", ("follow=true", "tail=5"), 3), ("status", ("watch=1s",), 2)])
def test_a_verb_that_goes_on_ends_with_ctrl_c(site: Site, verb: str, words: tuple[str, ...], often: int) -> None:
    process = site.start(verb, *(w for word in words for w in ("--data", word)))
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(often)]
    process.send_signal(signal.SIGINT)
    ran = site.end(process, 40)
    assert ran.code == 130
    assert all(told)


def test_the_key_is_in_its_file_and_nowhere_else(lab: RunningLab, site: Site) -> None:
    file = site.path / "config" / "bringup" / "site" / "api-key"
    key = file.read_text(encoding="utf-8").strip()
    assert file.stat().st_mode & 0o777 == 0o600
    assert lab.ssh("n0", "stat -c %a /etc/bringup/site/r0.env").strip() == "600"
    for path in site.runs.rglob("*"):
        assert not path.is_file() or key not in path.read_text(encoding="utf-8", errors="replace"), path
    shown = "ps -eww -o args; docker inspect -f '{{.Args}} {{.Config.Cmd}} {{.Config.Labels}}' bringup-site-r0"
    written = "cat /etc/systemd/system/bringup-* /etc/bringup/site/r0.run; journalctl -u bringup-site-r0 | cat"
    assert key not in lab.ssh("n0", f"{shown}; {written}")
    assert lab.ssh("n0", "curl -s -o /dev/null -w '%{http_code}' http://10.77.0.11:20004/v1/models") == "401"


def test_a_changed_flag_shows_the_difference_and_restarts_in_order(lab: RunningLab, site: Site) -> None:
    site.data["flags"] = {"max-num-seqs": 64}
    dry = site.run("serve", "--dry")
    assert dry.code == 0
    assert "~ --max-num-seqs: 128 -> 64" in dry.err
    assert "would be stopped and started again" in dry.err
    ran = site.run("serve", "-y", "--data", "soak=1s")
    assert ran.code == 0, ran.err
    assert engine_order(ran, site)[: len(ORDER)] == ORDER
    assert lab.ssh("n1", "docker inspect -f '{{index .Config.Labels \"bringup.generation\"}}' bringup-site-r0").strip() == "2"
    assert "Application startup" in lab.ssh("n0", "cat /var/lib/bringup/site/r0/logs/1.log")


def test_a_dead_rank_is_repaired_by_an_ordered_restart(lab: RunningLab, site: Site) -> None:
    lab.ssh("n1", "systemctl stop bringup-site-r0")
    ran = site.run("serve", "-y", "--data", "soak=1s")
    assert ran.code == 0, ran.err
    assert engine_order(ran, site)[: len(ORDER)] == ORDER


@pytest.mark.parametrize("count", [2, pytest.param(100, marks=pytest.mark.long)])
def test_start_after_start_the_order_is_right(site: Site, count: int) -> None:
    """Every change of a flag is an ordered restart; one wrong order in a row of them fails."""
    for i in range(count):
        site.data["flags"] = {"max-num-seqs": 40 + i % 7}
        ran = site.run("serve", "-y", "--data", "soak=0")
        assert ran.code == 0, (i, ran.err)
        assert engine_order(ran, site)[: len(ORDER)] == ORDER, i


def test_stop_ends_both_and_keeps_what_was_prepared(lab: RunningLab, site: Site) -> None:
    ran = site.run("stop", "-y")
    assert (ran.code, ran.success) == (0, 4), ran.err  # both stopped, both proven free
    for node in site.members:
        assert lab.ssh(node, "docker ps -q --filter label=bringup.cluster=site") == ""
        assert lab.ssh(node, "ls /etc/systemd/system/bringup-site-r0.service")
    again = site.run("stop", "-y")
    assert (again.code, again.success) == (0, 0)
    assert site.run("status").code == 1


def test_clean_leaves_nothing_and_a_second_clean_finds_nothing(lab: RunningLab, site: Site) -> None:
    shared = {n: lab.ssh(n, "ls /dev/shm") for n in site.members}
    assert site.run("serve", "-y", "--data", "soak=1s").code == 0
    ran = site.run("clean", "-y")
    assert ran.code == 0, ran.err
    for node in site.members:
        files = "ls -d /etc/bringup/site /var/lib/bringup/site 2>/dev/null || :"
        assert lab.ssh(node, f"docker ps -aq --filter label=bringup.cluster=site; {files}") == ""
        assert lab.ssh(node, "ls /etc/systemd/system | grep bringup-site || :") == ""
        assert lab.ssh(node, "ls /dev/shm") == shared[node]
        assert lab.ssh(node, "npu-smi info").count("No running processes") == 8
    again = site.run("clean", "-y")
    assert (again.code, again.success) == (0, 0)


def test_dry_changes_nothing_and_names_every_step(lab: RunningLab, site: Site) -> None:
    ran = site.run("serve", "--dry")
    assert ran.code == 0
    for word in ("start rank=0", "listen", "reach", "start rank=1", "follow", "health", "model", "prove"):
        assert word in ran.err, word
    assert (
        lab.ssh("n0", "ls -d /etc/bringup/site /var/lib/bringup/site 2>/dev/null; docker ps -aq --filter label=bringup.cluster=site") == ""
    )


def test_without_a_terminal_and_without_yes_it_says_add_yes(site: Site) -> None:
    ran = site.run("serve")
    assert ran.code == 2
    assert "add -y" in ran.err


def test_half_a_replica_is_refused_and_nothing_of_it_starts(lab: RunningLab, site: Site) -> None:
    ran = site.run("serve", "-y", "--limit", site.name("n0"))
    assert ran.code == 1
    assert "not whole" in ran.err
    assert lab.ssh("n0", "docker ps -aq --filter label=bringup.cluster=site") == ""


def test_from_another_directory_and_as_a_sudo_user(lab: RunningLab, site: Site, tmp_path: Path) -> None:
    site.data |= {"ssh_user": "ops", "_sudo": True}
    try:
        ran = site.run("serve", "-y", "--data", "soak=1s", cwd=tmp_path)
        assert ran.code == 0, ran.err
        assert site.run("stop", "-y", cwd=tmp_path).code == 0
    finally:
        site.data.pop("_sudo")
        site.data["ssh_user"] = "root"
