"""A second real engine: Xinference loads the lab's checkpoint by its second step, and its double looks like it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from roles.plan.plan import make
from roles.plan.source import read_inventory
from tests.lab import nodes
from tests.lab.conftest import RunningLab
from tests.lab.double_image import double_image
from tests.lab.engine import pair
from tests.lab.engine.checkpoints import ANSWER
from tests.lab.engine.xinference import xinference
from tests.lab.seen import CHAT, Outside
from tests.lab.test_other_engines import HOOK
from tests.lab.verbs import DOUBLE, Ran, Site

pytestmark = pytest.mark.lab
NODE = nodes.Node(53, "nvidia")
NO_DRIVER = "nvidia.driver,nvidia.memory,nvidia.toolkit"
AS_DOUBLE = {"image": DOUBLE, "version": "4.1.0", "env": {"DOUBLE_OPTIONS": "", "DOUBLE_VERSION": "4.1.0"}}
PATHS = ("/status", "/v1/models", "/metrics", "/health", "/version", "/nothing")
ALIVE = "ps -eo args | grep -cE '[x]inference|[x]inf-api|^[M]odel: ' || :"


@dataclass(frozen=True)
class Served:
    """One engine up and proven, and what it looked like."""

    site: Site
    at: Outside
    ran: Ran
    told: dict[str, Any]


@pytest.fixture(scope="module")
def site(lab: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    xinference(lab.place)
    double_image(lab.place)
    with lab.added(NODE):
        lab.exec(NODE.name, f"{HOOK}; until docker info >/dev/null 2>&1; do sleep 0.2; done")
        one = Site(lab.place, tmp_path_factory.mktemp("xinference"), [NODE.name], "lab/xinference", {"auth": "off"}, "second")
        yield one
        one.run("clean", "-y", "--data", "revert=true")


@pytest.fixture(scope="module")
def real(site: Site) -> Served:
    return served(site, NO_DRIVER)


@pytest.fixture(scope="module")
def double(site: Site) -> Served:
    site.data |= AS_DOUBLE
    return served(site, f"{NO_DRIVER},image.command")


def served(site: Site, skip: str) -> Served:
    ran = site.run("serve", "-y", "--data", "soak=1s", "--data", f"skip={skip}", seconds=600)
    assert ran.code == 0, ran.err + ran.out
    plan = make(read_inventory(site.write()))
    at = Outside(site.place, plan, [(NODE, plan.replicas[0].nodes[0])])
    return Served(site, at, ran, told(at))


def told(at: Outside) -> dict[str, Any]:
    """What the verbs rely on, without the words."""
    body = at.plan.verify["requests"][0]["body"]
    whole, cut = (json.loads(at.call(CHAT, {**body, "max_tokens": limit})[1]) for limit in (200, 3))
    choice = whole["choices"][0]
    *events, end = re.findall(r"^data: (.*)$", at.call(CHAT, {**body, "stream": True})[1], re.MULTILINE)
    deltas = [json.loads(e)["choices"][0] for e in events]
    unknown = at.call(CHAT, {**body, "model": "x"})
    return {
        "stages": at.stages(0),
        "statuses": {path: at.call(path)[0] for path in PATHS},
        "models": [m["id"] for m in json.loads(at.call("/v1/models")[1])["data"]],
        "chat": (choice["message"]["role"], choice["message"]["content"][:7], choice["finish_reason"]),
        "usage": {key for key, count in whole["usage"].items() if count},
        "cut": (cut["choices"][0]["finish_reason"], cut["usage"]["completion_tokens"]),
        "stream": (deltas[0]["delta"], sum(bool(d["delta"].get("content")) for d in deltas) > 2, deltas[-1]["finish_reason"], end),
        "unknown model": (unknown[0], list(json.loads(unknown[1])), "Model not found in the model list, uid: x." in unknown[1]),
        "launched again": launched_again(at),
    }


def launched_again(at: Outside) -> tuple[str, bool]:
    node = at.members[0][1]
    said = at.on(0, f"docker exec {pair.container_name(node)} {shlex.join(node.after_ready_argv)} 2>&1; echo $?")
    return said.split()[-1], "Model is already in the model list, uid: MiniMax-M2" in said


def test_serve_launched_the_built_in_model_and_proved_it(real: Served) -> None:
    proven = {p["name"]: p["ok"] for p in real.ran.report["facts"]["report.proof"]["r0"]}
    assert proven == dict.fromkeys(("health", "model", "ranks", "chat", "list-content", "stream", "soak"), True)
    assert {s["stage"] for s in real.ran.report["stages"] if s["node"]} >= {"start", "container", "launch", "proof"}


def test_the_answer_is_the_checkpoints_own(real: Served) -> None:
    answer = json.loads(real.at.call(CHAT, real.at.plan.verify["requests"][0]["body"])[1])
    assert ANSWER in answer["choices"][0]["message"]["content"]


def test_every_stage_of_the_engine_file_shows_in_the_real_log(real: Served) -> None:
    assert real.told["stages"] == [s["name"] for s in real.at.plan.verify["stages"]]


def test_again_changes_nothing_and_status_says_it_serves(real: Served) -> None:
    again = real.site.run("serve", "-y", "--data", f"skip={NO_DRIVER}")
    assert (again.code, again.success) == (0, 0), again.err
    assert real.site.run("status").code == 0


def test_stop_ends_every_process_of_it(lab: RunningLab, real: Served) -> None:
    assert int(lab.ssh(NODE.name, ALIVE)) >= 3
    assert real.site.run("stop", "-y").code == 0
    assert int(lab.ssh(NODE.name, ALIVE)) == 0
    assert real.site.run("status").code == 1


def test_its_double_tells_the_same(real: Served, double: Served) -> None:
    assert double.told == real.told


def test_clean_leaves_nothing(lab: RunningLab, double: Served) -> None:
    ran = double.site.run("clean", "-y", "--data", "revert=true")
    assert ran.code == 0, ran.err
    assert lab.ssh(NODE.name, "docker ps -aq; ls -d /etc/bringup /var/lib/bringup/second 2>/dev/null; ss -Hltn 'sport = :9997'; :") == ""
    assert int(lab.ssh(NODE.name, ALIVE)) == 0
