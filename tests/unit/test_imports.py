"""Who may import whom: the walls of the house."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHARED = {"plan", "run"}
PURE = {"roles.plan", "pydantic", "yaml", "jinja2", "packaging"}
FILES = sorted((ROOT / "roles").rglob("*.py"))


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            yield from (f"{node.module}.{a.name}" if node.module == "roles" else str(node.module) for a in node.names)


def forbidden(path: Path, text: str) -> list[str]:
    """Imports that a file of roles/ must not have."""
    room = path.relative_to(ROOT / "roles").parts[0]
    names = list(imported(ast.parse(text)))
    if room == "plan":
        import sys

        return [n for n in names if not n.startswith(tuple(PURE)) and n.partition(".")[0] not in sys.stdlib_module_names]
    others = [n for n in names if n.startswith("roles.") and n.split(".")[1] not in {room, *SHARED}]
    return [*others, *(n for n in names if room == "run" and n.startswith("roles.") and n.split(".")[1] not in SHARED)]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_plan_is_pure_and_no_role_imports_another(path: Path) -> None:
    assert forbidden(path, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("plan/x.py", "import pyinfra"),
        ("plan/x.py", "from pyinfra.api import operation"),
        ("plan/x.py", "import paramiko"),
        ("plan/x.py", "def f():\n    from roles.run import guard"),
        ("serve/role.py", "from roles.docker import ops"),
        ("serve/role.py", "import roles.tuning.role"),
        ("run/x.py", "from roles import serve"),
    ],
)
def test_the_rule_catches_what_it_forbids(file: str, text: str) -> None:
    assert forbidden(ROOT / "roles" / file, text)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def test_inventories_hold_literals_only() -> None:
    for path in (ROOT / "inventories").glob("*.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert [type(n).__name__ for n in body] == ["Expr", "Assign"], path
        ast.literal_eval(body[1].value)  # type: ignore[attr-defined]


def test_the_top_level_holds_nothing_else() -> None:
    allowed = {"pyproject.toml", "requirements.lock", "README.md", "Makefile", "LICENSE", "Vagrantfile"}
    allowed |= {"CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"}
    rooms = {"deploy", "inventories", "roles", "files", "tests", "docs"}
    ignored = {"runs", "build", "bringup.egg-info"}
    for name in (p.name for p in ROOT.iterdir()):
        assert name in allowed | rooms | ignored or name.startswith("."), name


def test_the_documented_steps_are_the_closed_list() -> None:
    from roles.plan.steps import DO

    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1].strip(" `") for line in text.split("| do | meaning |")[1].split("\n\n")[0].splitlines()[2:]]
    assert rows == list(DO)
