"""The documentation builds without a warning, and its pages ask no other server for anything."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="mkdocs is not installed: make env")

ROOT = Path(__file__).parents[2]
LOADS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href", "object": "data", "embed": "src", "video": "src"}
ELSEWHERE = re.compile(r"^\s*(https?:)?//", re.IGNORECASE)
IN_STYLE = re.compile(r"""(?:url\(\s*['"]?|@import\s+['"])((?:https?:)?//[^'")]*)""", re.IGNORECASE)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-f", "files/site/mkdocs.yml", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Loaded(HTMLParser):
    """What a page loads by itself, and the anchors and links in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        have = {k: v or "" for k, v in attrs}
        if tag in LOADS and have.get("rel") not in ("canonical", "prev", "next"):
            self.loads.append(have.get(LOADS[tag], ""))
        self.loads += [have["srcset"]] if "srcset" in have else []
        self.loads += IN_STYLE.findall(have.get("style", ""))


def files(site: Path, *endings: str) -> Iterator[tuple[Path, str]]:
    yield from ((p, p.read_text(encoding="utf-8")) for p in sorted(site.rglob("*")) if p.suffix in endings)


def test_no_page_loads_a_script_style_font_or_picture_from_elsewhere(site: Path) -> None:
    found = [(p.name, x) for p, text in files(site, ".html") for x in Loaded(text).loads if ELSEWHERE.match(x)]
    assert found == []


def test_no_style_sheet_loads_anything_from_elsewhere(site: Path) -> None:
    assert [(p.name, x) for p, text in files(site, ".css", ".html") for x in IN_STYLE.findall(text)] == []


def test_what_a_page_loads_is_in_the_site(site: Path) -> None:
    missing = [
        (page.name, load)
        for page, text in files(site, ".html")
        if page.name != "404.html"  # its paths begin at the root of a server
        for load in Loaded(text).loads
        if load and not load.startswith("data:") and not (page.parent / load.partition("?")[0]).resolve().is_file()
    ]
    assert missing == []


def test_every_page_of_docs_is_in_the_site(site: Path) -> None:
    wanted = {p.relative_to(ROOT / "docs").with_suffix(".html") for p in (ROOT / "docs").rglob("*.md")}
    assert wanted <= {p.relative_to(site) for p in site.rglob("*.html")}


def test_lists_and_tables_of_docs_are_lists_and_tables_in_the_site(site: Path) -> None:
    """What reads as a list on one Markdown and as a paragraph on another."""
    prose = ((p.name, re.sub(r"<pre.*?</pre>", "", text, flags=re.DOTALL)) for p, text in files(site, ".html"))
    found = [
        (name, part[:80])
        for name, text in prose
        for part in re.findall(r"<p>.*?</p>", text, re.DOTALL)
        if re.search(r"\n(- |\d\. |\|)", part)
    ]
    assert found == []


def test_the_test_of_loads_finds_what_it_forbids() -> None:
    page = '<link rel="stylesheet" href="https://x/y.css"><script src="//x/y.js"></script><p style="background: url(http://x)">'
    assert [bool(ELSEWHERE.match(x)) for x in Loaded(page).loads] == [True, True, True]
    assert IN_STYLE.findall("@import 'https://x/y.css'; src: url(\"//x/z.woff\")") == ["https://x/y.css", "//x/z.woff"]
