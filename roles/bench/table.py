"""Results as people read them: figures in columns, verdicts in sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from roles.run.terminal import Rows

FIRST = (
    "output_throughput", "total_token_throughput", "total_throughput", "request_throughput", "mean_ttft_ms", "median_ttft_ms",
    "p99_ttft_ms", "mean_tpot_ms", "median_tpot_ms", "p99_tpot_ms", "mean_itl_ms", "prefix_hit_rate", "accuracy", "latency", "duration",
)  # fmt: skip
CURVE = {
    "concurrency": "at once", "prompts": "requests", "request_throughput": "req/s", "output_throughput": "out tok/s",
    "total_token_throughput": "all tok/s", "mean_ttft_ms": "TTFT ms", "p99_ttft_ms": "p99 TTFT", "mean_tpot_ms": "TPOT ms",
    "tokens_per_s_of_one_request": "tok/s each",
}  # fmt: skip


def point(p: Mapping[str, Any], tolerance: float) -> Iterator[str | Rows]:
    """One benchmark's figures, with the page's and the last run's beside them."""
    yield f"replica {p['replica']}  {p['title']}  ({_work(p)})"
    if p["note"]:
        yield f"  note: {p['note']}"
    if p["figures"]:
        yield _figures(p)
    for remark in p["remarks"]:
        yield f"  {remark}"
    if not p["ok"]:
        yield f"  FAILED  {p['why']}"
        return
    for side, word in (("page", "the page"), ("before", "the run before")):
        if p[side]:
            yield f"  {word}, {p[side]['name']}: {said(p[side], tolerance)}"


def said(beside: Mapping[str, Any], tolerance: float) -> str:
    """The verdict in words."""
    remarks = f" ({'; '.join(beside['remarks'])})" if beside["remarks"] else ""
    if beside["unlike"]:
        return f"not compared: {'; '.join(beside['unlike'])}"
    if not beside["verdict"]:
        return f"no figure of it can be judged{remarks}"
    if beside["worse"]:
        figures = ", ".join(f"{k} {beside['ratios'][k]:.2f} x" for k in beside["worse"])
        return f"WORSE by more than {tolerance:.0%}: {figures}{remarks}"
    return f"as good, within {tolerance:.0%}{remarks}"


def _work(p: Mapping[str, Any]) -> str:
    c = p["conditions"]
    parts = [p["tool"]]
    parts += [f"{c['input']} tokens in, {c['output']} out"] if c["input"] else []
    parts += [f"{c['prompts']} requests"] if c["prompts"] else []
    parts += [f"{c['concurrency']} at a time"] if c["concurrency"] else []
    return ", ".join(parts)


def _figures(p: Mapping[str, Any]) -> Rows:
    sides = [(word, p[key]) for key, word in (("page", "page"), ("before", "before")) if p[key]]
    head = ("", "here", *(cell for word, _ in sides for cell in (word, "ratio")))
    page = p["page"]["figures"] if p["page"] else {}
    names = [k for k in FIRST if k in p["figures"]] + sorted(k for k in page if k in p["figures"] and k not in FIRST and not _count(k))
    rows = []
    for name in names:
        cells: list[str | tuple[str, str]] = [name, number(p["figures"][name])]
        for _, side in sides:
            ratio = (side["ratios"] or {}).get(name)
            told = "" if ratio is None else f"{ratio:.2f}"
            cells += [number(side["figures"].get(name)), (f"{told}!", "red") if name in side["worse"] else told]
        rows.append(cells)
    return Rows(rows, head, right=range(1, len(head)), indent=2)


def _count(name: str) -> bool:
    return name in ("completed", "failed") or name.endswith(("_tokens", "_tokens_retokenized"))


def curve(c: Mapping[str, Any]) -> Iterator[str | Rows]:
    """Latency and throughput by the number of requests at the same time."""
    sizes = f", {c['input']} tokens in, {c['output']} out" if c["input"] else ""
    yield f"replica {c['replica']}  {', '.join(c['scenarios'])}: latency and throughput{sizes}"
    yield Rows([[number(p[k]) for k in CURVE] for p in c["points"]], tuple(CURVE.values()), right=range(len(CURVE)), indent=2)


def number(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.2f}"
