"""The image: where it comes from, and what is said of it."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from roles.image import checks as image_checks
from roles.image import role
from roles.image.parse import asked, container, options
from roles.image.present import different, read
from roles.image.work import decide, repository, work
from roles.run import checks
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


def test_an_engine_that_cannot_be_asked_is_a_warning() -> None:
    assert findings(case(*HERE, sections=said(verdict="unknown", why="no libascend_hal.so")))["image.command"] == "warn"
    assert findings(case(*HERE, sections={"image.parse": section(137, "Killed")}))["image.command"] == "warn"
    assert findings(case(*HERE, sections={"image.parse": section(124)}))["image.command"] == "warn"


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


def test_nodes_that_still_differ_are_named_with_their_digests() -> None:
    made = plan("vllm-ascend/a2-dual")
    a, b = made.nodes
    run = SimpleNamespace(node=made.node, facts={role.IMAGES: {a.name: read(line()), b.name: read(line(B, B))}})
    assert role.differing(run, a.name) == (  # type: ignore[arg-type]
        f"{NAME} is sha256:{'a' * 12} on {a.name} and sha256:{'b' * 12} on {b.name}; pin it by digest in the inventory: image@sha256:..."
    )
    run.facts[role.IMAGES][b.name] = read(line())
    assert role.differing(run, a.name) == ""  # type: ignore[arg-type]


def test_a_short_probe_is_no_occasion_to_judge() -> None:
    made = plan("vllm-ascend/a2-dual")
    found = checks.judge(made, {n.name: Seen(n.name) for n in made.nodes})
    assert not [f for f in found if f.check.startswith("image.")]
