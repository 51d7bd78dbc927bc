"""Every command that README and docs show is run here, or read by what would run it, or named with the test that runs it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from roles.plan import __main__ as planner
from roles.plan.cluster import overrides
from roles.plan.errors import PlanError
from roles.plan.plan import make
from roles.plan.source import read_inventory
from roles.run.options import CHANGING, VERBS, split
from tests.unit import doc_commands as docs

ROOT = docs.ROOT
ALL = docs.all_shown()
SAMPLES = sorted(p for p in (ROOT / "inventories").glob("*.py"))
FLAGS = {"-y", "--dry", "--diff", "-v", "-vv", "-vvv"}


def of(kind: str) -> list[docs.Shown]:
    return [c for c in ALL if docs.kind(c) == kind]


def test_no_command_is_unknown() -> None:
    assert [str(c) for c in of("unknown")] == [], "run it in this test, or add it to ELSEWHERE in tests/unit/doc_commands.py"


def test_there_are_commands_of_every_kind() -> None:
    assert {docs.kind(c) for c in ALL} >= {"plan", "verb", "make", "elsewhere"}
    assert {c.page.name for c in ALL} >= {
        "README.md",
        "verbs.md",
        "first-pair.md",
        "start.md",
        "day-2.md",
        "faq.md",
        "vllm-ascend-a2-dual.md",
    }


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the sample inventories and a plan of before, as the pages speak of them."""
    (tmp_path / "inventories").mkdir()
    for sample in SAMPLES:
        (tmp_path / "inventories" / sample.name).write_bytes(sample.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def planned(command: docs.Shown, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Its exit status and what it says."""
    words = [docs.STANDS_FOR.get(w, w) for w in command.words]
    file = words[words.index(">") + 1] if ">" in words else ""
    words = words[: words.index(">")] if file else words
    capsys.readouterr()
    code = planner.main(words[3:])
    said = capsys.readouterr()
    if file:
        Path(file).write_text(said.out, encoding="utf-8")
    return code, said.out + said.err


@pytest.mark.parametrize("page", sorted({c.page for c in of("plan")}), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_plan_is_made_as_the_page_shows_it(page: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the order of the page: what one command writes the next one may read."""
    planner.main(["inventories/a2.py", "--json"])
    (place / "plan.json").write_text(capsys.readouterr().out, encoding="utf-8")
    for command in (c for c in of("plan") if c.page == page and "[" not in c.text):
        if command.text in ("python -m roles.plan", "python -m roles.plan --json"):
            continue  # its name, not a line to type
        code, said = planned(command, capsys)
        assert command.output or code == 0, f"{command}\n{said}"
        missing = [line for line in command.output if line not in said]
        assert missing == [], f"{command} says\n{said}"


def verb_of(words: list[str]) -> tuple[list[str], str, list[str]]:
    at = next((i for i, w in enumerate(words) if re.fullmatch(r"(\S*/)?deploy/[a-z]+\.py", w)), None)
    assert at is not None, "no deploy/VERB.py in it"
    return words[1:at], Path(words[at]).stem, words[at + 1 :]


def read(words: list[str]) -> None:
    """The line as pyinfra and the verb would read it; AssertionError or PlanError when they would not."""
    before, verb, rest = verb_of(words)
    assert (ROOT / f"deploy/{verb}.py").is_file(), f"there is no verb {verb}"
    assert verb in VERBS
    data, rest = [], list(rest)
    saying = "-y" in rest
    while rest:
        word = rest.pop(0)
        if word in ("--data", "--limit"):
            assert rest, f"{word} wants a value"
            value = rest.pop(0)
            data += [value] if word == "--data" else []
        else:
            assert word in FLAGS, f"{word} is no flag the pages explain"
    options, keys = split(verb, overrides(data, "--data"))
    assert "confirm" not in options or verb == "clean"
    assert not saying or verb in CHANGING, f"{verb} never asks"
    assert len(before) == 1, f"expected one inventory, found {before}"
    (named,) = before
    if named in docs.STANDS_FOR:
        accepted_by_one(keys)
    else:
        assert (ROOT / named).is_file(), f"there is no {named}"
        make(read_inventory(ROOT / named), keys, where="--data")


def accepted_by_one(keys: dict[str, object]) -> None:
    """A line about nobody's inventory in particular fits at least one of the samples."""
    problems: list[str] = []
    for sample in SAMPLES:
        try:
            make(read_inventory(sample), keys, where="--data")
        except PlanError as e:
            problems += e.problems
        else:
            return
    raise PlanError(*problems)


def filled(text: str) -> list[str]:
    """Numbers the doctor computes as numbers, names in capitals as themselves."""
    for word, number in docs.NUMBERS.items():
        text = re.sub(rf"=({word})\b", f"={number}", text)
    return shlex.split(text)


@pytest.mark.parametrize("command", of("verb"), ids=str)
def test_a_verbs_line_is_read_by_verb_and_plan(command: docs.Shown) -> None:
    for part in re.split(r"\s*(?:;|&&)\s*", command.text):
        if part.startswith("pyinfra "):
            read(filled(part))


MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
VARIABLES = set(re.findall(r"\$\((?:if |or )?\$?\(?([A-Z_]+)\)", MAKEFILE)) | {"PYTHON"}


@pytest.mark.parametrize("command", of("make"), ids=str)
def test_what_is_made_is_in_the_makefile(command: docs.Shown) -> None:
    words = command.words[1:]
    assert {w for w in words if "=" not in w} <= TARGETS
    given = {w.partition("=")[0] for w in words if "=" in w}
    assert given <= VARIABLES or words[0] == "lab-set"


def test_every_make_target_says_what_it_is() -> None:
    told = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))
    assert told == TARGETS


@pytest.mark.parametrize("beginning", docs.ELSEWHERE)
def test_an_entry_of_the_registry_is_needed_and_its_test_is_there(beginning: str) -> None:
    assert [c for c in ALL if docs.kind(c) == "elsewhere" and docs.elsewhere(c.text) == beginning], "no page shows it any more"
    where = docs.ELSEWHERE[beginning]
    if where.startswith("tests/"):
        assert (ROOT / where).is_file()
        if module := re.match(r"python -m (\S+)", beginning):
            name = module[1]
            text = (ROOT / where).read_text(encoding="utf-8")
            assert name in text or f"from {name.rpartition('.')[0]} import" in text, f"{where} does not know {name}"
    else:
        assert where.startswith(("hardware", "by hand: "))


@pytest.mark.parametrize(
    "line",
    [
        "pyinfra inventories/a2.py deploy/server.py",
        "pyinfra inventories/a2.py deploy/serve.py --data max_num_seqs=64",
        "pyinfra inventories/a2.py deploy/serve.py --data flags.max-nun-seqs=64",
        "pyinfra inventories/a2.py deploy/check.py --data soak=10m",
        "pyinfra inventories/a2.py deploy/serve.py --data rollback=soon",
        "pyinfra inventories/no_such.py deploy/check.py",
        "pyinfra inventories/a2.py deploy/check.py --serial",
        "pyinfra deploy/check.py inventories/a2.py",
    ],
)
def test_a_wrong_line_is_found(line: str) -> None:
    with pytest.raises((AssertionError, PlanError)):
        read(shlex.split(line))


def test_commands_are_found_where_they_stand() -> None:
    text = "a `make env` b\n\n    $ pyinfra x deploy/y.py   # why\n    said\n\n"
    text += "```sh\nvllm serve \\\n  --x\n```\n\n```python\nmake (x)\n```\n    {json}\n"
    assert [(c.text, c.output) for c in docs.shown(ROOT / "README.md", text)] == [
        ("make env", ()),
        ("pyinfra x deploy/y.py", ("said",)),
        ("vllm serve --x", ()),
    ]
