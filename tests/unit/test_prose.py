"""Pages are wrapped at 100 columns, so that a changed word is a changed line; wrapping changes nothing a reader sees."""

from __future__ import annotations

import re
from pathlib import Path

import markdown
import pytest

from roles.plan.pages.prose import WIDTH, prose

ROOT = Path(__file__).parents[2]
PAGES = sorted(p for p in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/**/*.md")))


def shown(text: str) -> str:
    return re.sub(r"\s+", " ", markdown.markdown(text, extensions=["tables", "fenced_code", "sane_lists"]))


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_page_is_wrapped(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text == prose(text), f"python -m roles.plan.pages.prose {path.relative_to(ROOT)}"


LONG = " ".join(["word"] * 30)
TEXTS = {
    "a paragraph": LONG,
    "items with a second line": f"- {LONG}\n  {LONG}\n- short\n\n1. {LONG}\n2. {LONG}",
    "a quote": f"> {LONG}\n> {LONG}",
    "code between": f"{LONG}\n\n    {LONG}\n\n{LONG}",
    "a fence": f"```sh\n{LONG}\n```\n{LONG}",
    "a table": f"| a | b |\n|---|---|\n| {LONG} | {LONG} |",
    "code and links": f"{'word ' * 18}`one long command with many words` and [a link of words](target.md) {LONG}",
    "a number at the break": f"{'word ' * 19}of 2026 2. {LONG}",
    "a dash at the break": f"{'word ' * 19}abcd - {LONG}",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_wrapping_changes_nothing_that_is_shown(text: str) -> None:
    wrapped = prose(text)
    assert shown(wrapped) == shown(text)
    assert prose(wrapped) == wrapped
    kept = ("|", "    ", LONG)
    assert [line for line in wrapped.split("\n") if len(line) > WIDTH + 1 and not line.startswith(kept)] == []
