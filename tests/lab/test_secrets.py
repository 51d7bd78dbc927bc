"""Planted secrets, API key, hub token, TLS key: where they are after every verb, and that this is nowhere but where they must be."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.lab import apt, bench_double, nodes, weights_site
from tests.lab.conftest import RunningLab
from tests.lab.double_image import double_image
from tests.lab.hub_image import hub_image
from tests.lab.place import Place, sh
from tests.lab.planted import Planted
from tests.lab.verbs import DOUBLE, Ran, Site

pytestmark = pytest.mark.lab
A, B, DOWNLOADER = nodes.Node(60, "a2"), nodes.Node(61, "a2"), nodes.Node(59, "a2")
CONTAINER = "bringup-secret-r0"
VERBS: tuple[tuple[str, ...], ...] = (
    ("check",),
    ("prepare", "-y", "--diff", "-vvv"),
    ("serve", "-y", "--diff", "--data", "soak=1s"),
    ("status",),
    ("verify", "--data", "soak=1s"),
    ("logs", "--data", "tail=0"),
    ("doctor",),
    ("bench", "--data", "scenario=random-small"),
)


@dataclass
class Life:
    """A cluster's life with planted secrets, as far as it has come."""

    lab: RunningLab
    site: Site
    planted: Planted
    files: list[Path]
    ran: dict[str, Ran] = field(default_factory=dict)


def certificate(place: Place, folder: Path) -> tuple[dict[str, str], str]:
    """The inventory's `tls`, and a line of its private key that is in no certificate: from the middle of RSA's numbers."""
    crt, pem = folder / "planted.crt", folder / "planted.pem"
    names = ("-subj", "/CN=secret", "-addext", f"subjectAltName=IP:{place.address(A.number)}")
    sh("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, "-keyout", pem, "-out", crt)
    lines = pem.read_text(encoding="utf-8").splitlines()
    return {"cert": str(crt), "key": str(pem)}, lines[len(lines) // 2]


@pytest.fixture(scope="module")
def life(lab: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """Every verb that looks or brings up was run once; the engine still serves."""
    double_image(lab.place)
    apt.apt_folder(lab.place)  # the proxy's package
    folder = tmp_path_factory.mktemp("secrets")
    tls, tls_line = certificate(lab.place, folder)
    given = {"API key": f"planted-{secrets.token_hex(16)}", "hub token": f"hf_{secrets.token_hex(17)}"}
    planted = Planted(lab, {**given, "TLS key": tls_line})
    files = [folder / "planted-key", folder / "planted-token"]
    for file, secret in zip(files, given.values(), strict=True):
        file.write_text(f"{secret}\n", encoding="utf-8")
        file.chmod(0o600)
    data = {"image": DOUBLE, "timeouts": {"stall": 15, "ready": 120}, "auth": f"file:{files[0]}", "hub_token": f"file:{files[1]}"}
    data |= {"expose": "proxy", "tls": tls}
    with lab.added(A, B):
        site = Site(lab.place, folder / "site", [A.name, B.name], data=data, cluster="secret")
        one = Life(lab, site, planted, files)
        with planted.watched(A.name, B.name):
            for verb, *words in VERBS:
                if verb == "bench":
                    bench_double.put(lab.place, A.name, CONTAINER)
                one.ran[verb] = site.run(verb, *words)
        yield one
        site.run("clean", "-y")


def test_every_verb_did_its_work(life: Life) -> None:
    assert {verb: ran.code for verb, ran in life.ran.items()} == dict.fromkeys(life.ran, 0), life.ran["serve"].err
    url = f"http://{life.lab.place.address(A.number)}:20004/v1/models"
    assert life.lab.ssh(A.name, f"curl -s -o /dev/null -w '%{{http_code}}' {url}") == "401"


def test_nothing_that_a_verb_says_holds_a_secret(life: Life) -> None:
    assert {verb: life.planted.said(ran) for verb, ran in life.ran.items()} == {verb: [] for verb in life.ran}


def test_no_run_folder_report_event_or_bundle_holds_one(life: Life) -> None:
    assert list(life.site.runs.rglob("bundle.tar.zst")), "the doctor wrote one"
    assert life.planted.here([life.site.path], but=life.files) == []


def test_no_process_list_ever_showed_one(life: Life) -> None:
    assert {n.name: life.planted.in_processes(n.name) for n in (A, B)} == {A.name: [], B.name: []}
    assert life.planted.seen_here == set()


def test_on_a_node_each_key_is_in_its_file_of_root_and_the_token_is_nowhere(life: Life) -> None:
    engines = {("API key", "/etc/bringup/secret/r0.env"): "600 0"}
    assert life.planted.files(A.name) == engines | {("TLS key", "/etc/bringup/secret/r0.proxy.pem"): "600 0"}
    assert life.planted.files(B.name) == engines


def test_no_journal_holds_one(life: Life) -> None:
    assert {n.name: life.planted.journal(n.name) for n in (A, B)} == {A.name: [], B.name: []}


def test_docker_shows_the_key_in_the_containers_environment_only(life: Life) -> None:
    """That much cannot be avoided (docs/security.md): whoever may ask Docker is root anyway."""
    for node in (A, B):
        env, elsewhere = life.planted.container(node.name, CONTAINER)
        assert env == ["API key"]
        assert elsewhere == []


def test_no_image_and_no_label_holds_one(life: Life) -> None:
    shown = "docker image inspect $(docker image ls -q); docker ps -a --no-trunc --format '{{.Command}} {{.Labels}} {{.Mounts}}'"
    for node in (A, B):
        assert life.planted.in_text(life.lab.exec(node.name, shown)) == []


def test_what_we_wrote_can_be_changed_by_root_only(life: Life) -> None:
    ours = "/etc/bringup /var/lib/bringup /etc/systemd/system/bringup-* /etc/sysctl.d/*bringup* /etc/security/limits.d/*bringup*"
    for node in (A, B):
        assert life.lab.exec(node.name, f"find {ours} \\( -perm /022 -o ! -user root \\) ! -type l -print 2>/dev/null || :") == ""
        assert life.lab.exec(node.name, "stat -c %a /etc/bringup/secret/r0.env").strip() == "600"


def test_a_download_gives_the_token_to_its_own_container_by_stdin_and_leaves_it_nowhere(lab: RunningLab, tmp_path: Path) -> None:
    image, name = hub_image(lab.place), DOWNLOADER.name
    planted = Planted(lab, {"hub token": weights_site.SECRET})
    site = weights_site.Site(lab, image, tmp_path / "site")
    site.work.mkdir()
    model = weights_site.checkpoint(tmp_path / "model")
    with lab.added(DOWNLOADER), weights_site.hub_of(lab, model) as hub:
        lab.exec(name, f"until docker info >/dev/null 2>&1; do sleep 0.2; done; docker pull -q {image}")
        hub.faults.token = weights_site.SECRET
        with planted.watched(name):
            done = site.run(name, weights="/srv/lab", hub_endpoint=hub.url, hub_token="env:LAB_HUB_TOKEN")
        assert done.code == 0, done.text
        assert hub.requests, "the hub was asked, and answers nobody without the token"
        assert planted.in_text(done.text) == []
        assert planted.here([site.work], but=[]) == []
        assert planted.in_processes(name) == []
        assert planted.seen_here == set()
        assert planted.files(name) == {}
        assert planted.journal(name) == []
        assert lab.exec(name, "docker ps -aq") == "", "its container is gone, and its log with it"


def test_after_stop_and_clean_no_trace_of_them_is_left(life: Life) -> None:
    with life.planted.watched(A.name, B.name):
        ran = {verb: life.site.run(verb, "-y") for verb in ("stop", "clean")}
    assert {verb: r.code for verb, r in ran.items()} == {"stop": 0, "clean": 0}, ran["clean"].err
    assert {verb: life.planted.said(r) for verb, r in ran.items()} == {"stop": [], "clean": []}
    for node in (A, B):
        assert life.planted.in_processes(node.name) == []
        assert life.planted.files(node.name) == {}
        assert life.planted.journal(node.name) == []
    assert life.planted.here([life.site.path], but=life.files) == []
