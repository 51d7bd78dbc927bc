"""clean among strangers: orphaned engines are found and ended when asked, everything that is not ours survives."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator

import pytest

from tests.lab.conftest import RunningLab
from tests.lab.double_image import double_image
from tests.lab.place import HERE, docker
from tests.lab.verbs import DOUBLE, Site

pytestmark = pytest.mark.lab
NODE = "n0"
SERVE = (
    "vllm serve /opt/lab/shared/models/chain --served-model-name minimax-lab --host 10.77.0.11 --port 20004 --tensor-parallel-size 2 "
    "--data-parallel-size 1"
)


@pytest.fixture(scope="module")
def site(lab: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    double_image(lab.place)
    docker(lab.place, "exec", NODE, "rm", "-rf", "/root/double")
    docker(lab.place, "cp", HERE / "double", f"{NODE}:/root/double")
    lab.exec(NODE, f"docker image inspect {DOUBLE} >/dev/null 2>&1 || docker pull -q {DOUBLE}")
    one = Site(lab.place, tmp_path_factory.mktemp("clean"), cluster="cleaning", recipe="lab/a2-dual", data={"image": DOUBLE})
    yield one
    one.run("clean", "-y", "--data", "stale=true", "--data", "confirm=cleaning")
    lab.exec(NODE, "rm -rf /root/double")


def pids(lab: RunningLab, pattern: str) -> set[str]:
    return set(lab.exec(NODE, f"ps -eo pid,args | awk '/{pattern}/ && !/awk/ {{print $1}}'").split())


def orphan(lab: RunningLab) -> set[str]:
    """An engine started by hand as the vendor's page does, whose first process is killed."""
    before = pids(lab, "VLLM::")
    env = "PATH=/root/double:$PATH ASCEND_RT_VISIBLE_DEVICES=0,1 DOUBLE_SHM=/tmp"
    lab.exec(NODE, f"{env} setsid -f {SERVE} </dev/null >/tmp/serve.log 2>&1; for i in $(seq 50); do "
                   "curl -fsS -m 1 http://10.77.0.11:20004/health >/dev/null 2>&1 && break; sleep 0.3; done")  # fmt: skip
    lab.exec(NODE, "kill -9 $(ps -eo pid,args | awk '/vllm serve .*20004/ && !/awk/ {print $1}' | head -n 1)")
    left = pids(lab, "VLLM::") - before
    assert left, lab.exec(NODE, "cat /tmp/serve.log; ps -eo pid,ppid,args | tail -20")
    return left


HOLD = "systemd-run -q --collect --unit {} --property=StandardInput=file:/dev/{}"
SESSION = "setsid -f systemd-run -q --scope --collect --unit session-decoy-{} </dev/null >/dev/null 2>&1 "
DECOYS = {
    "holder": HOLD.format("decoy-holder", "davinci3") + " sleep 1000",
    "service": HOLD.format("decoy-service", "davinci4") + " bash -c 'exec -a VLLM::Worker_TP0 sleep 1000'",
    "port": "systemd-run -q --collect --unit decoy-port python3 -m http.server 60005",
    "name": "systemd-run -q --collect --unit decoy-name bash -c 'exec -a \"vllm serve /models/other\" sleep 1000'",
    "container": "docker run -d --name decoy-container --device /dev/davinci5 --entrypoint /bin/sh "
    f"{DOUBLE} -c 'exec 3</dev/davinci5; trap \"exit 0\" TERM; sleep 1000 & wait'",
    "trainer": HOLD.format("decoy-trainer", "davinci6") + " python3 -c 'import time; time.sleep(1000)'",
    "shell": "systemd-run -q --collect --unit decoy-shell "
    "bash -c 'exec 3</dev/davinci7; bash -c \"exec -a VLLM::EngineCore sleep 1000\"; true'",
    "manager": HOLD.format("decoy-manager", "davinci_manager") + " sleep 1000",
    "spawned": "systemd-run -q --collect --unit decoy-spawned python3 -c "
    "'from multiprocessing.spawn import spawn_main; import time; time.sleep(1000)'",
    "logger": "systemd-run -q --collect --unit decoy-logger bash -c 'exec -a \"tail -f vllm.log\" sleep 1000'",
    "live": SESSION.format("live") + "bash -c 'bash -c \"exec -a VLLM::EngineCore sleep 2001\" 3</dev/davinci2; true'",
    "bystander": SESSION.format("bystander") + "bash -c 'exec -a trainer sleep 2002' 3</dev/davinci2",
    "idle": SESSION.format("idle") + "bash -c 'exec -a \"vllm serve /models/other\" sleep 2003'",
}
LOGGED_IN = {"live": 2001, "bystander": 2002, "idle": 2003}
"""Of somebody who is logged in: an engine with a living parent, a holder that is no engine, an engine that holds nothing."""


@pytest.fixture(params=[1, pytest.param(10, marks=pytest.mark.long)], ids=["thirteen", "a hundred and thirty"])
def decoys(lab: RunningLab, request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Things that look like engines, hold a device or a port, and are not ours: their main pids."""
    many = {f"{name}-{n}" if n else name: copied(line, n) for n in range(request.param) for name, line in DECOYS.items()}
    for line in many.values():
        lab.exec(NODE, line)
    end = time.monotonic() + 10
    while "0" in alive(lab, many).values() and time.monotonic() < end:
        time.sleep(0.2)
    yield alive(lab, many)
    boxes = " ".join(f"decoy-{name}" for name in many if name.startswith("container"))
    lab.exec(NODE, f"systemctl stop 'decoy-*' 'session-decoy-*' 2>/dev/null; docker rm -f {boxes} >/dev/null 2>&1 || :")


def copied(line: str, n: int) -> str:
    """The n-th of a kind: another unit or container, another port."""
    if not n:
        return line
    other = re.sub(r"sleep (200\d)", lambda found: f"sleep {int(found[1]) + 10 * n}", re.sub(r"(decoy-\w+)", rf"\1-{n}", line))
    return other.replace("http.server 60005", f"http.server {60005 + n}")


def alive(lab: RunningLab, names: Iterable[str]) -> dict[str, str]:
    asks = []
    for name in names:
        kind, _, number = name.partition("-")
        if kind in LOGGED_IN:  # a scope has no first process; how long it sleeps is its name
            last = LOGGED_IN[kind] + 10 * int(number or 0)
            asks.append(f"ps -eo pid,comm,args | awk '$2 == \"sleep\" && $NF == {last} {{ print $1; n = 1 }} END {{ if (!n) print 0 }}'")
        elif kind == "container":
            asks.append(f"docker inspect -f '{{{{.State.Pid}}}}' decoy-{name}")
        else:
            asks.append(f"systemctl show -P MainPID decoy-{name}")
    return dict(zip(names, lab.exec(NODE, "; ".join(asks)).split(), strict=True))


def test_strangers_survive_a_clean_that_ends_an_orphaned_engine(lab: RunningLab, site: Site, decoys: dict[str, str]) -> None:
    assert all(pid not in ("", "0") for pid in decoys.values())
    left = orphan(lab)
    seen = site.run("clean", "--dry")
    assert seen.code == 0
    assert seen.out.count("orphan") >= len(left)
    assert "decoy-container" in seen.out
    ran = site.run("clean", "-y", "--data", "stale=true", "--data", "confirm=cleaning")
    assert ran.code == 0, ran.err
    assert pids(lab, "VLLM::") & left == set()
    assert alive(lab, decoys) == decoys
    again = site.run("clean", "-y", "--data", "stale=true", "--data", "confirm=cleaning")
    assert (again.code, again.success) == (0, 0)


def test_orphans_are_only_listed_unless_asked(lab: RunningLab, site: Site) -> None:
    left = orphan(lab)
    ran = site.run("clean", "-y")
    assert ran.code == 0
    assert "orphan" in ran.out
    assert left <= pids(lab, "VLLM::")
    refused = site.run("serve", "-y")
    assert refused.code == 1
    assert (site.name(NODE), "stale.orphans") in refused.failing()
    assert site.run("clean", "-y", "--data", "stale=true", "--data", "confirm=cleaning").code == 0
    assert pids(lab, "VLLM::") & left == set()
    assert lab.ssh(NODE, "npu-smi info").count("No running processes") == 8


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stale=true"], "add --data confirm=cleaning"),
        (["stale=true", "confirm=other"], "add --data confirm=cleaning"),
        (["foreign=n9:1"], "names no node"),
        (["remove=everything"], "expected image or weights"),
    ],
)
def test_a_dangerous_word_without_its_confirmation_is_refused(site: Site, words: list[str], said: str) -> None:
    ran = site.run("clean", "-y", *(w for word in words for w in ("--data", word)))
    assert ran.code == 2
    assert said in ran.err


def test_a_stranger_that_is_named_is_ended_and_no_other(lab: RunningLab, site: Site, decoys: dict[str, str]) -> None:
    names = f"{site.name(NODE)}:{decoys['holder']},{site.name(NODE)}:decoy-container"
    ran = site.run("clean", "-y", "--data", f"foreign={names}")
    assert ran.code == 0, ran.err
    now = alive(lab, decoys)
    assert now["holder"] == "0"
    assert now["container"] == "0"
    assert {k: v for k, v in now.items() if k not in ("holder", "container")} == {
        k: v for k, v in decoys.items() if k not in ("holder", "container")
    }
