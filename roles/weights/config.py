"""config.json against the model and the recipe: the architecture, the format, the length of a context."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from roles.plan.recipe import Model
from roles.run.checks import Say, fail, warn
from roles.weights.held import Held, settings

ARCHITECTURE = "MiniMaxM2ForCausalLM"
DESCRIPTION = "quant_model_description.json"
HEAD_LAYERS = 4
ASCEND = ("w8a8", "w8a8c8")


def problems(one: Held, model: Model | None, length: int | None) -> Iterator[Say]:
    """What is wrong with it; nothing when it fits."""
    config = settings(one.config)
    again = f"download it again into an empty folder, or name the right one instead of {one.path}"
    if config is None:
        yield fail(f"{one.path}/config.json is no JSON", "the checkpoint's config.json", again)
        return
    named = [str(a) for a in config.get("architectures") or []]
    if model is None or model.kind == "draft":
        if ARCHITECTURE in named and _number(config, "num_hidden_layers") > HEAD_LAYERS:
            layers = _number(config, "num_hidden_layers")
            yield fail(f"{one.path} is a whole model of {layers} layers", "a draft head of a layer or two", "name the Eagle3 head's folder")
        return
    if ARCHITECTURE not in named:
        yield fail(f"{one.path}/config.json says {', '.join(named) or 'no architecture'}", f"{ARCHITECTURE} for {model.name}", again)
    wrong = _format(one, model, config)
    if wrong:
        yield fail(wrong, f"{model.name} in {model.format}", again)
    yield from _context(one, model, config, length)


def _format(one: Held, model: Model, config: Mapping[str, Any]) -> str:
    """What the files are, where that is not the format the plan was made for."""
    quantised = config.get("quantization_config")
    method = str(quantised.get("quant_method", "unnamed")) if isinstance(quantised, dict) else ""
    said = f"{one.path}/config.json says {method}" if method else f"{one.path}/config.json has no quantization_config"
    described = DESCRIPTION in one.files
    if model.format in ASCEND:
        missing = "" if described else f" and there is no {DESCRIPTION}"
        return (
            f"{said}{missing} (an upload of that kind: VA#9894)"
            if method == "fp8"
            else f"no {DESCRIPTION} in {one.path}"
            if missing
            else ""
        )
    if described:
        return f"{DESCRIPTION} in {one.path}: these are w8a8 weights"
    if model.format == "mlx":
        return "" if isinstance(config.get("quantization"), dict) else f"{one.path}/config.json has no MLX quantization"
    if model.format == "bf16":
        return said if method else ""
    return "" if method == model.format else said


def _context(one: Held, model: Model, config: Mapping[str, Any], length: int | None) -> Iterator[Say]:
    longest = _number(config, "max_position_embeddings")
    if not longest or config.get("rope_scaling"):
        return
    said = f"{one.path}/config.json allows a context of {longest}"
    if length and length > longest:
        yield fail(said, f"at least the {length} tokens of max-model-len", f"flags: max-model-len {longest} or less")
    elif model.context and longest < model.context:
        yield warn(said, f"{model.context}, as published", "compare config.json with the hub's")


def _number(config: Mapping[str, Any], key: str) -> int:
    value = config.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
