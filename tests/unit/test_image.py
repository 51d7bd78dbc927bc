"""The image: where it comes from, what is said of it, how a pull is shown and why one failed."""

from __future__ import annotations

import base64
import io
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from roles.image import checks as image_checks
from roles.image import role
from roles.image.parse import asked, container, options
from roles.image.present import different, read
from roles.image.progress import Progress
from roles.image.why import why
from roles.image.work import decide, repository, work
from roles.run import checks, terminal
from roles.run.checks import Case
from roles.run.look import ANSWERS
from roles.run.seen import Section, Seen
from tests.unit.sources import plan

ROOT = Path(__file__).parents[2]
NAME = "quay.io/ascend/vllm-ascend:v0.18.0"
MIRROR = "m.daocloud.io/quay.io/ascend/vllm-ascend:v0.18.0"
A, B = "a" * 64, "b" * 64
DIGEST_A = f"quay.io/ascend/vllm-ascend@sha256:{A}"


def line(id_: str = A, digest: str = A, arch: str = "arm64", repo: str = "quay.io/ascend/vllm-ascend") -> str:
    names = [f"{repo}@sha256:{digest}"] if digest else []
    return f"sha256:{id_} {arch} 17000000000 {json.dumps(names)}"


def case(
    *images: str | None, at: int = 0, sections: dict[str, Section] | None = None, recipe: str = "vllm-ascend/a2-dual", **keys: Any
) -> Case:
    """A replica whose nodes have these images (none: it is missing)."""
    made = plan(recipe, nodes=len(images), **keys)
    seen = {n.name: Seen(n.name, _sections(image, sections or {})) for n, image in zip(made.nodes, images, strict=True)}
    node = made.nodes[at]
    return Case(made, made.replicas[0], node, seen[node.name], seen)


def _sections(image: str | None, more: dict[str, Section]) -> dict[str, Section]:
    found = {
        "image.host": Section("image.host", 0, ("arch=aarch64", "size=900000000000", "free=500000000000", "on=/")),
        "image.ref": Section("image.ref", 0, (image,)) if image else Section("image.ref", 1, ("Error: No such image: x",)),
    }
    if not image:
        found |= {f"image.reach.{n}": Section("", 0) for n in (NAME, MIRROR)}
    return {**found, **more}


def findings(here: Case) -> dict[str, str]:
    found = checks.judge(here.plan, here.all)
    return {f.check: f.level for f in found if f.check.startswith("image.") and f.node == here.node.name}


def test_an_image_that_is_here_is_left_as_it_is() -> None:
    assert decide(case(line(), line())) == []


def test_a_missing_image_is_pulled_from_its_registry_then_from_the_mirrors() -> None:
    assert work(case(None, None)).sources == (NAME, MIRROR)
    assert decide(case(None, None))[0].what == f"pull {NAME}: it is not on this node, else from {MIRROR}"


def test_what_a_peer_has_is_asked_for_by_digest_first() -> None:
    """A tag may have moved since the peer pulled it."""
    assert work(case(None, line())).sources == (DIGEST_A, NAME, MIRROR)
    assert work(case(line(), None)).sources == ()


def test_a_digest_under_a_foreign_name_is_not_asked_for() -> None:
    assert work(case(None, line(repo="elsewhere/x"))).sources == (NAME, MIRROR)
    assert work(case(None, line(digest=""))).sources == (NAME, MIRROR)


def test_nodes_that_differ_all_pull_again() -> None:
    for at in (0, 1):
        here = case(line(), line(B, B), at=at)
        assert work(here).sources == (NAME, MIRROR)
        assert "the nodes have different images under this name" in decide(here)[0].what


def test_an_image_pinned_by_digest_cannot_differ() -> None:
    pinned = f"quay.io/ascend/vllm-ascend:v0.18.0@sha256:{A}"
    assert not work(case(line(), line(B, A), image=pinned)).sources
    assert work(case(None, None, image=pinned)).sources == (pinned,)


def test_an_archive_is_loaded_and_nothing_is_pulled() -> None:
    here = case(None, None, image_archive="/srv/image.tar")
    assert (work(here).archive, work(here).sources) == ("/srv/image.tar", ())
    assert decide(here)[0].what == f"load {NAME} from /srv/image.tar: it is not on this node"


def test_a_venv_needs_no_image() -> None:
    assert decide(case(None, recipe="vllm/nvidia-dp8-ep", runtime="venv")) == []


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (line(A, A), line(A, A), True),
        (line(A, A), line(A, B, repo="m.daocloud.io/quay.io/ascend/vllm-ascend"), True),
        (line(A, A), line(B, A), True),
        (line(A, A), line(B, B), False),
        (line(A, ""), line(B, ""), False),
    ],
)
def test_two_images_are_the_same_by_id_or_by_digest(one: str, other: str, same: bool) -> None:
    assert (different([("n0", read(one)), ("n1", read(other))]) is None) == same


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("a/b:v1", "a/b"), ("registry.lab:5000/a/b:v1", "registry.lab:5000/a/b"), ("registry.lab:5000/a/b", "registry.lab:5000/a/b"),
        (f"a/b:v1@sha256:{A}", "a/b"), ("ubuntu", "ubuntu"),
    ],
)  # fmt: skip
def test_a_repository_is_a_reference_without_tag_and_digest(reference: str, name: str) -> None:
    assert repository(reference) == name


def section(code: int, *text: str) -> Section:
    return Section("", code, text)


VERDICT = {"verdict": "ok", "release": "vllm 0.18.0", "jemalloc": ""}


def said(**verdict: str) -> dict[str, Section]:
    return {"image.parse": section(0, json.dumps({**VERDICT, **verdict}))}


HERE = (line(), line())
ROOM = ("arch=aarch64", "size=900000000000", "on=/")
GONE = {f"image.reach.{n}": section(1, "bash: line 1: x: Name or service not known") for n in (NAME, MIRROR)}


@pytest.mark.parametrize(
    ("here", "check", "level"),
    [
        (case(*HERE, sections=said()), "", ""),
        (case(None, None), "image.present", "warn"),
        (case(line(), line(B, B)), "image.same", "warn"),
        (case(line(arch="amd64"), line(arch="amd64")), "image.arch", "fail"),
        (case(*HERE, sections=said(verdict="refused", why="unrecognized arguments: --x")), "image.command", "fail"),
        (case(*HERE, sections=said(jemalloc="there is no such file in the image")), "image.jemalloc", "warn"),
    ],
)  # fmt: skip
def test_one_fault_gives_one_finding(here: Case, check: str, level: str) -> None:
    assert {k: v for k, v in findings(here).items() if v in ("warn", "fail")} == ({check: level} if check else {})


@pytest.mark.parametrize(("free", "level"), [("500000000000", "pass"), ("39000000000", "warn"), ("19000000000", "fail")])
def test_room_is_asked_for_twice_the_image(free: str, level: str) -> None:
    here = case(None, None, sections={"image.host": section(0, *ROOM, f"free={free}")})
    assert findings(here)["image.space"] == level


def test_the_room_for_an_unknown_image_is_a_guess_and_only_warned_about() -> None:
    here = case(None, None, sections={"image.host": section(0, *ROOM, "free=9000000000")}, image="site/own:v0.18.0")
    assert findings(here)["image.space"] == "warn"


def test_every_recipes_image_has_a_known_size() -> None:
    from tests.unit.sources import recipes

    for recipe in recipes():
        name = plan(recipe).nodes[0].image
        assert name is None or image_checks.needs_gb(name), name


def test_no_registry_that_answers_blocks() -> None:
    assert findings(case(None, None, sections=GONE))["image.registry"] == "fail"
    one = {f"image.reach.{NAME}": section(1, "x: refused")}
    assert findings(case(None, None, sections=one))["image.registry"] == "pass"


def test_with_a_proxy_it_is_the_proxy_that_must_answer() -> None:
    proxy = {"image.proxy.p:3128": section(0)}
    assert findings(case(None, None, sections={**GONE, **proxy}, proxy="http://p:3128"))["image.registry"] == "pass"
    closed = {"image.proxy.p:3128": section(1, "p: refused")}
    assert findings(case(None, None, sections=closed, proxy="http://p:3128"))["image.registry"] == "fail"


def test_a_registry_of_the_site_is_reached_without_the_proxy() -> None:
    name = "registry.site:5000/vllm-ascend:v0.18.0"
    reach = {f"image.reach.{name}": section(0), "image.proxy.p:3128": section(1, "p: refused")}
    keys = {"image": name, "proxy": "http://p:3128", "docker": {"insecure": ["registry.site:5000"]}}
    here = case(None, None, **keys)
    bare = {k: v for k, v in here.seen.sections.items() if "reach" not in k}
    seen = Seen(here.node.name, {**bare, **reach})
    assert findings(Case(here.plan, here.replica, here.node, seen, {seen.node: seen}))["image.registry"] == "pass"


def test_an_archive_that_is_not_on_the_node_blocks() -> None:
    there = case(None, None, image_archive="/srv/x.tar", sections={"image.archive": section(0, "17")})
    assert (findings(there)["image.present"], findings(there)["image.registry"]) == ("warn", "skip")
    assert findings(case(None, None, image_archive="/srv/x.tar", sections={"image.archive": section(1)}))["image.present"] == "fail"


def test_a_running_engine_is_not_asked_again() -> None:
    assert findings(case(*HERE, sections={"image.parse": section(0, "running")}))["image.command"] == "skip"


def test_an_engine_that_cannot_be_asked_is_no_fault() -> None:
    assert findings(case(*HERE, sections=said(verdict="unknown", why="no libascend_hal.so")))["image.command"] == "skip"
    assert findings(case(*HERE, sections={"image.parse": section(137, "Killed")}))["image.command"] == "skip"


def test_nobody_asked_nothing_said() -> None:
    assert "image.command" not in findings(case(*HERE))


def test_the_question_is_a_container_without_network_device_or_weights() -> None:
    made = plan("vllm-ascend/a2-dual")
    node = made.nodes[1]
    assert options(made, node)[:7] == ["docker", "run", "--rm", "--name", "bringup-test-r0-parse", "--network", "none"]
    assert "bringup.cluster=test" in options(made, node)
    assert not {"--privileged", "--device", "--ipc", "--entrypoint"} & set(options(made, node))
    text = container(made, node)
    assert subprocess.run(["dash", "-n"], input=text, text=True, check=False).returncode == 0
    assert "source=/usr/local/dcmi,target=/usr/local/dcmi,readonly" in text
    assert "source=/models" not in text
    name, word = ANSWERS["image.parse"](made, node, {}).split(" ")
    assert (name, base64.b64decode(word).decode()) == ("image.parse", text)


def test_the_question_carries_the_plans_commands() -> None:
    made = plan("xinference/awq")
    node = made.nodes[0]
    question = json.loads(asked(made, node)[-1])
    assert question["commands"] == [node.serve_argv, node.after_ready_argv]
    assert question["engine"] == "xinference"
    assert options(made, node)[-2:] == ["--entrypoint", ""]


PULL = [
    "from registry/x", "v1: Pulling from x", "0123456789ab: Pulling fs layer", "0123456789ac: Pulling fs layer",
    "0123456789ad: Already exists", "0123456789ab: Verifying Checksum", "0123456789ab: Download complete",
    "0123456789ab: Pull complete", "0123456789ac: Pull complete", "Digest: sha256:x",
]  # fmt: skip


def test_progress_is_a_plain_line_now_and_then() -> None:
    clock, out = [0.0], io.StringIO()
    progress = Progress(out, lambda: clock[0])
    progress.start("n0")
    for text in PULL:
        clock[0] += 1
        progress.line("n0", text)
    assert out.getvalue().splitlines() == [
        "    [n0] image: 1 of 3 layers, 1 downloaded, 5 s",
        "    [n0] image: 1 of 3 layers, 2 downloaded, 6 s",
        "    [n0] image: 2 of 3 layers, 2 downloaded, 8 s",
        "    [n0] image: 3 of 3 layers, 3 downloaded, 9 s",
    ]


def test_a_silent_pull_is_still_heard_of() -> None:
    clock, out = [0.0], io.StringIO()
    progress = Progress(out, lambda: clock[0])
    progress.start("n0", "loading /srv/x.tar")
    for _ in range(25):
        clock[0] += 1
        progress.tick()
    assert out.getvalue().splitlines() == ["    [n0] image: loading /srv/x.tar, 10 s", "    [n0] image: loading /srv/x.tar, 20 s"]


def test_many_nodes_are_one_line() -> None:
    clock, out = [0.0], io.StringIO()
    progress = Progress(out, lambda: clock[0])
    for n in range(20):
        progress.start(f"n{n}")
        progress.pulls[f"n{n}"].line("0123456789ab: Pull complete")
    progress.pulls["n7"].line("0123456789ac: Pulling fs layer")
    clock[0] = 11
    progress.tick()
    assert out.getvalue() == "image: 20 nodes are pulling, the slowest is n7: 1 of 2 layers, 1 downloaded, 11 s\n"


def test_on_a_terminal_every_node_is_a_row_of_the_live_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "redraws", lambda _: True)
    monkeypatch.setattr(terminal, "BLOCK", Mock())
    progress = Progress(io.StringIO(), lambda: 1.0)
    for node in ("n0", "n1"):
        progress.start(node)
    progress.line("n0", "0123456789ab: Download complete")
    assert progress.live
    assert progress.live.now == {"n0": "image: 0 of 1 layers, 1 downloaded, 0 s (50%)", "n1": "image: asking the registry, 0 s"}
    progress.end("n0")
    terminal.BLOCK.drop.assert_not_called()
    progress.end("n1")
    terminal.BLOCK.drop.assert_called_once()


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["from a/b", "Error response from daemon: manifest for a/b not found: manifest unknown"],
         "a/b: manifest for a/b not found: manifest unknown; the registry has no such tag: correct image or version in the inventory"),
        (["from r:5000/b", "Error response from daemon: http: server gave HTTP response to HTTPS client"],
         'r:5000/b: http: server gave HTTP response to HTTPS client; the registry has no TLS: add it to "docker": {"insecure": [...]} '
         "in the inventory"),
        (["from a/b", "Error: i/o timeout", "from m/b", "Error: no such host"],
         "a/b: Error: i/o timeout; m/b: Error: no such host; "
         "the node has no way to the registry: set proxy, docker mirrors or image_archive in the inventory"),
        (["why /x.tar holds y:1 not a/b"], "/x.tar holds y:1 not a/b"),
        ([], "docker said nothing"),
    ],
)  # fmt: skip
def test_a_failed_pull_says_where_why_and_what_helps(lines: list[str], sentence: str) -> None:
    assert why(lines) == sentence


def test_nodes_that_still_differ_are_named_with_their_digests() -> None:
    made = plan("vllm-ascend/a2-dual")
    a, b = made.nodes
    run = SimpleNamespace(node=made.node, facts={role.IMAGES: {a.name: read(line()), b.name: read(line(B, B))}})
    assert role.differing(run, a.name) == (  # type: ignore[arg-type]
        f"{NAME} is sha256:{'a' * 12} on {a.name} and sha256:{'b' * 12} on {b.name}; pin it by digest in the inventory: image@sha256:..."
    )
    run.facts[role.IMAGES][b.name] = read(line())
    assert role.differing(run, a.name) == ""  # type: ignore[arg-type]


@pytest.mark.parametrize("file", ["probe.sh", "probe_last.sh", "pull.sh"])
def test_the_scripts_are_plain_shell(file: str) -> None:
    assert subprocess.run(["dash", "-n", str(ROOT / "roles/image" / file)], check=False).returncode == 0


STUB = """#!/bin/sh
echo "$*" >> "$ROOT/calls"
case "$1" in
  pull)
    case " $HAS " in *" $2 "*) exit 0 ;; esac
    echo "Error response from daemon: manifest unknown"
    exit 1 ;;
  load) echo "Loaded image: $HAS" ;;
  image) case " $HAS " in *" ${5:-$3} "*|*" tagged "*) echo "image sha256:1 amd64 1 []" ;; *) exit 1 ;; esac ;;
esac
"""


def pull(root: Path, has: str, **values: str) -> tuple[int, list[str], list[str]]:
    """The script with a stand-in for docker: its code, what it said, what it called."""
    from roles.run import remote

    (root / "bin").mkdir()
    (root / "bin/docker").write_text(STUB)
    (root / "bin/docker").chmod(0o755)
    text = remote.script(ROOT / "roles/image/pull.sh", values={"IMAGE": "a/b:v1", "ARCHIVE": "", "SOURCES": "", **values})
    env = {"PATH": f"{root / 'bin'}:/usr/bin:/bin", "ROOT": str(root), "HAS": has}
    done = subprocess.run(["sh", "-c", text], env=env, capture_output=True, text=True, check=False)
    calls = (root / "calls").read_text().splitlines() if (root / "calls").exists() else []
    return done.returncode, (done.stdout + done.stderr).splitlines(), calls


def test_a_mirrors_image_gets_the_plans_name(tmp_path: Path) -> None:
    code, _, calls = pull(tmp_path, "mirror/b:v1 tagged", SOURCES="a/b:v1 mirror/b:v1")
    assert code == 0
    assert calls[:3] == ["pull a/b:v1", "pull mirror/b:v1", "tag mirror/b:v1 a/b:v1"]


def test_no_source_at_all_says_what_each_one_said(tmp_path: Path) -> None:
    code, said, _ = pull(tmp_path, "", SOURCES="a/b:v1 mirror/b:v1")
    assert code == 1
    assert why(said).startswith("a/b:v1: manifest unknown; mirror/b:v1: manifest unknown; the registry has no such tag")


def test_an_archive_with_another_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.tar").touch()
    code, said, _ = pull(tmp_path, "other:v2", ARCHIVE=str(tmp_path / "x.tar"))
    assert (code, why(said)) == (1, f"{tmp_path}/x.tar holds other:v2 not a/b:v1")


def test_an_archive_that_is_not_there_is_named(tmp_path: Path) -> None:
    code, said, _ = pull(tmp_path, "", ARCHIVE="/no/x.tar")
    assert (code, why(said)) == (1, "there is no file /no/x.tar on this node")


def test_a_short_probe_is_no_occasion_to_judge() -> None:
    made = plan("vllm-ascend/a2-dual")
    found = checks.judge(made, {n.name: Seen(n.name) for n in made.nodes})
    assert not [f for f in found if f.check.startswith("image.")]
