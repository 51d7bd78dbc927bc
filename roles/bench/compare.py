"""Figures beside figures: ratios, a verdict against the page, a regression against the last run. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from roles.bench import alike

TOLERANCE = 0.1
MORE = (
    "output_throughput", "total_token_throughput", "total_throughput", "input_throughput", "request_throughput", "request_goodput",
    "max_output_tokens_per_s", "prefix_hit_rate", "accuracy", "accept_length", "spec_decode_acceptance_rate",
    "spec_decode_acceptance_length",
)  # fmt: skip
"""Figures of which more is better; of times less is."""
JUDGED = (
    "output_throughput", "total_token_throughput", "total_throughput", "prefix_hit_rate", "accuracy",
    *(f"{way}_{what}_ms" for what in ("ttft", "tpot", "itl", "e2e_latency", "e2el") for way in ("mean", "median")),
)  # fmt: skip
"""What a verdict rests on: totals, means and medians. Tails and peaks of a few requests swing by themselves, counts are no quality."""


@dataclass(frozen=True)
class Beside:
    """Another result beside ours: figures always; ratios and a verdict only where like stands beside like."""

    name: str
    figures: Mapping[str, float]
    unlike: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    ratios: Mapping[str, float] = field(default_factory=dict)
    """Ours over theirs."""
    worse: tuple[str, ...] = ()
    """Judged figures beyond the tolerance."""

    @property
    def verdict(self) -> str:
        """Empty where there is none."""
        if self.unlike or not any(k in JUDGED for k in self.ratios):
            return ""
        return "short" if self.worse else "as good"

    def data(self) -> dict[str, Any]:
        return {
            "name": self.name, "figures": dict(self.figures), "unlike": list(self.unlike), "remarks": list(self.remarks),
            "ratios": {k: round(v, 4) for k, v in self.ratios.items()} if not self.unlike else None,
            "worse": list(self.worse), "verdict": self.verdict or None,
        }  # fmt: skip


def page(ours: Mapping[str, float], conditions: Mapping[str, Any], reference: Mapping[str, Any], tolerance: float) -> Beside:
    """The page's own result beside ours."""
    unlike = tuple(alike.unlike_page(conditions, reference))
    remarks = tuple(alike.remarks(conditions, {"version": reference["setup"]["version"]}, "on the page"))
    return _beside(reference["source"], ours, reference["metrics"], unlike, remarks, tolerance)


def before(name: str, ours: Mapping[str, float], conditions: Mapping[str, Any], past: Mapping[str, Any], tolerance: float) -> Beside:
    """An earlier result of this cluster beside ours; `past` is a point of its bench.json."""
    unlike = tuple(alike.unlike_before(conditions, past["conditions"]))
    remarks = tuple(alike.remarks(conditions, past["conditions"], "then"))
    return _beside(name, ours, past["figures"], unlike, remarks, tolerance)


def _beside(
    name: str, ours: Mapping[str, float], theirs: Mapping[str, float], unlike: tuple[str, ...], remarks: tuple[str, ...], tolerance: float
) -> Beside:
    if unlike:
        return Beside(name, theirs, unlike, remarks)
    found = ratios(ours, theirs)
    return Beside(name, theirs, (), remarks, found, tuple(worse(found, tolerance)))


def ratios(ours: Mapping[str, float], theirs: Mapping[str, float]) -> dict[str, float]:
    """Ours over theirs, for figures that have a better and a worse side."""
    return {k: ours[k] / v for k, v in theirs.items() if k in ours and v > 0 and (k in MORE or time(k))}


def worse(found: Mapping[str, float], tolerance: float) -> Iterable[str]:
    """Judged figures that are worse by more than the tolerance."""
    for name, ratio in found.items():
        if name in JUDGED and (ratio > 1 + tolerance if time(name) else ratio < 1 - tolerance):
            yield name


def time(name: str) -> bool:
    return name.endswith("_ms") or name in ("duration", "latency")
