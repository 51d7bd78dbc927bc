"""Docker: what is merged into its settings, when it is restarted, and what is said of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from roles.docker import daemon, packages
from roles.docker.daemon import FILE
from roles.docker.role import decide
from roles.docker.work import work
from roles.plan.keys import DockerKeys
from roles.run import checks
from roles.run.checks import Case
from roles.run.seen import Section, Seen
from tests.unit.sources import plan

INFO: dict[str, Any] = {
    "ServerVersion": "20.10.24+dfsg1", "CgroupDriver": "cgroupfs", "CgroupVersion": "1", "Driver": "overlay2",
    "DriverStatus": [["Backing Filesystem", "extfs"], ["Supports d_type", "true"]], "DockerRootDir": "/var/lib/docker", "HttpProxy": "",
    "LiveRestoreEnabled": False,
    "RegistryConfig": {
        "InsecureRegistryCIDRs": ["127.0.0.0/8"], "Mirrors": [],
        "IndexConfigs": {"docker.io": {"Secure": True}, "registry.lab:5000": {"Secure": False}},
    },
}  # fmt: skip
THEIRS = '{"storage-driver": "overlay2", "insecure-registries": ["registry.lab:5000"]}'
HOST = {
    "binary": "/usr/bin/docker",
    "version": "Docker version 20.10.24",
    "id": "debian",
    "systemd": "yes",
    "enabled": "enabled",
    "active": "active",
}
FOREIGN, OWN = "web\t\tnginx:1", "bringup-test-r0\ttest\tvllm"


def case(
    info: dict[str, Any] | None = None,
    file: str | None = THEIRS,
    running: tuple[str, ...] = (),
    dropin: str = "",
    host: dict[str, str] | None = None,
    answers: bool = True,
    recipe: str = "vllm-ascend/a2-dual",
    **keys: Any,
) -> Case:
    """A node of which the probe said this, in a cluster with these keys."""
    made = plan(recipe, **keys)
    facts = {**HOST, **(host or {})}
    said = (json.dumps({**INFO, **(info or {})}),) if answers else ("Cannot connect to the Docker daemon",)
    sections = {
        "docker.host": Section("docker.host", 0, tuple(f"{k}={v}" for k, v in facts.items())),
        "docker.daemon": Section("docker.daemon", 1 if file is None else 0, tuple((file or "").splitlines())),
        "docker.proxy": Section("docker.proxy", 0 if dropin else 1, tuple(dropin.splitlines())),
    }
    if facts["binary"]:
        sections["docker.info"] = Section("docker.info", 0 if answers else 1, said)
        sections["docker.containers"] = Section("docker.containers", 0, running)
    node = made.nodes[0]
    return Case(made, made.replicas[0], node, Seen(node.name, sections))


def whats(here: Case, allowed: bool = False) -> list[str]:
    return [c.what for c in decide(here, allowed)]


def findings(here: Case) -> dict[str, str]:
    found = checks.judge(here.plan, {here.node.name: here.seen})
    return {f.check: f.level for f in found if f.check.startswith("docker.")}


def mirrors(*urls: str) -> dict[str, Any]:
    return {"docker": {"mirrors": list(urls)}}


BARE = {"binary": "", "version": "", "enabled": "", "active": "inactive"}
ROOT = {"docker": {"data_root": "/data/docker"}}


def test_a_node_with_docker_as_wanted_is_left_alone() -> None:
    assert whats(case()) == []
    assert set(findings(case()).values()) == {"pass"}


def test_other_keys_and_other_entries_stay() -> None:
    text = '{"log-level": "warn", "registry-mirrors": ["http://a"], "data-root": "/x"}'
    merged = daemon.merge(text, daemon.wanted(DockerKeys(mirrors=["http://b"], insecure=["r:5000"])))
    expected = {"log-level": "warn", "registry-mirrors": ["http://a", "http://b"], "data-root": "/x", "insecure-registries": ["r:5000"]}
    assert json.loads(merged.text) == expected
    assert merged.changed == ("registry-mirrors", "insecure-registries")


def test_a_mirror_with_a_slash_at_its_end_is_the_same_mirror() -> None:
    text = '{"registry-mirrors": ["http://a/"]}'
    assert daemon.merge(text, {"registry-mirrors": ["http://a"]}) == daemon.Merged(text)


def test_a_new_file_is_this() -> None:
    assert daemon.merge("", {"data-root": "/x"}).text == '{\n  "data-root": "/x"\n}\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": }', "is not JSON"),
        ("[1]", "holds list, expected an object"),
        ('{"registry-mirrors": "http://a"}', 'is "http://a", expected a list of text'),
        ('{"registry-mirrors": [1]}', "is [1], expected a list of text"),
    ],
)
def test_a_file_that_is_not_as_it_should_be_is_left_untouched(text: str, says: str) -> None:
    merged = daemon.merge(text, {"registry-mirrors": ["http://b"]})
    assert says in merged.problem
    assert merged.text == text
    assert not merged.changed


def test_the_proxy_is_not_used_between_the_nodes_nor_to_their_own_registry() -> None:
    text = daemon.proxy("http://p:3128", ["10.0.0.11", "10.0.0.12", "registry.site"])
    assert text == (
        "# Written by bringup from the inventory's proxy.\n[Service]\n"
        'Environment="HTTP_PROXY=http://p:3128" "HTTPS_PROXY=http://p:3128" '
        '"NO_PROXY=localhost,127.0.0.1,::1,10.0.0.11,10.0.0.12,registry.site"\n'
    )
    assert daemon.proxy(None, ["10.0.0.11"]) == ""


def test_mirrors_are_taken_over_without_a_restart() -> None:
    assert whats(case(running=(FOREIGN,), **mirrors("http://m"))) == [f"change {FILE}", "reload Docker"]


def test_settings_in_force_by_a_flag_are_not_written_a_second_time() -> None:
    assert whats(case(file="{}", docker={"insecure": ["registry.lab:5000"]})) == []


def test_a_key_that_is_a_flag_already_is_not_put_into_the_file() -> None:
    here = case(file=None, docker={"insecure": ["registry.lab:5000", "other:5000"]})
    assert 'the daemon is given "insecure-registries" as a flag' in work(here).problem
    assert findings(here)["docker.settings"] == "fail"


def test_a_file_that_was_edited_and_not_taken_over_is_taken_over() -> None:
    assert whats(case(file='{"registry-mirrors": ["http://m"]}', **mirrors("http://m"))) == ["reload Docker"]


def test_a_moved_data_folder_needs_a_restart() -> None:
    assert whats(case(**ROOT)) == [f"change {FILE}", "restart Docker"]


def test_docker_is_not_restarted_under_containers_of_others() -> None:
    here = case(running=(FOREIGN, OWN), **ROOT)
    assert work(here).problem == (
        "Docker must be restarted, and web (nginx:1) is not ours and would end: allow it with --data restart_docker=true; "
        "bringup-test-r0 is serving and would end: stop it first, or allow it with --data restart_docker=true"
    )
    assert whats(here)[-1].startswith("stop here: Docker must be restarted")
    assert whats(here, allowed=True) == [f"change {FILE}", "restart Docker"]
    assert findings(here)["docker.settings"] == "warn"


def test_with_live_restore_a_restart_ends_nothing() -> None:
    live = {"LiveRestoreEnabled": True}
    here = case(live, running=(FOREIGN,), proxy="http://p:1")
    assert (work(here).action, work(here).problem) == ("restart", "")
    assert work(case(live, running=(FOREIGN,), **ROOT)).problem != "", "its containers' own folder moves"


def test_a_proxy_that_left_the_inventory_leaves_the_node() -> None:
    here = case(dropin=daemon.proxy("http://p:1", []))
    assert whats(here) == ["remove /etc/systemd/system/docker.service.d/bringup-proxy.conf", "restart Docker"]


def test_a_bare_node_gets_its_settings_with_the_package() -> None:
    here = case(host=BARE, file=None, **mirrors("http://m"))
    assert whats(here) == ["install docker.io, ca-certificates with apt", f"write {FILE}", "start Docker"]
    assert work(here).enable
    assert findings(here) == {
        "docker.present": "warn", "docker.running": "skip", "docker.version": "skip", "docker.cgroup": "skip", "docker.storage": "skip",
        "docker.settings": "skip",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("system", "like", "tool", "first"),
    [
        ("openEuler", "", "dnf", "docker-ce"),
        ("rocky", "rhel centos fedora", "dnf", "docker-ce"),
        ("linuxmint", "ubuntu debian", "apt", "docker.io"),
        ("kylin", "", "dnf", "docker-ce"),
    ],
)
def test_each_system_has_its_own_packages(system: str, like: str, tool: str, first: str) -> None:
    found = packages.of(system, like)
    assert found is not None
    assert (found.tool, found.packages[0]) == (tool, first)


def test_an_unknown_system_is_a_sentence() -> None:
    here = case(host={**BARE, "id": "plan9"}, file=None)
    assert work(here).problem == 'no package of Docker is known for "plan9"'
    assert findings(here)["docker.present"] == "fail"


def test_a_hung_daemon_is_not_restarted() -> None:
    here = case(answers=False)
    assert work(here).problem.startswith("Docker runs and does not answer (ended with 1: Cannot connect")
    assert findings(here)["docker.running"] == "fail"


def test_a_stopped_daemon_is_started() -> None:
    assert whats(case(answers=False, host={"active": "inactive"})) == ["start Docker"]


def test_a_venv_needs_no_docker() -> None:
    assert decide(case(host=BARE, recipe="vllm/nvidia-dp8-ep", runtime="venv"), False) == ()


@pytest.mark.parametrize(
    ("here", "check", "level"),
    [
        (case(host={"version": "podman version 4.9", "binary": "/usr/bin/docker"}, info={"ServerVersion": ""}), "docker.present", "fail"),
        (case(host={"enabled": "disabled"}), "docker.running", "warn"),
        (case(answers=False, host={"active": "failed"}), "docker.running", "warn"),
        (case({"ServerVersion": "18.06.3"}), "docker.version", "fail"),
        (case({"ServerVersion": "18.09.0", "CgroupVersion": "2", "CgroupDriver": "systemd"}), "docker.version", "fail"),
        (case({"ServerVersion": "18.09.0"}, recipe="vllm/nvidia-tp4"), "docker.version", "fail"),
        (case({"ServerVersion": "18.09.0"}, privileges="least"), "docker.version", "warn"),
        (case({"CgroupVersion": "2"}), "docker.cgroup", "warn"),
        (case({"CgroupDriver": "none"}), "docker.cgroup", "fail"),
        (case({"Driver": "vfs"}), "docker.storage", "warn"),
        (case({"DriverStatus": [["Supports d_type", "false"]]}), "docker.storage", "fail"),
        (case(**mirrors("http://m")), "docker.settings", "warn"),
        (case(file="{"), "docker.settings", "warn"),
        (case(file="{", **mirrors("http://m")), "docker.settings", "fail"),
    ],
)
def test_one_fault_gives_one_finding(here: Case, check: str, level: str) -> None:
    found = findings(here)
    assert {k: v for k, v in found.items() if v in ("warn", "fail")} == {check: level}


def test_an_old_docker_is_enough_for_a_privileged_container() -> None:
    assert findings(case({"ServerVersion": "18.09.0"}))["docker.version"] == "pass"


def test_a_short_probe_is_no_occasion_to_judge() -> None:
    made = plan("vllm-ascend/a2-dual")
    found = checks.judge(made, {n.name: Seen(n.name) for n in made.nodes})
    assert not [f for f in found if f.check.startswith("docker.")]


def test_that_images_stay_behind_is_said_only_where_their_folder_moves() -> None:
    def observed(here: Case) -> str:
        found = checks.judge(here.plan, {here.node.name: here.seen})
        return next(f.observed for f in found if f.check == "docker.settings")

    behind = "; images in /var/lib/docker stay there"
    assert observed(case(**ROOT)).endswith(f"restart Docker{behind}")
    assert behind not in observed(case({"DockerRootDir": "/data/docker"}, **ROOT, proxy="http://p:1"))
    assert behind not in observed(case({"DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}, **ROOT))
