"""CONTRIBUTING.md's five lists, walked in a copy of the tree: these files and no others are touched, and what was added works."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PATHS = re.compile(r"`((?:roles|files|tests|docs|deploy)/[\w./-]+\.\w+)`")
ALTERNATIVES = {"tests/tools/engine_options.py", "tests/unit/test_contributing.py"}
ENGINES = re.compile("vllm|sglang|xinference", re.I)
READ_AS_DATA = ("roles/plan/", "roles/verify/proof.py", "roles/serve/bring.py", "roles/doctor/advice.py", "roles/weights/checks.py")
"""The plan's models and texts, and variables of one engine that are asked for by name: nothing to touch for another engine."""
PYTEST = ("-m", "pytest", "-p", "no:cacheprovider")


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def steps(title: str) -> set[str]:
    """The files that the numbered steps name."""
    numbered = section(title).split("\n\nThis is enough")[0]
    return set(PATHS.findall(numbered)) - ALTERNATIVES


class Tree:
    """A copy of the checkout, and what was changed in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("roles", "files", "tests", "deploy", "docs", "inventories"):
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", root)
        self.before = self.now()

    def now(self) -> dict[str, str]:
        files = (p for p in self.root.rglob("*") if p.is_file() and "__pycache__" not in p.parts and "runs" not in p.parts)
        return {str(p.relative_to(self.root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    def touched(self) -> set[str]:
        now = self.now()
        return {name for name in now if now[name] != self.before.get(name)} | (self.before.keys() - now.keys())

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def append(self, path: str, text: str) -> None:
        self.write(path, (self.root / path).read_text(encoding="utf-8") + text)

    def replace(self, path: str, old: str, new: str) -> None:
        text = (self.root / path).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{path} has {text.count(old)} times {old!r}"
        self.write(path, text.replace(old, new))

    def run(self, *words: str) -> str:
        env = {**os.environ, "PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run([sys.executable, *words], cwd=self.root, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def golden(self) -> None:
        """`make golden`, in this tree."""
        for line in re.findall(
            r"^\t\$\(BIN\)/python (-m [\w.]+)$", (ROOT / "Makefile").read_text().split("\ngolden:")[1].split("\n\n")[0], re.M
        ):
            self.run(*line.split())

    def read(self, path: str) -> str:
        return (self.root / path).read_text(encoding="utf-8")


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    yield Tree(tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy")


CHECK = """

@check("node.kernel", "the kernel is one of this century")
def kernel(case: Case) -> Say:
    found = case.seen["node.kernel"].first
    return good(found) if found and found[0] != "2" else fail(f"kernel {found}", "3 or newer", "install a newer kernel")
"""
CHECKED = """

def test_a_kernel_of_the_last_century_is_found() -> None:
    def said(release: str) -> list[str]:
        seen = {n: nodes.node(n, N2 if n == N1 else N1, {"node.kernel": release}) for n in (N1, N2)}
        return [f.check for f in wrong(findings(seen))]

    assert said("6.1.0") == []
    assert said("2.6.32") == ["node.kernel", "node.kernel"]
"""


def test_to_add_a_check(tree: Tree) -> None:
    tree.append("roles/preflight/probe.sh", 'say node.kernel 0 "$(uname -r)"\n')
    tree.append("roles/preflight/checks/host.py", CHECK)
    tree.append("tests/unit/test_preflight_checks.py", CHECKED)
    tree.golden()
    assert "| `node.kernel` | the kernel is one of this century |" in tree.read("docs/checks.md")
    assert "1 passed" in tree.run(*PYTEST, "tests/unit/test_preflight_checks.py", "-k", "last_century")
    assert tree.touched() == steps("To add a check")


def test_to_add_a_recipe(tree: Tree) -> None:
    tree.write(
        "files/recipes/vllm/nvidia-tp2.yaml",
        "extends: vllm/nvidia-tp4\ntitle: MiniMax-M2.x with vLLM on 2 large GPUs, tp 2\nsource: an example\n"
        "flags:\n  tensor-parallel-size: {value: 2, why: an example, source: an example}\n",
    )
    tree.replace(
        "files/site/pages.yaml",
        "  vllm/nvidia-tp4: {inventory: h200}\n",
        "  vllm/nvidia-tp4: {inventory: h200}\n  vllm/nvidia-tp2: {inventory: h200}\n",
    )
    tree.golden()
    assert "--tensor-parallel-size 2" in tree.run("-m", "roles.plan", "inventories/h200.py", "--set", "recipe=vllm/nvidia-tp2")
    assert tree.touched() == steps("To add a recipe")


OPTIONS = """\
engine: lmserve
versions: ["1.0"]
flags:
  model: {kind: value}
  port: {kind: value}
  tp: {kind: value}
  served-name: {kind: value}
env: {}
"""
ENGINE = """\
title: LMServe
command: [lmserve, --model, "${weights}"]
options: [lmserve]
layout: {tp: tp, served: served-name}
paths: {health: /health, models: /v1/models, chat: /v1/chat/completions, completions: /v1/completions, metrics: /metrics}
stages:
  - {name: container, patterns: ["LMServe starts"]}
  - {name: http, patterns: ["Uvicorn running on"]}
timeouts: {listen: 600, join: 240, ready_base: 1200, ready_per_gb: 20, stall: 900, stop: 60}
"""
RECIPE = """\
title: MiniMax-M2 with LMServe
source: an example
engine: lmserve
hardware: nvidia
nodes: {min: 1, max: 1}
models: [MiniMax-M2]
formats: [fp8]
image: {repository: example/lmserve, tag: v1.0}
ports: {api: 8000}
flags:
  tp: 8
  port: "${api}"
  served-name: {value: MiniMax-M2}
verify:
  chat:
    path: /v1/chat/completions
    body: {messages: [{role: user, content: Hello}], max_tokens: 20}
"""


def test_to_add_an_engine(tree: Tree) -> None:
    tree.write("files/engines/options/lmserve.yaml", OPTIONS)
    tree.write("files/engines/lmserve.yaml", ENGINE)
    tree.write("files/recipes/lmserve/nvidia.yaml", RECIPE)
    told = tree.run("-m", "roles.plan", "inventories/xinference.py", "--set", "recipe=lmserve/nvidia", "--set", "auth=off")
    assert "lmserve --model" in told
    assert tree.touched() == steps("To add an engine")


def test_where_an_engine_is_known_by_name_is_told_whole() -> None:
    told = set(PATHS.findall(section("To add an engine").split("This is enough")[1]))
    files = {str(p.relative_to(ROOT)): p.read_text(encoding="utf-8") for p in (ROOT / "roles").rglob("*") if p.suffix in (".py", ".sh")}
    knows = {path for path, text in files.items() if ENGINES.search(re.sub(r"#.*", "", text))}
    assert told <= knows
    assert {path for path in knows if not path.startswith(READ_AS_DATA)} <= told


ROLE = '''"""Says hello."""

from __future__ import annotations

from roles.run import terminal
from roles.run.run import Run


def hello(run: Run) -> int:
    terminal.line(f"hello from {len(run.hosts)} nodes")
    return 0
'''
STORY = '''"""Says hello from every node. Changes nothing."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from roles.hello import role as hello
from roles.run import start

start.verb("hello").end(hello.hello)
'''


def test_to_add_a_verb(tree: Tree, tmp_path: Path) -> None:
    from tests.fake.test_verbs import PYINFRA, inventory

    tree.write("deploy/hello.py", STORY)
    tree.write("roles/hello/role.py", ROLE)
    tree.write("roles/hello/__init__.py", "")
    tree.replace("roles/run/options.py", '    "doctor": {"runs": RUNS},\n', '    "doctor": {"runs": RUNS},\n    "hello": {"runs": RUNS},\n')
    tree.replace(
        "roles/run/report/outcome.py", '"stop": "Stopped", "clean": "Clean",', '"stop": "Stopped", "clean": "Clean", "hello": "Greeted",'
    )
    tree.replace("roles/run/report/outcome.py", '"stop": "Not stopped",', '"hello": "Not greeted", "stop": "Not stopped",')
    tree.replace("docs/verbs.md", "| `doctor` | no |", "| `hello` | no | says hello from every node | |\n| `doctor` | no |")
    (tmp_path / "site").mkdir()
    words = [str(PYINFRA), str(inventory(tmp_path / "site")), str(tree.root / "deploy" / "hello.py"), "--data", f"runs={tmp_path / 'runs'}"]
    env = {**os.environ, "PYTHONPATH": str(tree.root)}
    done = subprocess.run(words, cwd=tree.root, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert "hello from 2 nodes" in done.stdout
    told = tree.run(
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/unit/test_options.py",
        "tests/unit/test_report_words.py",
        "tests/unit/test_imports.py",
    )
    assert "failed" not in told
    assert tree.touched() == steps("To add a verb")


RULE = """  - id: example-rule
    where: [engine]
    patterns: ['The flux capacitor of rank \\d+ is empty']
    what: "the flux capacitor is empty"
    means: "nobody filled it"
    remedy: ["${check}"]
    source: "an example"
"""


def test_to_add_a_doctor_rule(tree: Tree) -> None:
    tree.append("files/doctor/start.yaml", RULE)
    tree.write(
        "tests/fixtures/doctor/example-rule.txt",
        "=== hit engine\n(Worker pid=7) ERROR 11-20 12:00:07 [x.py:1] RuntimeError: The flux capacitor of rank 3 is empty\n"
        "=== miss engine: full\n(Worker pid=7) INFO 11-20 12:00:07 [x.py:1] The flux capacitor of rank 3 is full\n",
    )
    tree.golden()
    assert "| `example-rule` | engine | the flux capacitor is empty |" in tree.read("docs/doctor.md")
    told = tree.run(*PYTEST, "tests/unit/test_doctor_rules.py", "-k", "example or left_over")
    assert "failed" not in told
    assert tree.touched() == steps("To add a doctor rule")


@pytest.mark.parametrize("word", ["make env", "make quick", "make test", "make golden"])
def test_the_inner_loop_is_in_the_makefile(word: str) -> None:
    assert f"    {word} " in PAGE
    assert re.search(rf"^{word.removeprefix('make ')}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
