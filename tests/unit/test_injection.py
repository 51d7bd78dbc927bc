"""What stands in an inventory is data at every door: shell, systemd, nft, JSON, YAML and templates take it as it is, or it is refused."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roles.docker import daemon
from roles.firewall.rules import rules
from roles.image import parse
from roles.plan.cluster import overrides
from roles.plan.errors import PlanError
from roles.plan.plan import Plan, make
from roles.plan.source import Source
from roles.run import look, remote
from roles.run.folder import Folder
from roles.serve import unit
from tests.examples import examples
from tests.unit.sources import plan, source

CANARY = "canary"
SHELL = [
    "$(touch %s)",
    "`touch %s`",
    "';touch %s;'",
    '";touch %s;"',
    "|touch %s|",
    "&touch %s&",
    "\n touch %s\n",
    "${IFS}touch${IFS}%s",
    "%%n",
]
TEMPLATES = [
    "{{ 7 * 7 }}",
    "{% for x in y %}",
    "{{''.__class__}}",
    "${weights}",
    "${cluster}",
    "$HOME",
    "%(x)s",
    "{0}",
    "%n",
    "!!python/name:os.x",
]
words = st.one_of(
    st.sampled_from([*SHELL, *TEMPLATES]), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
)


def hostile(folder: Path, printable: bool = True) -> str:
    """A path that would leave a file behind, were any part of it run."""
    text = "".join(s % (folder / CANARY) if "%s" in s else "" for s in SHELL)
    return "/m/" + (text.replace("\n", " ") if printable else text)


def sh(text: str, stdin: str = "", shell: str = "sh") -> subprocess.CompletedProcess[str]:
    return subprocess.run([shell, "-c", text], input=stdin, capture_output=True, text=True, check=False, timeout=60)


@examples(150)
@given(st.dictionaries(st.sampled_from(["A", "B_2", "C"]), words, max_size=3), words)
def test_a_scripts_values_and_its_secret_arrive_as_they_are(values: dict[str, str], secret: str) -> None:
    """The very way every script takes to a node: its length, its text, then what its `cat` reads."""
    text = remote.script(values=values) + "".join(f'printf "%s\\0" "${name}"\n' for name in values) + "cat\n"
    data = text.encode()
    done = subprocess.run(
        ["sh", "-c", remote.BOOT, "x"], input=b"%d\n" % len(data) + data + secret.encode(), capture_output=True, check=True
    )
    noise, _, answer = done.stdout.partition(f"{remote.FRAME}\n".encode())
    assert noise == b"\n"
    *seen, rest = answer.split(b"\0")
    assert [s.decode() for s in seen] == list(values.values())
    assert rest.decode() == secret


@pytest.mark.parametrize("recipe", ["vllm-ascend/a3", "vllm/nvidia-tp4", "sglang/mi300x-tp4", "lab/venv"])
def test_a_probe_runs_nothing_that_an_inventory_holds(recipe: str, tmp_path: Path) -> None:
    path = hostile(tmp_path)
    more: dict[str, Any] = {} if recipe == "lab/venv" else {"image_archive": path, "docker": {"data_root": path}, "mounts": [f"{path}:/x"]}
    made = plan(recipe, weights=path, profiler=path, wheels=path, **more)
    done = sh(look.probe_script(made, made.nodes[0], FABRIC="off", PARSE=1))
    assert "end 0" in done.stdout
    assert "not found" not in done.stderr
    assert not (tmp_path / CANARY).exists()


def engine(made: Plan) -> str:
    node = made.nodes[0]
    return str(unit.install_values(made, made.replicas[0], node, 1)["SCRIPT_TEXT"])


def test_the_units_script_hands_the_engine_its_words_and_runs_none_of_them(tmp_path: Path) -> None:
    text = hostile(tmp_path)
    made = plan("vllm-ascend/a3", weights=text, flags={"chat-template": text}, env={"X": text})
    (line,) = [x for x in engine(made).splitlines() if x.startswith("ENGINE=(")]
    done = sh(line + '\nprintf "%s\\0" "${ENGINE[@]}"', shell="bash")
    seen = done.stdout.split("\0")[:-1]
    assert [w for w in seen if w in made.nodes[0].run_argv] == made.nodes[0].run_argv
    assert f"X={text}" in seen
    assert text in seen[seen.index("--chat-template") + 1 :]
    assert not (tmp_path / CANARY).exists()


def test_the_units_script_sets_what_it_knows_without_running_it(tmp_path: Path) -> None:
    made = plan("vllm-ascend/a3", weights=hostile(tmp_path), flags={"chat-template": hostile(tmp_path, printable=False)})
    head = engine(made).partition("\nENGINE=(")[0]
    assert sh(head, shell="bash").returncode == 0
    assert sh(f"{head}\n", shell="bash").stdout == ""
    assert not (tmp_path / CANARY).exists()
    assert subprocess.run(["bash", "-n"], input=engine(made), text=True, check=False).returncode == 0


def test_the_command_that_an_image_is_asked_to_read_runs_no_word_of_it(tmp_path: Path) -> None:
    text = hostile(tmp_path)
    made = plan("vllm-ascend/a3", weights=text, mounts=[f"{text}:/x"], flags={"chat-template": text}, env={"X": text})
    command = parse.container(made, made.nodes[0])
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\nprintf "%s\\0" "$@"\n')
    docker.chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", 'PATH="$1:$PATH"; eval "$2"', "x", str(tmp_path), command], capture_output=True, text=True, check=False
    )
    assert f"X={text}" in done.stdout.split("\0")
    assert not (tmp_path / CANARY).exists()


@examples(60)
@given(st.lists(words, max_size=4))
def test_requirements_of_an_environment_are_words(packages: list[str]) -> None:
    """As roles/venv/make.sh reads them."""
    text = remote.script(values={"PACKAGES": shlex.join(packages)}) + 'eval "set -- $PACKAGES"\nfor p; do printf "%s\\0" "$p"; done\n'
    done = subprocess.run(["sh", "-c", text], capture_output=True, check=True)
    assert done.stdout.decode().split("\0")[:-1] == packages


def test_no_free_text_of_an_inventory_enters_a_unit(tmp_path: Path) -> None:
    calm, odd = (
        plan("vllm-ascend/a3"),
        plan("vllm-ascend/a3", weights=hostile(tmp_path), flags={"chat-template": "a\n[Service]\nExecStart=x"}),
    )
    assert unit.service(calm, calm.replicas[0], calm.nodes[0]) == unit.service(odd, odd.replicas[0], odd.nodes[0])


@examples(200)
@given(words)
def test_a_proxys_url_is_refused_or_one_word_of_dockers_drop_in(text: str) -> None:
    for url in (f"http://{text}", f"http://10.0.0.1:3128/{text}", text):
        try:
            keys = plan("vllm-ascend/a3", proxy=url).known.keys
        except PlanError:
            continue
        lines = daemon.proxy(keys.proxy, ["10.0.0.11"]).splitlines()
        assert len(lines) == 3
        assert re.fullmatch(r'Environment=("[A-Z_]+=[^"\\%$\s]*" ?){3}', lines[2]), lines[2]


@examples(100)
@given(words)
def test_a_registrys_name_is_refused_or_whole_in_dockers_json(text: str) -> None:
    for keys in ({"mirrors": [f"https://{text}"]}, {"insecure": [text]}, {"data_root": f"/{text}"}):
        try:
            wanted = daemon.wanted(plan("vllm-ascend/a3", docker=keys).known.keys.docker)
        except PlanError:
            continue
        assert json.loads(daemon.merge("", wanted).text) == wanted


@examples(100)
@given(st.one_of(st.just("10.0.0.11"), words), st.one_of(st.just("r0"), words), st.one_of(st.just("eth0"), words))
def test_no_name_of_a_node_adds_a_rule_to_the_firewall(address: str, replica: str, nic: str) -> None:
    host = ("n0", {"rank": 0, "address": address, "nic": nic, "replica": replica})
    try:
        made = make(Source("test.py", "test", (host,), {**source("vllm-ascend/a3").data, "firewall": True}))
    except PlanError:
        return
    calm = plan("vllm-ascend/a3")
    assert len(rules("test", made.nodes[0], made.nodes, []).split()) == len(rules("test", calm.nodes[0], calm.nodes, []).split())


@examples(100)
@given(words)
def test_a_template_in_a_value_is_text(text: str) -> None:
    """`${...}` is filled in recipes only; nothing of jinja, format or YAML is ever read in an inventory."""
    made = plan("vllm-ascend/a3", flags={"chat-template": text}, env={"X": text})
    assert any(text in word for word in made.nodes[0].serve_argv)
    assert made.nodes[0].env["X"] == text
    assert f"X={text}" in made.nodes[0].run_argv


YAML = ["!!python/object/apply:os.system ['touch x']", "&a [*a]", "{a: 1", "[1", "__import__('os')", "<<: x"]


@pytest.mark.parametrize("text", [w for w in (*SHELL, *TEMPLATES, *YAML) if not w.startswith('"')])  # a quoted one is JSON
def test_a_value_of_the_command_line_is_json_or_text_and_nothing_more(text: str) -> None:
    assert overrides([f"env.X={text}"]) == {"env.X": text}
    assert plan("vllm-ascend/a3", env={"X": text}).nodes[0].env["X"] == text


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..", "a/b", "@fake/n0", "n0;x", "$(id)", "\n"])
def test_a_nodes_name_stays_a_file_of_the_run_folder(name: str, tmp_path: Path) -> None:
    path = Folder("site", "check", str(tmp_path)).node_file(name, "log")
    path.write_text("x", encoding="utf-8")
    assert path.parent.name == "nodes"
    assert path.resolve().is_relative_to(tmp_path.resolve())
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", path.name)
