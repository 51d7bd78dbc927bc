"""Manifests, repositories, tokens, sizes, and how a courier is started: all of it pure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roles.plan.keys import ClusterKeys
from roles.plan.library import library
from roles.weights import launch, source
from roles.weights.manifest import Manifest, Row, matters, mtime, parse, place, shard, written
from roles.weights.sizes import Speed, files, size, span
from roles.weights.source import NoToken, Repo
from tests.unit.sources import plan

NAMES = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1).filter(lambda n: len(n.splitlines()) == 1)
ROWS = st.builds(Row, st.text("0123456789abcdef", min_size=64, max_size=64), st.integers(0, 10**13), st.integers(0, 10**19).map(mtime))


@given(st.dictionaries(NAMES, ROWS), st.integers(0, 10**6))
def test_a_manifest_is_read_as_it_was_written(rows: dict[str, Row], count: int) -> None:
    one = Manifest(rows, "MiniMax-M2.5", "huggingface MiniMaxAI/MiniMax-M2.5@c0ffee", count)
    assert parse(written(one)) == one


@given(st.text())
def test_whatever_stands_there_instead_is_nothing_to_trust(text: str) -> None:
    assert parse(text).rows == {}


def test_a_hash_holds_only_for_that_size_and_time() -> None:
    one = Manifest({"a": Row("f" * 64, 5, "1.000000000")})
    assert one.trusted("a", 5, "1.000000000") == "f" * 64
    assert [one.trusted(*x) for x in (("a", 6, "1.000000000"), ("a", 5, "1.000000001"), ("b", 5, "1.000000000"))] == ["", "", ""]


def test_a_users_folder_is_never_written_beside() -> None:
    assert place("/var/lib/bringup", "a2", "/var/lib/bringup/models/MiniMax-M2") == "/var/lib/bringup/models/MiniMax-M2.manifest"
    assert place("/var/lib/bringup", "a2", "/data/M2").startswith("/var/lib/bringup/a2/manifests/")
    assert place("/var/lib/bringup", "a2", "/data/M2") != place("/var/lib/bringup", "a2", "/data/M2.5")


@pytest.mark.parametrize(
    "name", ["README.md", ".cache/x", ".gitattributes", "figures/a.png", "LICENSE-CODE", ".bringup-part/copy/a.safetensors"]
)
def test_papers_and_hidden_files_do_not_matter(name: str) -> None:
    assert not matters(name)


@pytest.mark.parametrize(
    "name", ["config.json", "model-00001-of-00002.safetensors", "modeling_minimax_m2.py", "chat_template.jinja", "merges.txt"]
)
def test_what_an_engine_may_read_matters(name: str) -> None:
    assert matters(name)
    assert shard(name) == name.endswith(".safetensors")


def keys(**data: object) -> ClusterKeys:
    return ClusterKeys.model_validate({"recipe": "vllm-ascend/a2-dual", "model": "M", **data})


@pytest.mark.parametrize(
    ("model", "data", "repo"),
    [
        ("MiniMax-M2.5", {}, Repo("huggingface", "MiniMaxAI/MiniMax-M2.5")),
        ("MiniMax-M2.5", {"hub": "modelscope"}, Repo("modelscope", "MiniMax/MiniMax-M2.5")),
        ("MiniMax-M2.5", {"hub_endpoint": "https://hf-mirror.com"}, Repo("huggingface", "MiniMaxAI/MiniMax-M2.5", "https://hf-mirror.com")),
        ("MiniMax-M2.5-w8a8-QuaRot", {"hub_endpoint": "https://hf-mirror.com"}, Repo("modelscope", "Eco-Tech/MiniMax-M2.5-w8a8-QuaRot")),
        ("MiniMax-M2-lab", {}, None),
    ],
)
def test_the_repository_is_the_named_hubs_else_the_one_that_has_it(model: str, data: dict[str, object], repo: Repo | None) -> None:
    assert source.repo(library().models()[model], keys(**data)) == repo


def test_every_folder_knows_its_model() -> None:
    known = plan("vllm-ascend/a3", model="MiniMax-M2.5", weights="/m", draft="/d").known
    assert {f: m.name if m else "" for f, m in source.models(known).items()} == {"/m": "MiniMax-M2.5", "/d": "MiniMax-M2.5-Eagle3"}


def test_tokens_are_read_where_the_inventory_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t").write_text("hf_x\n")
    monkeypatch.setenv("HUB", "hf_y")
    monkeypatch.delenv("NONE", raising=False)
    assert [source.token(w) for w in (f"file:{tmp_path / 't'}", "env:HUB", None)] == ["hf_x", "hf_y", ""]
    with pytest.raises(NoToken, match="variable NONE, which is not set on this machine"):
        source.token("env:NONE")
    with pytest.raises(NoToken, match="cannot be read on this machine"):
        source.token(f"file:{tmp_path / 'missing'}")


def test_sizes_and_times_as_people_read_them() -> None:
    assert [size(n) for n in (0, 999, 1500, 230e9, 1.21e9)] == ["0 bytes", "999 bytes", "1.5 kB", "230 GB", "1.2 GB"]
    assert [span(s) for s in (5, 155, 7320)] == ["5 s", "2 min 35 s", "2 h 02 min"]
    assert files(["a", "b", "c", "d"]) == "a, b, c and 1 more"


def test_speed_is_what_moved_lately_not_what_was_there() -> None:
    speed = Speed()
    speed.note(0, 100_000_000_000)
    assert speed.words(230_000_000_000) == "100 GB of 230 GB (43%), 0 bytes/s"
    for second in range(1, 61):
        speed.note(second, 100_000_000_000 + second * 1_000_000_000)
    assert speed.words(230_000_000_000) == "160 GB of 230 GB (69%), 1.0 GB/s, 1 min 10 s left"
    assert speed.words(0) == "160 GB, 1.0 GB/s"


def test_a_courier_is_ours_leaves_nothing_and_hides_everything_secret() -> None:
    made = plan("lab/a2-dual")
    argv = launch.in_image(made, made.nodes[0], "/models/M", "/var/lib/bringup/test/manifests/ab")
    assert argv[:6] == ["docker", "run", "--rm", "-i", "--name", "bringup-test-weights"]
    assert "bringup.cluster=test" in argv
    assert "type=bind,source=/models/M,target=/models/M" in argv
    assert argv[-4:] == ["python3", made.nodes[0].image, "-c", launch.BOOT]
    text = launch.script(made, made.nodes[0], "/models/a b", "/s/m")
    assert "mkdir -p -- '/models/a b' /s || exit 1\n" in text
    assert all("</dev/null" in line for line in text.splitlines() if line.strip().startswith(("docker", "while docker"))), (
        "stdin is the courier's"
    )


def test_without_containers_the_engines_own_python_carries() -> None:
    made = plan("vllm/nvidia-tp4", runtime="venv")
    text = launch.script(made, made.nodes[0], "/m", "/s/m")
    assert "exec env PATH=/var/lib/bringup/test/venv/bin:" in text
    assert "/var/lib/bringup/test/venv/bin/python -c" in text
    assert "docker" not in text


def test_the_courier_is_sent_whole_in_two_lines() -> None:
    modules, order = (json.loads(line) for line in launch.payload({"token": "secret"}).splitlines())
    assert order == {"token": "secret"}
    sent = {name for name, text in modules if text}
    here = {f"roles.weights.courier.{p.stem}" for p in (Path(launch.__file__).parent / "courier").glob("*.py")}
    assert sent == (here - {"roles.weights.courier.__init__"}) | {"roles.weights.manifest"}
