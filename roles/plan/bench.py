"""What a benchmark is: the models of a recipe's `bench`, and what its options say of one request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from roles.plan.check import Strict

Scalar = str | bool | int | float
LENGTHS = {
    "random": (("random-input-len",), "random-output-len"),
    "prefix_repetition": (("prefix-repetition-prefix-len", "prefix-repetition-suffix-len"), "prefix-repetition-output-len"),
}
"""By data set: the options that make up the input, and the one of the output."""


class Setup(Strict):
    """What a page's result was measured on, in the words of a plan; what the page does not say is left out."""

    engine: str = Field(description="a file of files/engines")
    version: str | None = Field(None, description="the engine's version, where the page says it")
    machine: str = Field(description="a file of files/hardware")
    accelerator: str | None = Field(None, description="part of the name the vendor's tool shows; null: any of that machine")
    accelerators: int = Field(ge=1, description="accelerators of the whole replica, as the engine counts them")
    layout: dict[Literal["tp", "dp", "pp", "pcp"], int] = Field({}, description="parallel sizes the page states")


class Workload(Strict):
    """What the page's tool was told to send."""

    input: int = Field(ge=1, description="input tokens of one request")
    output: int = Field(ge=1, description="output tokens of one request")
    concurrency: int = Field(ge=1, description="requests at the same time")
    prompts: int = Field(ge=1, description="requests in all")


class Reference(Strict):
    """A result the vendor page prints, so that ours can be set beside it."""

    source: str = Field(description="which page prints it")
    hardware: str = Field(description="what it was measured on, in words")
    model: str = Field(description="which model was measured")
    setup: Setup = Field(description="the same for comparing: a result of another setup gets no ratio")
    workload: Workload = Field(description="lengths and counts it was measured with")
    metrics: dict[str, float] = Field(description="figures under the names of the tool's own result file")


class Bench(Strict):
    """One benchmark of the vendor page."""

    tool: Literal["vllm-bench", "sglang-bench", "script"] = Field(description="what runs it, inside the engine's container")
    options: dict[str, Scalar] = Field({}, description="the tool's own options; true is a bare flag")
    script: str | None = Field(None, description="script: its path; the inventory may name another")
    data: str | None = Field(None, description="the option that names the data set; the inventory says where it lies")
    context: int | None = Field(None, ge=1, description="tokens one request needs, where the options do not tell")
    note: str = Field("", description="what a reader must know: where the page is silent or wrong")
    reference: Reference | None = Field(None, description="the page's own result")


def lengths(options: Mapping[str, Any]) -> tuple[int, int] | None:
    """Input and output tokens of one request, where the data set is made to measure."""
    inputs, output = LENGTHS.get(str(options.get("dataset-name")), ((), ""))
    try:
        sizes = [int(options[name]) for name in (*inputs, output)]
    except (KeyError, ValueError):
        return None
    return sum(sizes[:-1]), sizes[-1]
