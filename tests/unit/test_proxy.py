"""The proxy: its texts, when it is put in place and removed, and the script that does so."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roles.clean.processes import classified
from roles.clean.role import remains
from roles.plan.errors import PlanError
from roles.plan.plan import Plan, make
from roles.plan.source import Source
from roles.proxy import config
from roles.proxy.work import Work, work
from roles.run import checks, key, remote
from roles.run.checks import Case
from roles.run.seen import Section, Seen
from tests.examples import examples
from tests.unit.sources import plan, source

TLS = {"cert": "/etc/ssl/api.crt", "key": "/etc/ssl/api.pem"}
HOST = {"nginx": "/usr/sbin/nginx", "version": "1.22.1", "tool": "apt-get", "systemd": "yes", "enabled": "", "active": ""}
UP = {"enabled": "enabled", "active": "active"}


def case(at: int = 0, host: dict[str, str] | None = None, files: dict[str, str] | None = None, **keys: Any) -> Case:
    made = plan("vllm-ascend/a2-dual", **{"expose": "proxy", **keys})
    node = made.nodes[at]
    found = {"proxy.host": Section("", 0, tuple(f"{k}={v}" for k, v in {**HOST, **(host or {})}.items()))}
    for name in ("conf", "unit"):
        text = (files or {}).get(name)
        found[f"proxy.{name}"] = Section("", 0, tuple(text.splitlines())) if text else Section("", 1)
    return Case(made, made.replicas[0], node, Seen(node.name, found))


def written(**keys: Any) -> dict[str, str]:
    todo = work(case(**keys))
    return {"conf": todo.conf, "unit": todo.unit}


def whats(todo: Work) -> list[str]:
    return [c.what for c in todo.changes]


# Its texts

KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


@examples(200)
@given(KEYS, KEYS)
def test_no_letter_of_a_key_means_anything_to_nginx(key: str, other: str) -> None:
    note, line = config.asked(key).splitlines()
    assert note == f"# the key: {key}"
    found = re.fullmatch(r'"~((?:[A-Za-z0-9^(?:)+]|\\x[0-9a-f]{2}|\\z)+)" 1;', line)
    assert found
    knows = re.compile(found[1].replace(r"\z", r"\Z"))
    assert knows.match(f"Bearer {key}")
    assert knows.match(f"bearer {key}")
    assert not knows.match(key)
    assert not knows.match(f"Bearer {key}{other}")
    assert bool(knows.match(f"Bearer {other}")) == (other == key), "capitals count"


@pytest.mark.parametrize("key", ["", "a b", "a\nb", "schlüssel", "\x7f"])
def test_a_key_that_could_not_be_compared_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="one word of printable ASCII"):
        config.asked(key)


texts = st.one_of(
    st.sampled_from(
        ["r0;", "r0}", "a b", "x\n}", "$host", "#", '"', "'", "r0;return 200", "${IFS}", "10.0.0.11;", "../x", "%n", "{{7*7}}"]
    ),
    st.text(max_size=12),
    st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True),
)


def shape(text: str) -> list[str]:
    """A configuration without its values: every directive, every bracket."""
    return re.findall(r"^ *([a-z_]+|\}|#)|([;{}])", text, re.MULTILINE)  # type: ignore[return-value]


@examples(150)
@given(
    st.one_of(st.just("test"), texts), st.one_of(st.just("r0"), texts), st.one_of(st.just("10.0.0.11"), texts),
    st.one_of(st.just(8080), st.integers(-1, 70000)),
)  # fmt: skip
def test_no_name_of_an_inventory_adds_a_word_to_the_configuration(cluster: str, replica: str, address: str, port: int) -> None:
    """Whatever stands in the inventory: it is refused, or every directive is the same as with harmless names."""
    data = {**source("vllm-ascend/a3").data, "expose": "proxy", "ports": {"proxy": port}}
    host = (address or "x", {"rank": 0, "address": address, "nic": "eth0", "replica": replica})
    calm = plan("vllm-ascend/a3", expose="proxy")
    try:
        made = make(Source("test.py", cluster, (host,), data))
    except PlanError:
        return
    try:
        text, unit = config.conf(made, made.replicas[0]), config.unit(made, made.replicas[0])
    except ValueError:  # the last gate: what the models let pass and nginx must not see
        return
    assert shape(text) == shape(config.conf(calm, calm.replicas[0]))
    assert len(unit.splitlines()) == len(config.unit(calm, calm.replicas[0]).splitlines())


def test_where_the_certificate_lies_on_this_machine_is_not_told_to_the_node() -> None:
    made = plan(expose="proxy", tls={"cert": "/home/me/a b;c.crt", "key": "/home/me/$k.pem"})
    text = config.conf(made, made.replicas[0]) + config.unit(made, made.replicas[0])
    assert "/home/me" not in text
    assert "/etc/bringup/test/r0.proxy.pem" in text


# When it is put in place


def test_it_is_installed_written_and_started_once() -> None:
    todo = work(case(host={"nginx": "", "version": ""}), {})
    assert whats(todo) == [
        "install nginx with apt-get, without its own site on port 80",
        "write /etc/bringup/test/r0.proxy.conf",
        "write /etc/systemd/system/bringup-test-r0-proxy.service",
        "start the proxy on port 8080",
    ]
    assert work(case(host=UP, files=written()), {}).changes == ()


def test_only_the_first_rank_has_one() -> None:
    assert work(case(at=1), {}).changes == ()


def test_another_port_is_a_reload_of_a_changed_file() -> None:
    todo = work(case(host=UP, files=written(), ports={"proxy": 9000}), {})
    assert whats(todo) == ["change /etc/bringup/test/r0.proxy.conf", "reload the proxy on port 9000"]
    assert "-        listen 8080 default_server" in todo.changes[0].diff


@pytest.mark.parametrize("lost", [{"active": "failed"}, {"enabled": "disabled"}])
def test_one_that_somebody_stopped_is_put_back(lost: dict[str, str]) -> None:
    assert work(case(host={**UP, **lost}, files=written()), {}).changes


def test_a_secret_file_that_differs_is_written_again_and_never_shown() -> None:
    keys = {"tls": TLS}
    here = case(host=UP, files=written(**keys), **keys)
    assert work(here, {"crt": True, "pem": True}).changes == ()
    todo = work(here, {"crt": True, "pem": False})
    assert whats(todo)[0] == "write /etc/bringup/test/r0.proxy.pem: its certificate's private key"
    assert not todo.changes[0].diff


def test_no_longer_asked_for_it_is_removed() -> None:
    todo = work(case(host=UP, files=written(), expose="direct"), {})
    assert todo.remove
    assert whats(todo) == ["remove the proxy: the inventory no longer asks for it"]
    assert work(case(expose="direct"), {}).changes == ()


@pytest.mark.parametrize(
    ("host", "level", "says"),
    [
        ({"nginx": "", "tool": ""}, "fail", "neither apt-get nor dnf"),
        ({"systemd": ""}, "fail", "does not run systemd"),
        ({}, "warn", "start the proxy on port 8080"),
        (UP, "pass", "nginx 1.22.1 on port 8080"),
    ],
)
def test_one_state_gives_one_finding(host: dict[str, str], level: str, says: str) -> None:
    here = case(host=host, files=written() if host is UP else None)
    (found,) = [f for f in checks.judge(here.plan, {here.node.name: here.seen}) if f.check == "proxy.ready"]
    assert found.level == level
    assert says in found.observed


def test_nothing_is_said_where_nobody_asked_for_one() -> None:
    here = case(expose="direct")
    assert not [f for f in checks.judge(here.plan, {here.node.name: here.seen}) if f.check == "proxy.ready"]


def test_our_own_nginx_on_its_port_is_no_conflict() -> None:
    made: Plan = plan("vllm-ascend/a3", expose="proxy")
    for group, level in (("/system.slice/bringup-test-r0-proxy.service", "pass"), ("/system.slice/nginx.service", "fail")):
        sections = {
            "unit": Section("", 0, ("name=bringup-test-r0",)),
            "listen": Section("", 0, (f"8080\t7\t0.0.0.0:8080\tnginx\t{group}\tnginx: master",)),
        }
        found = checks.judge(made, {made.nodes[0].name: Seen(made.nodes[0].name, sections)})
        assert [f.level for f in found if f.check == "network.ports"] == [level]


def test_stop_leaves_it_and_clean_does_not() -> None:
    made = plan("vllm-ascend/a3", expose="proxy")
    row = "7\t1\t5000\tS\troot\t/system.slice/bringup-test-r0-proxy.service\tnginx: master process"
    sections = {
        "unit": Section("", 0, ("name=bringup-test-r0",)),
        "processes": Section("", 0, (row,)),
        "listen": Section("", 0, ("8080\t7\t0.0.0.0:8080\tnginx\t/system.slice/bringup-test-r0-proxy.service\tnginx: master process",)),
    }
    seen = Seen(made.nodes[0].name, sections)
    (found,) = classified(seen, "bringup-test-r0", "test")
    assert (found.kind, found.prepared) == ("ours", True)
    here = Case(made, made.replicas[0], made.nodes[0], seen, {})
    assert remains(here, stale=False, whole=False) == []
    assert [x for x in remains(here, stale=False) if "nginx" in x]


# The key


@pytest.mark.parametrize(
    ("recipe", "keys", "known", "node"),
    [
        ("sglang/nvidia-tp4", {}, False, ""),
        ("sglang/nvidia-tp4", {"expose": "proxy"}, True, ""),
        ("sglang/nvidia-tp4", {"expose": "proxy", "auth": "off"}, False, ""),
        ("vllm/nvidia-tp4", {"expose": "proxy"}, True, "/etc/bringup/test/r0.env"),
    ],
)
def test_there_is_a_key_where_engine_or_proxy_asks_for_it(recipe: str, keys: dict[str, Any], known: bool, node: str) -> None:
    made = plan(recipe, **keys)
    assert (key.named_file(made) is not None) == known
    assert key.secrets_path(made, made.replicas[0]) == node


def test_a_key_the_proxy_cannot_compare_is_refused_before_anything_is_touched(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("schlüssel\n", encoding="utf-8")
    key.given(plan("vllm/nvidia-tp4", expose="proxy", auth=f"file:{file}"))
    with pytest.raises(PlanError, match="not all ASCII"):
        key.given(plan("sglang/nvidia-tp4", expose="proxy", auth=f"file:{file}"))


@examples(30)
@given(KEYS)
def test_another_machine_finds_the_key_on_the_node(tmp_path_factory: pytest.TempPathFactory, secret: str) -> None:
    file = tmp_path_factory.mktemp("node") / "key"
    file.write_text(config.asked(secret), encoding="utf-8")
    text = remote.script(values={"FILE": file, "KEY": key.MARK}) + key.FIND
    done = subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout == f"{secret}\n"


@pytest.mark.parametrize("file", ["probe.sh", "apply.sh", "compare.sh"])
def test_the_scripts_are_plain_shell(file: str) -> None:
    path = Path(config.__file__).with_name(file)
    assert subprocess.run(["dash", "-n", str(path)], check=False).returncode == 0
