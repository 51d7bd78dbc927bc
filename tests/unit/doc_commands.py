"""Every command that README and docs show, where it stands, and how it is checked."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TOOLS = (
    "pyinfra", "python3?", "make", "vagrant", "uv", "pip", "docker", "ssh", "ssh-[a-z-]+", "scp", "curl", "wget", "install", "git", "sudo",
    "apt-get", "tar", "rsync", "hccn_tool", "npu-smi", "vllm", "xinference",
)  # fmt: skip
WORDS = re.compile(rf"(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?(?:{'|'.join(TOOLS)}) ")
OURS = re.compile(r"(?:\.venv/bin/)?(?:pyinfra \S|python -m (?:roles|tests)\.|make [a-z])")
STANDS_FOR = {
    "INVENTORY": "inventories/a2.py",
    "inventories/mine.py": "inventories/a2.py",
    "RUN_FOLDER/plan.json": "plan.json",
    "BEFORE.json": "plan.json",
}
NUMBERS = {"HALF": "16", "LESS": "0.5", "MORE": "900"}
"""What the doctor's rules leave to be computed, as something it may be."""

ELSEWHERE: dict[str, str] = {
    # how a line begins -> the test that runs such a line, or `hardware`, or `by hand` with what was done
    "python -m roles.enrol ": "tests/unit/test_doc_modules.py",
    "python -m roles.doctor ": "tests/unit/test_doc_modules.py",
    "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub": "tests/unit/test_doc_modules.py",
    "ssh-copy-id ": "hardware",
    "cp inventories/a2.py inventories/mine.py": "by hand: it copies a file",
    "python -m roles.doctor.table": "tests/unit/test_doctor_rules.py",
    "python -m roles.run.report ": "tests/unit/test_doc_modules.py",
    "python -m tests.lab up ": "tests/lab/test_lab_itself.py",
    "python -m tests.lab.apt": "tests/lab/test_bare_nodes.py",
    "python -m tests.lab.engine.wheelhouse": "tests/lab/test_wheelhouse.py",
    "python -m tests.lab.engine.build": "tests/lab/test_engine.py",
    "python -m tests.lab.engine.xinference": "tests/lab/test_xinference.py",
    "python -m tests.lab.engine.pair": "tests/lab/test_engine.py",
    "python -m tests.lab.engine.numerics": "tests/lab/test_numerics.py",
    "python -m tests.bench.verbs ": "by hand: the figures of docs/lab.md were measured with it",
    "python3 -m zipfile -e /opt/lab/shared/wheels/uv-": "tests/lab/test_wheelhouse.py",
    "install -m 755 /tmp/uv/": "tests/lab/test_wheelhouse.py",
    "uv venv --python 3.11 ": "tests/lab/test_wheelhouse.py",
    "uv pip install --python ": "tests/lab/test_wheelhouse.py",
    "DOCKER_HOST=unix:///var/lib/bringup-lab/run/docker.sock vagrant up": "by hand: docs/lab.md says with which vagrant",
    "vagrant ": "by hand: docs/lab.md says with which vagrant",
    "docker run ": "hardware; held equal to the plan by tests/unit/test_pages.py",
    "/usr/bin/env ": "hardware; held equal to the plan by tests/unit/test_pages.py",
    "vllm bench serve ": "hardware; held equal to the plan by tests/unit/test_pages.py",
    "python3 -m sglang.bench_serving ": "hardware; held equal to the plan by tests/unit/test_pages.py",
    "python3 benchmark/": "hardware; held equal to the plan by tests/unit/test_pages.py",
    "xinference launch ": "hardware; held equal to the plan by tests/unit/test_pages.py",
    "/var/lib/bringup/xinference/venv/bin/xinference launch ": "hardware; held equal to the plan by tests/unit/test_pages.py",
}


@dataclass(frozen=True)
class Shown:
    """One command of a page, without prompt and comment, and what the page prints under it."""

    page: Path
    line: int
    text: str
    output: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}: {self.text[:100]}"

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)


def shown(page: Path, text: str | None = None) -> Iterator[Shown]:
    """Commands in fenced and indented blocks, and ours between backticks in prose and tables."""
    lines = (page.read_text(encoding="utf-8") if text is None else text).split("\n")
    fence: str | None = None
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        at = number
        if line.startswith("```"):
            fence = None if fence is not None else line[3:].strip()
            continue
        if fence is None and not line.startswith("    "):
            yield from (Shown(page, at, _bare(c)) for c in re.findall(r"`([^`\n]+)`", line) if OURS.match(c))
            continue
        asked = line.strip().startswith("$ ")
        command = line.strip().removeprefix("$ ")
        if not (asked or fence == "sh" or (fence in (None, "") and WORDS.match(command))) or not command:
            continue
        while command.endswith("\\"):
            command = f"{command[:-1].rstrip()} {lines[number].strip()}"
            number += 1
        output = []
        while asked and lines[number].startswith("    ") and not lines[number].strip().startswith("$ "):
            output.append(lines[number].strip())
            number += 1
        yield Shown(page, at, _bare(command), tuple(output))


def _bare(command: str) -> str:
    """Without a comment behind it and without the environment's folder before it."""
    quoted = re.sub(r"'[^']*'|\"[^\"]*\"", lambda m: m[0].replace("#", "\0"), command)
    return re.split(r"\s+#", quoted)[0].replace("\0", "#").removeprefix(".venv/bin/").strip()


def all_shown() -> list[Shown]:
    return [s for page in PAGES for s in shown(page)]


def elsewhere(text: str) -> str | None:
    """The entry of the registry with the longest beginning of this command."""
    fits = [k for k in ELSEWHERE if f"{text} ".startswith(k)]
    return max(fits, key=len, default=None)


def kind(command: Shown) -> str:
    """How it is checked: form (a line of placeholders), plan (run), verb (parsed), make (looked up), elsewhere, or unknown."""
    text = command.text
    if re.search(r"VERB|\[-y|\.\.\.", text) and text.startswith("pyinfra "):
        return "form"
    if text.startswith("python -m roles.plan ") or text == "python -m roles.plan":
        return "plan"
    if text.startswith("pyinfra "):
        return "verb"
    if text.startswith("make "):
        return "make"
    return "elsewhere" if elsewhere(text) else "unknown"
