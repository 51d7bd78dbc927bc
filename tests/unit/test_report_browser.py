"""report.html as people meet it: opened from a file in a real Chromium, on screens wide and narrow, light and dark, by keyboard, on paper.

BRINGUP_BROWSER: unset installs Chromium or skips, `required` installs it or fails, `off` skips at once. BRINGUP_SHOTS=DIR keeps pictures.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium_axe_python import Axe

from roles.run.report import page
from tests.browser import Browser, Unavailable
from tests.unit import report_runs as runs
from tests.unit.test_report_page import plant

pytestmark = pytest.mark.slow
KINDS = ["good_serve", "failed_serve", "bench", "status", "many_nodes", "bare"]
WIDTHS = [320, 390, 768, 1280, 1920]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    wish = os.environ.get("BRINGUP_BROWSER", "")
    if wish == "off":
        pytest.skip("BRINGUP_BROWSER=off")
    try:
        made = Browser()
    except Unavailable as why:
        if wish == "required":
            pytest.fail(f"BRINGUP_BROWSER=required, but {why}", pytrace=False)
        pytest.skip(str(why))
    yield made
    made.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One page of each kind, and one full of planted markup."""
    folder = tmp_path_factory.mktemp("runs")
    bare = runs.put(folder / "bare", "20261120T000000Z-check", {"report.json": {"cluster": "a2", "verb": "check", "exit": 0}})
    made = {kind: page.write(bare if kind == "bare" else getattr(runs, kind)(folder / kind)) for kind in KINDS}
    hostile = runs.failed_serve(folder / "hostile")
    plant(hostile)
    return {**made, "hostile": page.write(hostile)}


def opened(browser: Browser) -> None:
    """Everything that can be unfolded, unfolded."""
    browser.driver.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")


@pytest.mark.parametrize("kind", [*KINDS, "hostile"])
def test_a_page_opens_from_a_file_without_a_word_on_the_console_or_a_request(browser: Browser, pages: dict[str, Path], kind: str) -> None:
    browser.open(pages[kind])
    opened(browser)
    assert browser.said() == []
    assert browser.requests() == [pages[kind].as_uri()]
    assert browser.ask("document.readyState") == "complete"
    assert browser.ask("document.compatMode") == "CSS1Compat"
    assert browser.ask("document.scripts.length") == 0


def test_planted_markup_is_read_and_not_run(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["hostile"])
    assert browser.ask("typeof window.planted") == "undefined"
    assert browser.ask("document.querySelectorAll('img, script, [onload], [onerror]').length") == 0
    assert "<script>planted()</script>" in browser.ask("document.querySelector('.failures').innerText")
    assert "{{ 7*7 }}" in browser.ask("document.body.innerText")


@pytest.mark.parametrize("kind", KINDS)
def test_plots_are_seen_and_tables_are_there(browser: Browser, pages: dict[str, Path], kind: str) -> None:
    browser.open(pages[kind])
    opened(browser)
    plots = browser.ask(
        "[...document.querySelectorAll('svg[role=img]')].map(s => [s.getBoundingClientRect().width, s.getAttribute('aria-label')])"
    )
    assert len(plots) == {"bench": 4, "bare": 0, "status": 0}.get(kind, 1)
    assert all(width > 200 and label for width, label in plots)
    shades = browser.ask("[...document.querySelectorAll('.plot-gantt .series path')].map(p => getComputedStyle(p).stroke)")
    assert "none" not in shades
    lacks = "!t.caption || !t.tHead || !t.tBodies[0].rows.length || t.offsetHeight < 20"
    empty = f"[...document.querySelectorAll('table')].filter(t => {lacks}).length"
    assert browser.ask(empty) == 0
    assert browser.ask("document.querySelectorAll('table').length") >= (kind != "bare")


def test_a_labels_bar_is_wider_than_the_label(browser: Browser, pages: dict[str, Path]) -> None:
    """Where a text stands on a bar it must stand on it whole."""
    browser.open(pages["good_serve"])
    box = "e => (r => [r.left, r.right, r.top, r.bottom])(e.getBoundingClientRect())"
    labels = browser.ask(f"[...document.querySelectorAll('.bar-label text')].map({box})")
    bars = browser.ask(f"[...document.querySelectorAll('.plot-gantt .series path')].map({box})")
    assert labels
    for left, right, top, bottom in labels:
        middle = (top + bottom) / 2
        assert any(a <= left and right <= b and abs((c + d) / 2 - middle) < 6 for a, b, c, d in bars)


@pytest.mark.parametrize("kind", [*KINDS, "hostile"])
@pytest.mark.parametrize("width", WIDTHS)
def test_no_screen_has_to_scroll_the_page_sideways(browser: Browser, pages: dict[str, Path], kind: str, width: int) -> None:
    browser.open(pages[kind], width)
    opened(browser)
    assert browser.ask("document.documentElement.scrollWidth") <= width
    outside = (
        "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1 "
        "&& !e.closest('.scroll') && !e.closest('nav ul')).map(e => e.outerHTML.slice(0, 80))"
    )
    assert browser.ask(outside) == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_reader_chooses_light_or_dark(browser: Browser, pages: dict[str, Path], kind: str) -> None:
    def bright() -> list[float]:
        colours = browser.ask("[document.body, document.querySelector('main section')].map(e => getComputedStyle(e).backgroundColor)")
        return [sum(map(int, c[c.index("(") + 1 : -1].split(",")[:3])) / 765 for c in colours]

    browser.open(pages[kind])
    assert min(bright()) > 0.9
    browser.open(pages[kind], dark=True)
    assert max(bright()) < 0.2


SCREENS = [(kind, width, dark) for kind in KINDS if kind != "many_nodes" for width in (390, 1280) for dark in (False, True)]


@pytest.mark.parametrize(("kind", "width", "dark"), [*SCREENS, ("many_nodes", 1280, True)])
def test_no_rule_of_accessibility_is_broken(browser: Browser, pages: dict[str, Path], kind: str, width: int, dark: bool) -> None:
    browser.open(pages[kind], width, dark)
    opened(browser)
    found = judged(browser)
    assert [(v["id"], [n["target"] for n in v["nodes"]][:3]) for v in found["violations"]] == []
    assert len(found["passes"]) > 15


def judged(browser: Browser) -> dict[str, Any]:
    """All of axe's rules on the page as it is now."""
    axe = Axe(browser.driver)
    axe.inject()
    return axe.run()


def test_the_judge_of_accessibility_sees_what_is_wrong(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["failed_serve"])
    browser.driver.execute_script(
        "document.documentElement.lang = ''; document.querySelector('svg[role=img]').removeAttribute('aria-label');"
        "document.querySelector('.sentence').style.color = '#bbb'; document.querySelector('[tabindex]').setAttribute('tabindex', 5)"
    )
    assert {"html-has-lang", "svg-img-alt", "color-contrast", "tabindex"} <= {v["id"] for v in judged(browser)["violations"]}


def test_the_keyboard_reaches_the_report_and_every_table(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["failed_serve"], width=390)
    keys = ActionChains(browser.driver)

    def focus() -> dict[str, Any]:
        found: dict[str, Any] = browser.ask(
            "(e => ({tag: e.tagName, id: e.id, kind: e.className, text: e.innerText.slice(0, 30), line: getComputedStyle(e).outlineStyle,"
            " top: e.getBoundingClientRect().top}))(document.activeElement)"
        )
        return found

    keys.send_keys(Keys.TAB).perform()
    assert (focus()["text"], focus()["line"]) == ("Skip to the report", "solid")
    assert focus()["top"] >= 0
    keys.send_keys(Keys.ENTER).perform()
    assert focus()["id"] == "main"
    reached, seen = 0, []
    for _ in range(80):
        keys.send_keys(Keys.TAB).perform()
        now = focus()
        if now["tag"] == "BODY":
            break
        seen.append(now)
        reached += now["kind"] == "scroll"
    assert [s for s in seen if s["line"] == "none"] == []
    assert reached == browser.ask("[...document.querySelectorAll('.scroll')].filter(e => e.checkVisibility()).length") > 3


def test_a_wide_table_is_scrolled_and_a_folded_one_opened_by_keys(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["good_serve"], width=390)
    browser.driver.execute_script("document.querySelector('[aria-labelledby=c-stages]').focus()")
    ActionChains(browser.driver).send_keys(Keys.ARROW_RIGHT * 3).pause(0.4).perform()
    assert browser.ask("document.activeElement.scrollLeft") > 0
    browser.driver.execute_script("document.querySelector('#plan summary').focus()")
    ActionChains(browser.driver).send_keys(Keys.ENTER).perform()
    assert browser.ask("document.querySelector('#plan details').open") is True


def test_landmarks_and_headings_tell_the_story(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["failed_serve"])
    assert browser.ask("['header', 'nav', 'main', 'footer'].map(t => document.querySelectorAll('body > ' + t).length)") == [1, 1, 1, 1]
    assert browser.ask("document.documentElement.lang") == "en"
    levels = browser.ask("[...document.querySelectorAll('h1, h2, h3')].map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    sections = browser.ask("[...document.querySelectorAll('main > section > h2')].map(h => h.innerText.split(' ')[0])")
    assert sections == ["What", "Doctor’s", "Warnings", "Timeline", "Findings", "Changes", "Plan", "Nodes", "This"]
    assert browser.ask("document.title") == "test: serve: Not served"


def test_paper_gets_all_of_it_on_white(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["failed_serve"], width=794, dark=True, media="print")
    assert browser.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.ask("getComputedStyle(document.body).color") == "rgb(23, 33, 43)"
    assert browser.ask("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert browser.ask("document.querySelector('#findings details table').getBoundingClientRect().height") > 50
    assert browser.ask("document.documentElement.scrollWidth") <= 794
    cut = "e.checkVisibility() && e.scrollWidth > e.clientWidth + 1"
    sideways = f"[...document.querySelectorAll('.scroll')].filter(e => {cut}).map(e => e.outerHTML.slice(0, 90))"
    assert browser.ask(sideways) == []
    paper = browser.printed()
    assert paper.startswith(b"%PDF")
    assert 2 <= paper.count(b"/Type /Page\n") + paper.count(b"/Type /Page ") <= 12


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_can_be_taken_of_every_screen(browser: Browser, pages: dict[str, Path], tmp_path: Path, kind: str) -> None:
    folder = Path(os.environ.get("BRINGUP_SHOTS") or tmp_path)
    for name, width, dark in (("light", 1280, False), ("dark", 1280, True), ("narrow", 390, False)):
        browser.open(pages[kind], width, dark)
        browser.shot(folder / f"{kind}-{name}.png")
        assert (folder / f"{kind}-{name}.png").stat().st_size > 5000
