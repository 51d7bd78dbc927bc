"""Values of an inventory reach the engine as they are, through a real shell."""

from __future__ import annotations

import json
import shlex
import subprocess
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from roles.plan.errors import PlanError
from roles.plan.setup import script
from tests.examples import examples
from tests.unit.sources import plan

PRINT = 'import json,sys,os; print(json.dumps([sys.argv[1:], os.environ.get("V")]))'
NASTY = [
    "$(id)",
    "`id`",
    "a b",
    "'",
    '"',
    "\\",
    "a\nb",
    "*",
    "~",
    "$HOME",
    ";reboot",
    "&& true",
    "é 模型 🦊",
    "--headless",
    "-1",
    "",
    "#x",
    "!x",
    "a\tb",
    "\r",
]
texts = st.one_of(st.sampled_from(NASTY), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40))


def through_sh(argv: list[str], env: dict[str, str] | None = None) -> Any:
    """What a program sees when the shell runs this line."""
    assigned = " ".join(f"{k}={shlex.quote(v)}" for k, v in (env or {}).items())
    line = f"{assigned} {shlex.join(['python3', '-c', PRINT, *argv])}"
    return json.loads(subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout)


@examples(40)
@given(texts)
def test_a_flags_value_arrives_whole(value: str) -> None:
    argv = plan(flags={"chat-template": value}).replicas[0].nodes[0].serve_argv
    seen, _ = through_sh(argv)
    assert seen == argv
    at = next(i for i, w in enumerate(seen) if w.startswith("--chat-template"))
    assert (seen[at].partition("=")[2] if "=" in seen[at] else seen[at + 1]) == value


@examples(40)
@given(texts)
def test_a_variables_value_arrives_whole(value: str) -> None:
    n = plan(env={"V": value}).replicas[0].nodes[0]
    assert through_sh([], {"V": n.env["V"]})[1] == value
    seen, _ = through_sh(n.run_argv)
    assert f"V={value}" in seen


@examples(40)
@given(st.dictionaries(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=10), texts, max_size=3))
def test_a_json_value_arrives_as_the_same_json(value: dict[str, str]) -> None:
    argv = plan(flags={"additional-config": value}).replicas[0].nodes[0].serve_argv
    seen, _ = through_sh(argv)
    assert json.loads(seen[seen.index("--additional-config") + 1]) == value


@examples(60)
@given(texts)
def test_a_path_arrives_whole_or_is_refused(value: str) -> None:
    path = f"/models/{value}"
    try:
        n = plan(weights=path).replicas[0].nodes[0]
    except PlanError:
        return
    clean = path.rstrip("/")
    seen, _ = through_sh(n.run_argv)
    assert f"type=bind,source={clean},target={clean},readonly" in seen
    assert seen[seen.index("serve") + 1] == clean


@examples(40)
@given(st.lists(texts, max_size=4))
def test_the_containers_entrypoint_hands_its_words_on_unchanged(words: list[str]) -> None:
    done = subprocess.run(["sh", "-s", "--", "python3", "-c", PRINT, *words], input=script([]), capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)[0] == words


@examples(40)
@given(texts)
def test_a_patchs_own_text_is_never_run(value: str) -> None:
    patch = {"do": "comment-out", "file": f"/nowhere/{value}", "line": value, "why": "x"}
    done = subprocess.run(["sh", "-s", "--", "echo", "started"], input=script([patch]), capture_output=True, text=True, check=False)
    assert done.returncode == 78
    assert done.stdout == ""
    assert "is missing" in done.stderr
