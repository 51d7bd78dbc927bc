"""The page as a whole: nothing from a node is ever markup, whatever is missing, broken or large; and a run is never the worse for it."""

from __future__ import annotations

import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from roles.run import about, key
from roles.run.folder import Folder
from roles.run.report import __main__ as again
from roles.run.report import chart, page
from roles.run.report.read import read
from roles.run.run import Run
from tests.unit import report_runs as runs
from tests.unit.sources import plan

KINDS = [runs.good_serve, runs.failed_serve, runs.bench, runs.status, runs.many_nodes]
PLANTED = "<script>planted()</script><img src=x onerror=planted()>\"'><svg onload=planted()>&lt;{{ 7*7 }}</style></title><!--"
EXACT = ("start", "end", "began", "ended", "level", "verb", "runtime", "time", "event", "tool", "what", "worse", "cluster", "recipe")
ALONE = {"br", "hr", "img", "input", "link", "meta", "circle", "path", "rect"}


class Tags(HTMLParser):
    """All elements with their attributes, all text, and what is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ALONE or tag in ("path", "circle", "rect"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"{tag} at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def ids(self) -> list[str]:
        return [str(a["id"]) for _, a in self.found if "id" in a]


def planted(value: Any, key: str = "") -> Any:
    """The same data with markup in every text that has no fixed words."""
    if isinstance(value, dict):
        return {k: planted(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [planted(v, key) for v in value]
    return value + PLANTED if isinstance(value, str) and key not in EXACT else value


def plant(folder: Path) -> None:
    for path in folder.glob("*.json"):
        path.write_text(json.dumps(planted(json.loads(path.read_text()))))
    events = [planted(json.loads(line)) for line in (folder / "events.jsonl").read_text().splitlines()]
    (folder / "events.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_whole_and_asks_for_nothing(tmp_path: Path, kind: Any) -> None:
    tags = Tags(page.write(kind(tmp_path)).read_text())
    assert (tags.wrong, tags.open) == ([], [])
    assert len(set(tags.ids())) == len(tags.ids())
    assert not {t for t, _ in tags.found} & {"script", "img", "iframe", "object", "embed", "form", "base", "audio", "video"}
    for _, attributes in tags.found:
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith(("#", "data:,"))
        assert not [a for a in attributes if a.startswith("on")]
    targets = {str(a["href"])[1:] for t, a in tags.found if t == "a"} | {
        str(a["aria-labelledby"]) for _, a in tags.found if "aria-labelledby" in a
    }
    assert targets <= set(tags.ids())


@pytest.mark.parametrize("kind", KINDS)
def test_markup_from_a_node_is_text(tmp_path: Path, kind: Any) -> None:
    folder = kind(tmp_path)
    clean = Tags(page.write(folder).read_text())
    plant(folder)
    tags = Tags(page.write(folder).read_text())
    assert (tags.wrong, tags.open) == ([], [])
    assert {t for t, _ in tags.found} <= {t for t, _ in clean.found}
    assert not [a for _, attributes in tags.found for a in attributes if a.startswith("on")]
    assert any(PLANTED in text for text in tags.words)
    assert not any("49" in text and "{{" not in text and "planted" in text for text in tags.words)


def test_plots_hold_the_bars_and_points_that_the_tables_have(tmp_path: Path) -> None:
    tags = Tags(page.write(runs.bench(tmp_path)).read_text())
    plots = [a for t, a in tags.found if t == "svg" and a.get("role") == "img"]
    assert len(plots) == 1 + 3
    assert all(a["aria-label"] for a in plots)
    assert sum(t == "circle" for t, _ in tags.found) == 3 * 3 * 5 + 3


def test_every_table_has_a_caption_and_every_head_a_scope(tmp_path: Path) -> None:
    for kind in KINDS:
        tags = Tags(page.write(kind(tmp_path / kind.__name__)).read_text())
        names = [t for t, _ in tags.found]
        assert names.count("table") == names.count("caption") > 0
        assert all("scope" in a for t, a in tags.found if t == "th")


def test_a_page_is_small_and_quickly_made(tmp_path: Path) -> None:
    sizes, times = {}, {}
    for kind in KINDS:
        folder = kind(tmp_path / kind.__name__)
        began = time.process_time()
        sizes[kind.__name__] = page.write(folder).stat().st_size
        times[kind.__name__] = time.process_time() - began
    assert sizes["good_serve"] < 80_000
    assert sizes["many_nodes"] < 500_000
    assert max(times.values()) < 2.0, times  # a fifth of that is usual


@pytest.mark.parametrize("missing", ["plan.json", "events.jsonl", "bench.json", "doctor.r0.json"])
@pytest.mark.parametrize("kind", [runs.failed_serve, runs.bench])
def test_what_is_missing_is_left_out(tmp_path: Path, kind: Any, missing: str) -> None:
    folder = kind(tmp_path)
    (folder / missing).unlink(missing_ok=True)
    assert Tags(page.write(folder).read_text()).wrong == []


@pytest.mark.parametrize("name", ["plan.json", "bench.json", "doctor.r0.json"])
def test_what_cannot_be_read_is_said(tmp_path: Path, name: str) -> None:
    folder = runs.failed_serve(tmp_path)
    (folder / name).write_text('{"cut')
    text = page.write(folder).read_text()
    assert f"<code>{name}</code> of this folder cannot be read" in text


def test_a_report_of_almost_nothing_is_a_page(tmp_path: Path) -> None:
    folder = runs.put(tmp_path, "20261120T000000Z-check", {"report.json": {"cluster": "a2", "verb": "check", "exit": 0}})
    assert "Ready" in page.write(folder).read_text()


def test_a_plot_that_cannot_be_drawn_leaves_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chart.pygal, "XY", lambda **_: 1 / 0)
    text = page.write(runs.good_serve(tmp_path)).read_text()
    assert "The plot could not be drawn (ZeroDivisionError)" in text
    assert "Stages in the order they began" in text


def test_no_secret_reaches_the_page(tmp_path: Path) -> None:
    folder = runs.failed_serve(tmp_path)
    told = json.loads((folder / "report.json").read_text())
    told["failures"][0]["why"] = "refused: Bearer sk-0123456789"
    (folder / "report.json").write_text(json.dumps(told))
    text = page.write(folder, ["sk-0123456789"]).read_text()
    assert "sk-0123456789" not in text
    assert "refused: Bearer ***" in text


def test_the_page_can_be_made_again_from_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = runs.good_serve(tmp_path)
    assert again.main([str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder / 'report.html'}\n"
    assert again.main([str(tmp_path)]) == 1
    assert "no page can be made from it: FileNotFoundError" in capsys.readouterr().err
    assert again.main([]) == 2


def ended(tmp_path: Path, code: int = 0, **data: Any) -> tuple[Run, Path]:
    """A run of no nodes at all, begun and closed."""
    made = plan(**data)
    run = Run("check", made, {}, None, {}, {}, Folder(made.cluster, "check", str(tmp_path)))  # type: ignore[arg-type]
    run.folder.plan(made.data())
    run.close(code)
    return run, run.folder.path


def test_a_run_that_ends_leaves_its_page_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, path = ended(tmp_path, 1)
    assert "Not reached: 10.0.0.11 and 10.0.0.12." in (path / "report.html").read_text()
    assert capsys.readouterr().err == f"report: {path / 'report.html'}\n"
    assert json.loads((path / "plan.json").read_text())["hash"] == plan().hash
    assert not list(path.glob("*.part"))


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), ValueError("x"), RecursionError(), MemoryError()])
def test_a_fault_in_making_the_page_is_one_line_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fault: Exception
) -> None:
    def broken(*_: Any) -> Path:
        raise fault

    monkeypatch.setattr(page, "write", broken)
    _, path = ended(tmp_path)
    said = capsys.readouterr().err
    assert said.startswith("report.html could not be made, report.json has all of it: ")
    assert said.count("\n") == 1
    assert json.loads((path / "report.json").read_text())["ok"] is True


def test_a_second_close_writes_nothing(tmp_path: Path) -> None:
    run, path = ended(tmp_path)
    (path / "report.html").unlink()
    run.close(1)
    assert not (path / "report.html").exists()


def test_the_clusters_key_is_taken_out_wherever_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("a-key-of-the-site\n")
    monkeypatch.setenv("HUB", "hf_0123456789")
    made = plan(auth=f"file:{tmp_path / 'key'}", hub_token="env:HUB")
    assert about.secrets(made) == ["a-key-of-the-site", "hf_0123456789"]
    assert about.secrets(plan(auth="off")) == []
    run = Run("check", made, {}, None, {}, {}, Folder(made.cluster, "check", str(tmp_path / "runs")))  # type: ignore[arg-type]
    said = "said a-key-of-the-site and hf_0123456789"
    run.fail("10.0.0.11", "look", said)
    run.folder.event("progress", text=said)
    for suffix in ("log", "engine.log"):
        run.folder.keep("10.0.0.11", suffix, f"{said}\n")
    run.folder.keep("10.0.0.11", "probe", f"{said}\n", fresh=True)
    run.facts["report.told"] = said
    run.close(1)
    files = {path.name: path.read_text() for path in run.folder.path.rglob("*") if path.is_file()}
    assert set(files) == {"report.html", "report.json", "events.jsonl", "10.0.0.11.log", "10.0.0.11.engine.log", "10.0.0.11.probe"}
    for name, text in files.items():
        assert "said *** and ***" in text, name
        assert "a-key-of" not in text, name
        assert "hf_0123" not in text, name


def test_a_key_made_on_the_way_is_taken_out_from_then_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    made = plan()
    run = Run("serve", made, {}, None, {}, {}, Folder(made.cluster, "serve", str(tmp_path / "runs")))  # type: ignore[arg-type]
    assert run.masked("Bearing a-new-key") == "Bearing a-new-key"
    key.keep(key.local_file(made.cluster), "a-new-key")
    assert run.masked("Bearing a-new-key") == "Bearing ***"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["/x/bin/pyinfra", "a b.py", "deploy/serve.py", "-y"], "pyinfra 'a b.py' deploy/serve.py -y"),
        (["pyinfra", "--ssh-password", "hunter2", "-v"], "pyinfra --ssh-password '***' -v"),
        (["pyinfra", "--ssh-password=hunter2"], "pyinfra '--ssh-password=***'"),
        (["pyinfra", "--use-sudo-password", "i.py"], "pyinfra --use-sudo-password i.py"),
        (["pyinfra", "--ssh-password-prompt", "i.py"], "pyinfra --ssh-password-prompt i.py"),
        (["pyinfra", "--data", "hub_token=env:HUB"], "pyinfra --data hub_token=env:HUB"),
        (["pyinfra", "--data", "env.MY_TOKEN=abc"], "pyinfra --data 'env.MY_TOKEN=***'"),
        (["pyinfra", "--data", "ssh_password=abc"], "pyinfra --data 'ssh_password=***'"),
        (["pyinfra", "--data", "proxy=http://me:pw@host:1"], "pyinfra --data 'proxy=http://***@host:1'"),
        ([], ""),
    ],
)
def test_the_command_is_shown_as_typed_without_its_passwords(argv: list[str], said: str) -> None:
    assert about.typed(argv) == said


def test_old_records_without_a_time_are_read(tmp_path: Path) -> None:
    folder = runs.good_serve(tmp_path)
    told = {k: v for k, v in json.loads((folder / "report.json").read_text()).items() if k not in ("began", "ended", "versions", "command")}
    (folder / "report.json").write_text(json.dumps(told))
    assert "began" not in read(folder).report
    assert "not known" in page.write(folder).read_text()


def light(colour: str) -> float:
    """Relative luminance, as WCAG has it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_bars_and_lines_are_told_from_the_ground_and_texts_on_them_are_read(scheme: int) -> None:
    blocks = re.findall(r":root \{(.*?)\}", (page.HERE / "style.css").read_text(), re.DOTALL)
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", blocks[scheme]))
    for name in ("look", "prepare", "start", "engine", "proofed", "bench", "failed", "cut"):
        assert contrast(colours[name], colours["card"]) >= 3, name
        assert contrast(colours[name], colours["on-bar"]) >= 4.5, name
    for name in ("here", "page-line", "before-line", "soft"):
        assert contrast(colours[name], colours["card"]) >= 4.5, name
