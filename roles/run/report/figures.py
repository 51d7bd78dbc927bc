"""Benchmarks as tables and curves, beside the page's results and the last run's. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from roles.run.report.words import listed, number

TIMES = {
    "ttft": "Time to first token", "tpot": "Time per output token", "itl": "Time between tokens", "e2el": "Whole request",
    "e2e_latency": "Whole request",
}  # fmt: skip
WAYS = {"mean": "mean", "median": "median", "p99": "99th percentile"}
LABELS = {
    "output_throughput": "Output tokens per second",
    "total_token_throughput": "All tokens per second",
    "total_throughput": "All tokens per second",
    "request_throughput": "Requests per second",
    "request_goodput": "Good requests per second",
    **{f"{way}_{what}_ms": f"{word}, {WAYS[way]} (ms)" for what, word in TIMES.items() for way in WAYS},
    "prefix_hit_rate": "Share of input from the prefix cache",
    "accept_length": "Accepted draft tokens",
    "accuracy": "Accuracy",
    "latency": "Latency (s)",
    "duration": "Duration (s)",
}
SIDES = {"page": "vendor's page", "before": "run before"}
PLOTS = (
    ("concurrency", "output_throughput", "requests at the same time", "output tokens/s", "Throughput by load"),
    ("output_throughput", "mean_ttft_ms", "output tokens/s", "ms to first token, mean", "Time to first token by throughput"),
    ("output_throughput", "mean_tpot_ms", "output tokens/s", "ms per output token, mean", "Time per token by throughput"),
)
COLUMNS = {
    "output_throughput": "Output tokens per second", "mean_ttft_ms": "To first token, mean (ms)", "p99_ttft_ms": "To first token, p99 (ms)",
    "mean_tpot_ms": "Per output token, mean (ms)",
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """Ours over theirs; `worse` is beyond the tolerance."""

    figure: str
    ratio: str
    worse: bool


@dataclass(frozen=True)
class Verdict:
    """One side in words."""

    side: str
    name: str
    tone: str
    said: str


@dataclass(frozen=True)
class Table:
    """One benchmark."""

    title: str
    replica: str
    work: str
    note: str
    why: str
    sides: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[Cell, ...]], ...]
    verdicts: tuple[Verdict, ...]
    remarks: tuple[str, ...]


def tables(bench: Mapping[str, Any]) -> list[Table]:
    tolerance = float(bench.get("tolerance") or 0)
    return [_table(p, tolerance) for p in bench.get("points") or ()]


def _table(p: Mapping[str, Any], tolerance: float) -> Table:
    sides = [s for s in SIDES if p.get(s)]
    figures: Mapping[str, Any] = p.get("figures") or {}
    known = [k for k in LABELS if k in figures]
    rows = tuple((LABELS[k], number(figures[k]), tuple(_cell(p[s], k) for s in sides)) for k in known)
    verdicts = tuple(_verdict(SIDES[s], p[s], tolerance) for s in sides)
    return Table(
        str(p["title"]), str(p["replica"]), _work(p), str(p.get("note") or ""), "" if p.get("ok") else str(p.get("why")),
        tuple(SIDES[s] for s in sides), rows, verdicts, tuple(map(str, p.get("remarks") or ())),
    )  # fmt: skip


def _cell(side: Mapping[str, Any], name: str) -> Cell:
    ratio = (side.get("ratios") or {}).get(name)
    figure = (side.get("figures") or {}).get(name)
    return Cell(number(figure), "" if ratio is None else f"{ratio:.2f} ×", name in (side.get("worse") or ()))


def _work(p: Mapping[str, Any]) -> str:
    c: Mapping[str, Any] = p.get("conditions") or {}
    parts = [str(p.get("tool"))]
    parts += [f"{number(c['input'])} tokens in, {number(c['output'])} out"] if c.get("input") else []
    parts += [f"{c['concurrency']} at the same time"] if c.get("concurrency") else []
    done, failed = p.get("completed"), p.get("failed")
    if done is not None:
        parts.append(f"{done} of {done + (failed or 0)} requests answered")
    return "; ".join(parts)


def _verdict(side: str, beside: Mapping[str, Any], tolerance: float) -> Verdict:
    """Nothing is said about what is not alike, but why it is not."""
    name, remarks = str(beside.get("name", "")), "".join(f"; {r}" for r in beside.get("remarks") or ())
    if beside.get("unlike"):
        return Verdict(side, name, "plain", f"Not compared: {'; '.join(beside['unlike'])}.")
    if not beside.get("verdict"):
        return Verdict(side, name, "plain", f"No figure of it can be judged{remarks}.")
    if beside.get("worse"):
        figures = listed(f"{LABELS.get(k, k)} {beside['ratios'][k]:.2f} ×" for k in beside["worse"])
        return Verdict(side, name, "warn", f"Worse by more than {tolerance:.0%}: {figures}{remarks}.")
    return Verdict(side, name, "good", f"As good, within {tolerance:.0%}{remarks}.")


@dataclass(frozen=True)
class Plot:
    """One plot's lines, and what it says in words."""

    title: str
    x: str
    y: str
    lines: tuple[tuple[str, tuple[tuple[float, float, str], ...]], ...]
    said: str


@dataclass(frozen=True)
class Curve:
    """Latency and throughput by load."""

    title: str
    plots: tuple[Plot, ...]
    sides: tuple[str, ...]
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def curves(bench: Mapping[str, Any]) -> list[Curve]:
    return [_curve(c) for c in bench.get("curves") or ()]


def _curve(c: Mapping[str, Any]) -> Curve:
    points: Sequence[Mapping[str, Any]] = c["points"]
    sides = ["here", *(s for s in SIDES if any(p.get(s) for p in points))]
    sizes = f", {number(c['input'])} tokens in, {number(c['output'])} out" if c.get("input") else ""
    names = [k for k in COLUMNS if any(p.get(k) is not None for p in points)]
    rows = tuple(
        (str(p["concurrency"]), number(p.get("prompts")), *(number(_of(p, s).get(k)) for k in names for s in sides)) for p in points
    )
    plots = tuple(plot for spec in PLOTS if (plot := _plot(points, sides, *spec)))
    title = f"{listed(map(str, c['scenarios']))} on replica {c['replica']}{sizes}"
    return Curve(title, plots, tuple(sides), tuple(COLUMNS[k] for k in names), rows)


def _of(point: Mapping[str, Any], side: str) -> Mapping[str, Any]:
    return point if side == "here" else point.get(side) or {}


def _plot(points: Sequence[Mapping[str, Any]], sides: Sequence[str], x: str, y: str, x_title: str, y_title: str, title: str) -> Plot | None:
    """Two points of ours at least make it worth a look."""
    lines = [(side, tuple(_places(points, side, x, y))) for side in sides]
    if len(lines[0][1]) < 2:
        return None
    said = "; ".join(f"{SIDES.get(side, side)}: " + ", ".join(f"{number(b)} at {n}" for _, b, n in line) for side, line in lines if line)
    return Plot(title, x_title, y_title, tuple(line for line in lines if line[1]), f"{y_title} by requests at the same time. {said}.")


def _places(points: Sequence[Mapping[str, Any]], side: str, x: str, y: str) -> Iterator[tuple[float, float, str]]:
    for p in points:
        figures = _of(p, side)
        a, b = p["concurrency"] if x == "concurrency" else figures.get(x), figures.get(y)
        if a is not None and b is not None:
            yield float(a), float(b), str(p["concurrency"])
