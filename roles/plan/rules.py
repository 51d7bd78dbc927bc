"""Combinations that cannot work are refused with the reason; doubtful ones warn. The caller names the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from packaging.version import Version

from roles.plan.keys import ClusterKeys
from roles.plan.recipe import Engine, Hardware, Model, Recipe
from roles.plan.settings import Settings


@dataclass(frozen=True)
class Layout:
    """The parallel sizes the final flags ask for."""

    tp: int = 1
    dp: int = 1
    dp_local: int = 1
    pcp: int = 1
    pp: int = 1
    ep: bool = False

    @property
    def devices(self) -> int:
        """Accelerators of one node."""
        return self.tp * self.pcp * self.pp * self.dp_local


@dataclass(frozen=True)
class Case:
    """What the rules look at."""

    recipe_name: str
    recipe: Recipe
    engine: Engine
    hardware: Hardware
    model: Model
    keys: ClusterKeys
    nodes: int
    layout: Layout
    settings: Settings
    version: Version


def speculative(settings: Settings, engine: Engine) -> dict[str, Any]:
    """The speculative-decoding config, however it was written."""
    value = settings.value(engine.layout.get("speculative"))
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = {}
    return value if isinstance(value, dict) else {}


def refused(case: Case) -> Iterator[str]:
    """Why this cannot work; nothing when it can."""
    yield from _model(case)
    yield from _layout(case)
    yield from _memory(case)
    if "eagle" in str(speculative(case.settings, case.engine).get("method", "")) and case.model.format == "w8a8c8":
        yield (
            f'"model" is {case.model.name} (int8 KV cache) and Eagle3 speculation is on, which vLLM-Ascend does not support '
            "together; remove the draft, or take the w8a8 checkpoint"
        )
    if case.keys.runtime == "venv" and case.recipe.venv is None:
        yield f'"runtime" is venv, expected docker: recipe {case.recipe_name} runs in a container only'
    if case.keys.runtime == "docker" and case.recipe.image is None:
        yield f'"runtime" is docker, expected venv: recipe {case.recipe_name} runs without a container only'


def _model(case: Case) -> Iterator[str]:
    m, r = case.model, case.recipe
    if m.format in r.formats:
        return
    reason = r.refuse.get(m.format, f"it takes weights of format {', '.join(r.formats)}")
    yield f'"model" is {m.name} ({m.format}), which recipe {case.recipe_name} cannot serve: {reason}'


def _layout(case: Case) -> Iterator[str]:
    lay, hw = case.layout, case.hardware
    if hw.devices and lay.devices > hw.devices:
        yield (
            f'"flags" ask for {lay.devices} accelerators a node (tp {lay.tp} x dp {lay.dp_local} x context {lay.pcp} x pipeline {lay.pp}), '
            f"expected at most the {hw.devices} of {hw.title}"
        )
    if case.keys.devices is not None and len(case.keys.devices) != lay.devices:
        yield f'"devices" names {len(case.keys.devices)} accelerators, expected the {lay.devices} the layout needs'
    elif case.keys.devices is not None and hw.devices and max(case.keys.devices) >= hw.devices:
        yield f'"devices" names {max(case.keys.devices)}, expected numbers from 0 to {hw.devices - 1} on {hw.title}'
    if lay.dp != lay.dp_local * case.nodes:
        yield (
            f'"flags" set data parallel {lay.dp} with {lay.dp_local} on each of {case.nodes} nodes, '
            f"expected {lay.dp_local * case.nodes}; remove the override, or change the number of nodes"
        )
    if case.recipe.engine == "vllm" and hw.vendor in ("nvidia", "amd") and lay.tp >= 8 and not lay.ep:
        yield (
            f'"flags" set tensor-parallel-size {lay.tp} without expert parallel, which vLLM does not support for MiniMax-M2 '
            "(the fp8 blocks do not divide); use recipe vllm/nvidia-dp8-ep, or tensor-parallel-size 4"
        )


def _memory(case: Case) -> Iterator[str]:
    hw, m, lay = case.hardware, case.model, case.layout
    size = m.bf16_gb if hw.loaded == "fp8-to-bf16" and m.format == "fp8" else m.size_gb
    total = lay.devices * case.nodes
    if not (hw.memory_gib and size and total) or m.format not in case.recipe.formats:
        return
    each = size * 1e9 / total / (1 << 30)
    if each > 0.9 * hw.memory_gib:
        loaded = " dequantised to bf16" if size == m.bf16_gb else ""
        yield (
            f'"model" is {m.name}, {size:.0f} GB{loaded} over {total} accelerators = {each:.0f} GiB each, '
            f"expected room for it and the KV cache in {hw.memory_gib:.0f} GiB; use more nodes or quantised weights"
        )


def doubtful(case: Case) -> Iterator[str]:
    """What may well go wrong, or was withdrawn by its vendor."""
    m, r = case.model, case.recipe
    if m.format in r.formats and m.name not in r.models:
        named = ", ".join(r.models)
        yield f"recipe {case.recipe_name} was written for {named}; {m.name} has a fitting format but its page does not name it"
    if m.name in r.doubts:
        yield f"{m.name} with {case.recipe_name}: {r.doubts[m.name]}"
    if "eagle" in str(speculative(case.settings, case.engine).get("method", "")) and m.family == "M2.7":
        yield 'the Eagle3 heads for M2.7 bring no gain (the vendor page says so); remove "draft"'
    if r.withdrawn and case.version >= Version(r.withdrawn.since):
        w = r.withdrawn
        yield f"recipe {case.recipe_name} was withdrawn by its vendor from {w.since} on: {w.why} ({w.source})"
    if case.keys.topology == "back-to-back" and case.hardware.vendor == "ascend" and case.nodes > 1:
        yield (
            "back-to-back cabling has no full mesh, so the MC2 exchange of experts cannot be built (VA#7606); "
            "this plan keeps off it, slower than a switch"
        )
    if case.keys.auth != "off" and case.engine.auth_env is None and case.keys.expose == "direct":
        asked = case.keys.auth.partition(":")[0]
        yield (
            f'"auth" is {asked}, but {case.engine.title} reads no key from its environment and everyone would see it on its command line: '
            'the API is open; set "auth": "off" to say so, and "firewall": True to close it to other machines'
        )
    if case.keys.topology != "switched" and case.nodes == 1:
        yield f'"topology" is {case.keys.topology}, which has no effect on a replica of one node'
