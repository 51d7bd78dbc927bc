"""Plots, by pygal, as SVG inside the page: its colours come from the page's style, it brings no script and asks for nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import pygal
from pygal.etree import etree
from pygal.style import Style

from roles.run.report.timeline import PHASES, Bar, Timeline
from roles.run.report.words import clock, duration, number, short

WIDTH, NAMES = 1000, 30
LOWER = 0.42
"""How far below the others a thin line runs, in slots."""
LETTER = 6.4
"""How wide a letter of a bar's label is, at most."""
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
DIGITS = re.compile(r"(\d+\.\d)\d+")
Element = ElementTree.Element
etree.to_etree()  # pygal takes lxml where it finds it; one tree is enough to know
PLAIN: dict[str, Any] = {"js": [], "css": [], "classes": [], "show_legend": False, "margin": 4, "spacing": 8, "explicit_size": False}


@dataclass(frozen=True)
class Line:
    """One series of a plot: points with what stands beside each; how it looks is a class of the page's style."""

    look: str
    points: Sequence[tuple[float, float, str]]


def gantt(line: Timeline, title: str) -> str:
    """A thick line for each stage, a thin one below for what was waited for; one series for each shade."""
    shades = [s for s in PHASES if any(b.span.shade == s for b in line.bars)]
    series = {s: [b for b in line.bars if b.span.shade == s] for s in shades}
    tall = 30 if line.slots <= 8 else 22 if line.slots <= 24 else 17 if line.slots <= 120 else 13
    top = line.slots - 1

    def height(bar: Bar) -> float:
        return top - bar.slot - (LOWER if bar.span.phase == "wait" else 0.0)

    chart = pygal.XY(
        width=WIDTH, height=line.slots * tall + 40, range=(-0.55, top + 0.5), xrange=(0, line.seconds),
        x_labels=ticks(line.seconds), x_value_formatter=clock, value_formatter=lambda _: "",
        y_labels=_names(line.rows, top), show_y_guides=False, show_x_guides=True, show_dots=False, allow_interruptions=True,
        print_labels=True, print_values=False, style=Style(label_font_size=12, value_font_size=0), **PLAIN,
    )  # fmt: skip
    for shade in shades:
        chart.add(shade, [p for b in series[shade] for p in ((b.begin, height(b)), (b.end, height(b)), (None, None))])
    labels = [{"value": ((b.begin + b.end) / 2, top - b.slot), "label": b.label} for b in line.bars if _fits(b, line.seconds)]
    if labels and tall > 13:
        chart.add("labels", labels, stroke=False, show_dots=True)

    def told(root: Element) -> None:
        for i, shade in enumerate(shades):
            for path, bar in zip(_drawn(root, i), series[shade], strict=True):
                ElementTree.SubElement(path, "title").text = _said(bar)
        for group in [g for g in root.iter("g") if f"serie-{len(shades)}" in _classes(g)]:
            for dots in group.findall("g"):
                group.remove(dots)  # a label has a place and nothing to point at

    return _svg(chart, [f"bar-{s}" for s in shades] + ["bar-label"], f"gantt tall-{tall}", title, told)


def _names(rows: Sequence[tuple[str, int]], top: int) -> list[dict[str, Any]]:
    """A row's name at its first slot."""
    labels, slot = [], 0
    for name, count in rows:
        labels.append({"label": short(name, NAMES), "value": top - slot})
        slot += count
    return labels


def _fits(bar: Bar, whole: float) -> bool:
    return (bar.end - bar.begin) / whole * WIDTH * 0.78 > len(bar.label) * LETTER + 6 and bar.span.phase != "wait"


def _said(bar: Bar) -> str:
    end = {False: ", failed", None: ", not ended", True: ""}[bar.span.ok]
    return f"{bar.span.node}: {bar.span.stage}: {duration(bar.span.seconds)} from {clock(bar.span.begin)} on{end}"


def _drawn(root: Element, index: int) -> list[Element]:
    return [p for g in root.iter("g") if f"serie-{index}" in _classes(g) for p in g.findall("path")]


def curve(lines: Sequence[Line], x: str, y: str, title: str) -> str:
    """Lines with a dot for each point, from zero on, so that twice as high is twice as much."""
    xs, ys = [p[0] for one in lines for p in one.points], [p[1] for one in lines for p in one.points]
    chart = pygal.XY(
        width=440, height=300, x_title=x, y_title=y, xrange=(0, max(xs) * 1.12 or 1), range=(0, max(ys) * 1.12 or 1),
        x_value_formatter=_axis, value_formatter=_axis, print_labels=True, print_values=False, show_x_guides=True, show_y_guides=True,
        max_scale=6, dots_size=4, style=Style(label_font_size=12, title_font_size=13, value_font_size=0), **PLAIN,
    )  # fmt: skip
    chart.x_labels = steps(max(xs) * 1.12)
    for one in lines:
        named = _apart(one.points, max(xs), max(ys)) if one is lines[0] else set()
        chart.add(one.look, [{"value": (a, b), "label": said if (a, b) in named else ""} for a, b, said in one.points])

    def told(root: Element) -> None:
        for i, one in enumerate(lines):
            dots = [c for g in root.iter("g") if f"serie-{i}" in _classes(g) for c in g.iter("circle")]
            for dot, (a, b, said) in zip(dots, one.points, strict=True):
                ElementTree.SubElement(dot, "title").text = f"{one.look}, {said}: {number(a)} {x}, {number(b)} {y}"

    return _svg(chart, [f"line-{one.look}" for one in lines], "curve", title, told)


def _apart(points: Sequence[tuple[float, float, str]], wide: float, high: float) -> set[tuple[float, float]]:
    """Points whose labels do not hide each other, from the last one on."""
    kept: list[tuple[float, float]] = []
    for a, b, _ in reversed(points):
        if all(abs(a - x) > 0.07 * wide or abs(b - y) > 0.07 * high for x, y in kept):
            kept.append((a, b))
    return set(kept)


def ticks(seconds: float) -> list[float]:
    """Round places on a time axis, ten at most."""
    if seconds < 2:
        return [0, seconds]
    step = next((s for s in STEPS if seconds / s <= 10), STEPS[-1])
    return [float(s) for s in range(0, int(seconds) + 1, step)]


def steps(most: float) -> list[float]:
    """Round places on an axis from zero, five or so."""
    size = 10.0 ** (len(str(int(most))) - 1) if most >= 1 else 0.1
    step = next(size * m for m in (0.1, 0.2, 0.5, 1, 2, 5) if most / (size * m) <= 6)
    return [step * i for i in range(int(most / step) + 1)]


def _axis(value: float) -> str:
    return f"{value:,.0f}".replace(",", "\u202f") if value >= 10 or value == int(value) else f"{value:g}"


def _classes(node: Element) -> list[str]:
    return (node.get("class") or "").split()


def _svg(chart: Any, looks: Sequence[str], kind: str, title: str, told: Callable[[Element], None]) -> str:
    """What pygal drew, without its scripts, its style and its texts for a script; with classes of ours and a name for readers."""
    root: Element = chart.render_tree()
    for parent in list(root.iter()):
        for child in list(parent):
            if not isinstance(child.tag, str) or child.tag in ("defs", "desc", "title") or "tooltip-overlay" in _classes(child):
                parent.remove(child)
    told(root)
    for node in root.iter():
        classes = _classes(node)
        serie = next((c for c in classes if c.startswith("serie-")), "")
        if serie:
            node.set("class", f"series {looks[int(serie[6:])]}")
        for key in ("d", "x", "y", "cx", "cy", "width", "height", "transform"):
            if key in node.attrib and node is not root:
                node.set(key, DIGITS.sub(r"\1", node.get(key, "")))
    for key in ("id", "xmlns", "class"):
        root.attrib.pop(key, None)
    root.set("class", f"plot-{kind}")
    root.set("role", "img")
    root.set("aria-label", title)
    return ElementTree.tostring(root, encoding="unicode")
