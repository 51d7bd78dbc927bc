"""The proxy in the plan: where clients ask, who asks for the key, what cannot work."""

from __future__ import annotations

from typing import Any

import pytest

from roles.firewall.rules import rules
from roles.plan import proxy
from roles.plan.errors import PlanError
from roles.plan.plan import make
from roles.plan.show import readable
from roles.plan.source import Source
from roles.proxy import config
from tests.unit.sources import hosts, plan, source

TLS = {"cert": "/etc/ssl/api.crt", "key": "/etc/ssl/api.pem"}


def test_a_plan_without_it_says_nothing_of_it() -> None:
    made = plan()
    assert "outside" not in made.verify
    assert not [s for s in made.replicas[0].steps if s["do"] == "proxy"]
    assert "proxy" not in made.nodes[0].ports


def test_with_it_the_plan_names_its_port_its_step_and_where_clients_ask() -> None:
    made = plan(expose="proxy")
    assert made.nodes[0].ports["proxy"] == 8080
    assert made.verify["outside"] == {"r0": "http://10.0.0.11:8080"}
    assert made.verify["endpoints"] == {"r0": "http://10.0.0.11:20004"}, "the proof goes on asking the engine itself"
    steps = [s for s in made.replicas[0].steps if s["do"] in ("proxy", "open")]
    assert steps[0]["ports"] == ["8080"]
    assert steps[-1] == {"node": "10.0.0.11", "do": "proxy", "port": 8080, "tls": False, "key": False}
    assert "replica r0  http://10.0.0.11:8080/v1  (nginx, in front of http://10.0.0.11:20004)" in readable(made)


def test_with_a_certificate_it_speaks_tls() -> None:
    made = plan(expose="proxy", tls=TLS, ports={"proxy": 443})
    assert made.verify["outside"] == {"r0": "https://10.0.0.11:443"}
    assert plan(expose="proxy", tls=TLS).nodes[0].ports["proxy"] == 8443


def test_it_comes_and_goes_without_a_restart_of_the_engine() -> None:
    without, behind = plan(), plan(expose="proxy")
    assert without.replicas[0].spec == behind.replicas[0].spec
    assert without.hash != behind.hash


@pytest.mark.parametrize(("recipe", "auth", "asks"), [
    ("vllm-ascend/a3", "generate", False), ("sglang/nvidia-tp4", "generate", True), ("sglang/nvidia-tp4", "off", False),
    ("xinference/awq", "file:/k", True),
])  # fmt: skip
def test_it_asks_for_the_key_where_the_engine_cannot(recipe: str, auth: str, asks: bool) -> None:
    made = plan(recipe, expose="proxy", auth=auth)
    assert proxy.checks_key(made.known.keys, made.known.engine) == asks
    assert ("map $http_authorization" in config.conf(made, made.replicas[0])) == asks


def test_the_way_round_it_is_a_warning_until_it_is_closed() -> None:
    (said,) = [w for w in plan("sglang/nvidia-tp4", expose="proxy").warnings if "expose" in w]
    assert said.endswith('SGLang can still be asked at its own port, where it asks nobody for a key: set "firewall": True to close that')
    assert not [w for w in plan("sglang/nvidia-tp4", expose="proxy", firewall=True).warnings if "expose" in w or "auth" in w]


@pytest.mark.parametrize(
    ("recipe", "keys", "says"),
    [
        ("vllm-ascend/a3", {"tls": TLS}, '"tls" is given, but "expose" is direct'),
        ("vllm-ascend/a3", {"ports": {"proxy": 80}}, '"ports.proxy" is 80, but "expose" is direct'),
        ("vllm-ascend/a3", {"expose": "nginx"}, "\"expose\" is 'nginx'; expected 'direct' or 'proxy'"),
        ("vllm-ascend/a3", {"expose": "proxy", "tls": {"cert": "/c"}}, '"tls.key" is missing'),
        ("vllm-ascend/a3", {"expose": "proxy", "tls": {"cert": "c", "key": "/k"}}, "\"tls.cert\" is 'c'; expected the absolute path"),
        ("vllm-ascend/a3", {"expose": "proxy", "ports": {"proxy": 20002}}, '"ports.proxy" is 20002, which collides with api'),
        ("xinference/mlx", {"expose": "proxy"}, "there is no systemd to run the proxy"),
    ],
)
def test_what_cannot_work_is_one_sentence(recipe: str, keys: dict[str, Any], says: str) -> None:
    if "20002" in str(keys):
        keys["ports"]["proxy"] = plan(recipe).nodes[0].ports["api"]
        says = says.replace("20002", str(keys["ports"]["proxy"]))
    with pytest.raises(PlanError) as e:
        plan(recipe, **keys)
    assert len(e.value.problems) == 1
    assert says in e.value.problems[0]


def test_a_replica_cannot_be_named_as_a_proxys_unit_is() -> None:
    kept = source("vllm-ascend/a2-dual", expose="proxy")
    with pytest.raises(PlanError, match='"replica" is "r0-proxy"'):
        make(Source("test.py", "test", tuple(hosts(2, "r0-proxy")), kept.data))


def test_the_firewall_opens_the_proxys_port_and_no_longer_the_engines() -> None:
    made = plan(expose="proxy", firewall=True)
    text = rules("test", made.nodes[0], [made.nodes[1]], [])
    assert "tcp dport 8080 accept" in text
    assert "20004" not in text
    assert "8080" not in rules("test", made.nodes[1], [made.nodes[0]], [])
