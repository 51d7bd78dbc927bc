"""expose: proxy on real nodes: nginx from the distribution's package, in front of the engines' doubles."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Iterator

import pytest

from tests.lab import apt, nodes
from tests.lab.conftest import RunningLab
from tests.lab.double_image import double_image
from tests.lab.place import sh
from tests.lab.test_other_engines import NOT_THERE, SYSTEMS
from tests.lab.verbs import DOUBLE, Site

pytestmark = pytest.mark.lab
A, B, AMD = nodes.Node(64, "a2"), nodes.Node(65, "a2"), nodes.Node(66, "rocm")
STRANGER = "n0"
UNIT = "bringup-front-r0-proxy"
CONTAINER = "docker inspect -f '{{.Id}} {{.State.StartedAt}}' bringup-front-r0"
LEFT = "ls -d /etc/systemd/system/bringup-front-* /etc/bringup/front /run/bringup-front-* /var/lib/bringup/front 2>/dev/null || :"


@pytest.fixture(scope="module")
def machines(lab: RunningLab) -> Iterator[RunningLab]:
    double_image(lab.place)
    apt.apt_folder(lab.place)
    with lab.added(A, B, AMD):
        yield lab


@pytest.fixture(scope="module")
def site(machines: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    data = {"image": DOUBLE, "timeouts": {"stall": 15, "ready": 120}, "expose": "proxy"}
    one = Site(machines.place, tmp_path_factory.mktemp("front"), [A.name, B.name], data=data, cluster="front")
    yield one
    one.run("clean", "-y")


def address(lab: RunningLab, node: nodes.Node = A) -> str:
    return lab.place.address(node.number)


def asked(lab: RunningLab, url: str, *words: str, source: str = STRANGER) -> tuple[int, str]:
    """What a machine outside the replica gets: status and text."""
    line = shlex.join(["curl", "-sS", "-m", "30", "-w", "\n%{http_code}", *words, url])
    text, _, code = lab.ssh(source, f"{line} || :").rpartition("\n")
    return int(code or 0), text


def key(site: Site) -> str:
    file = site.path / "config" / "bringup" / site.cluster / "api-key"
    return f"Authorization: Bearer {file.read_text(encoding='utf-8').strip()}"


def test_prepare_puts_it_in_place_without_the_packages_own_site(machines: RunningLab, site: Site) -> None:
    ran = site.run("prepare", "-y")
    assert ran.code == 0, ran.err
    assert machines.ssh(A.name, f"systemctl is-active {UNIT}; systemctl is-enabled {UNIT}").split() == ["active", "enabled"]
    assert machines.ssh(A.name, "systemctl is-active nginx; systemctl is-enabled nginx; :").split() == ["inactive", "disabled"]
    assert machines.ssh(A.name, "ss -Hltn 'sport = :80'") == ""
    assert machines.ssh(A.name, "ls /run/systemd/system/nginx.service 2>/dev/null || :") == "", "nothing stays masked"
    assert machines.ssh(B.name, "command -v nginx || :") == "", "the first rank's node only"
    again = site.run("prepare", "-y")
    assert (again.code, again.success) == (0, 0), again.err


def test_until_the_engine_is_up_it_says_so_as_an_openai_error(machines: RunningLab) -> None:
    code, text = asked(machines, f"http://{address(machines)}:8080/v1/models")
    assert code == 503
    assert json.loads(text)["error"]["message"] == "the engine does not answer: it is stopped, or still starting"


def test_serve_announces_and_proves_the_way_from_outside(machines: RunningLab, site: Site) -> None:
    ran = site.run("serve", "-y", "--data", "soak=1s")
    assert ran.code == 0, ran.err + ran.out
    assert f"is served at http://{address(machines)}:8080/v1" in ran.out
    assert [e["ok"] for e in ran.events if e["event"] == "proof" and e["name"] == "outside"] == [True]
    again = site.run("serve", "-y")
    assert (again.code, again.success) == (0, 0), again.err


def test_status_shows_the_proxy_and_says_when_it_does_not_run(machines: RunningLab, site: Site) -> None:
    well = site.run("status")
    assert well.code == 0, well.out
    assert re.search(r"proxy +port 8080 +runs", well.out)
    machines.ssh(A.name, f"systemctl stop {UNIT}")
    try:
        ill = site.run("status")
        assert ill.code == 1
        assert "the proxy on port 8080 is inactive" in ill.out
    finally:
        machines.ssh(A.name, f"systemctl start {UNIT}")


def test_the_api_and_health_pass_and_nothing_else(machines: RunningLab, site: Site) -> None:
    url = f"http://{address(machines)}:8080"
    assert asked(machines, f"{url}/health")[0] == 200
    assert asked(machines, f"{url}/v1/models", "-H", key(site))[0] == 200
    assert asked(machines, f"{url}/v1/models")[0] == 401, "the engine's own answer"
    for path in ("/", "/metrics", "/docs", "/version", "/v1", "/v1/../metrics", "/v1/%2e%2e/metrics", "/metrics/"):
        assert asked(machines, url + path, "--path-as-is", "-H", key(site))[0] == 404, path


def test_tokens_come_one_by_one(machines: RunningLab, site: Site) -> None:
    body = {"model": "minimax-lab", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 40, "stream": True}
    words = ["curl", "-sSN", "-m", "60", "-H", key(site), "-H", "Content-Type: application/json", "-d", json.dumps(body)]
    line = shlex.join([*words, f"http://{address(machines)}:8080/v1/chat/completions"])
    stamped = "while IFS= read -r x; do case $x in data:*) date +%s.%N ;; esac; done"
    site.data["env"] = {"DOUBLE": "token=0.1"}
    try:
        assert site.run("serve", "-y", "--data", "soak=0").code == 0
        times = [float(t) for t in machines.ssh(STRANGER, f"{line} | {stamped}").split()]
    finally:
        site.data.pop("env")
    assert len(times) > 10
    assert times[-1] - times[0] > 1.0, "all at once: something buffers"


def test_a_certificate_is_pushed_and_the_engine_runs_on(machines: RunningLab, site: Site) -> None:
    assert site.run("serve", "-y", "--data", "soak=0").code == 0
    before = machines.ssh(A.name, CONTAINER)
    crt, pem = site.path / "api.crt", site.path / "api.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    sh(*words, "-subj", "/CN=front", "-addext", f"subjectAltName=IP:{address(machines)}", "-keyout", pem, "-out", crt)
    site.data["tls"] = {"cert": str(crt), "key": str(pem)}
    ran = site.run("serve", "-y", "--data", "soak=0")
    assert ran.code == 0, ran.err
    assert machines.ssh(A.name, CONTAINER) == before
    assert (
        machines.ssh(A.name, "stat -c '%a %U' /etc/bringup/front/r0.proxy.pem /etc/bringup/front/r0.proxy.crt").split()
        == ["600", "root"] * 2
    )
    machines.ssh(STRANGER, f"cat >/tmp/front.crt <<'END'\n{crt.read_text(encoding='utf-8')}END\n")
    url = f"https://{address(machines)}:8443/health"
    assert asked(machines, url, "--cacert", "/tmp/front.crt")[0] == 200
    assert asked(machines, f"http://{address(machines)}:8080/health")[0] == 0, "the plain port is closed"
    verified = site.run("verify", "--data", "soak=0")
    assert verified.code == 0, verified.out
    assert "https://" in verified.out
    assert (again := site.run("serve", "-y")).success == 0, again.err
    machines.ssh(A.name, "chmod 644 /etc/bringup/front/r0.proxy.pem")
    assert site.run("prepare", "-y").success > 0, "a private key that others can read is mended"
    assert machines.ssh(A.name, "stat -c %a /etc/bringup/front/r0.proxy.pem").strip() == "600"


def test_a_proxy_that_dies_comes_back_by_itself(machines: RunningLab, site: Site) -> None:
    machines.ssh(A.name, f"kill -KILL $(systemctl show -P MainPID {UNIT})")
    end = time.monotonic() + 20
    while asked(machines, f"https://{address(machines)}:8443/health", "-k")[0] != 200:
        assert time.monotonic() < end, machines.ssh(A.name, f"journalctl -u {UNIT} -n 30 --no-pager")
        time.sleep(0.5)


def test_stop_leaves_it_and_it_says_that_the_engine_is_down(machines: RunningLab, site: Site) -> None:
    ran = site.run("stop", "-y")
    assert ran.code == 0, ran.err
    assert asked(machines, f"https://{address(machines)}:8443/v1/models", "-k")[0] == 503


def test_no_longer_asked_for_it_goes_with_all_its_files(machines: RunningLab, site: Site) -> None:
    site.data.pop("tls")
    site.data["expose"] = "direct"
    ran = site.run("prepare", "-y")
    assert ran.code == 0, ran.err
    assert machines.ssh(A.name, f"systemctl is-active {UNIT} || :").strip() == "inactive"
    assert "proxy" not in machines.ssh(A.name, f"{LEFT}; ls /etc/bringup/front 2>/dev/null || :")
    assert asked(machines, f"https://{address(machines)}:8443/health", "-k")[0] == 0


def test_clean_removes_it_too(machines: RunningLab, site: Site) -> None:
    site.data["expose"] = "proxy"
    assert site.run("prepare", "-y").code == 0
    ran = site.run("clean", "-y")
    assert ran.code == 0, ran.err
    assert machines.ssh(A.name, LEFT) == ""
    assert machines.ssh(A.name, "ss -Hltn 'sport = :8080'") == ""
    again = site.run("clean", "-y")
    assert (again.code, again.success) == (0, 0)


def test_a_port_that_somebody_holds_is_named_before_anything(machines: RunningLab, site: Site) -> None:
    machines.ssh(A.name, "systemd-run -q --collect --unit squatter python3 -m http.server 8080; sleep 1")
    try:
        ran = site.run("check")
        assert ran.code == 1
        assert "proxy port 8080 is held by python3" in ran.out
    finally:
        machines.ssh(A.name, "systemctl stop squatter")


@pytest.mark.long
def test_an_engine_without_a_key_gets_one_asked_for_in_front_of_it(machines: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> None:
    _, keys, _ = SYSTEMS["sglang/mi300x-tp4"]
    data = {"image": DOUBLE, "weights": "/opt/lab/shared/models/chain", **keys, "auth": "generate", "expose": "proxy", "firewall": True}
    site = Site(machines.place, tmp_path_factory.mktemp("keyless"), [AMD.name], "sglang/mi300x-tp4", data, "keyless")
    machines.exec(AMD.name, f"until docker info >/dev/null 2>&1; do sleep 0.2; done; docker pull -q {DOUBLE}")
    url = f"http://{address(machines, AMD)}:8080"
    try:
        ran = site.run("serve", "-y", "--data", "soak=0", "--data", f"skip={NOT_THERE}")
        assert ran.code == 0, ran.err + ran.out
        assert asked(machines, f"{url}/v1/models")[0] == 401
        assert asked(machines, f"{url}/v1/models", "-H", "Authorization: Bearer wrong")[0] == 401
        assert asked(machines, f"{url}/v1/models", "-H", key(site))[0] == 200
        assert asked(machines, f"{url}/health")[0] == 200
        assert asked(machines, f"http://{address(machines, AMD)}:8000/v1/models", "-m", "3")[0] == 0, "no way round it"
        assert machines.ssh(AMD.name, "stat -c '%a %U' /etc/bringup/keyless/r0.proxy.key").split() == ["600", "root"]
        secret = key(site).rpartition(" ")[2]
        shown = "ps -eww -o args; docker inspect $(docker ps -aq); journalctl --no-pager | cat; cat /etc/systemd/system/bringup-*"
        assert secret not in machines.ssh(AMD.name, shown)
        (site.path / "config" / "bringup" / "keyless" / "api-key").unlink()
        assert site.run("verify", "--data", "soak=0").code == 0, "another machine reads the key from the node"
        assert key(site).endswith(secret)
    finally:
        cleaned = site.run("clean", "-y")
    assert cleaned.code == 0, cleaned.err
