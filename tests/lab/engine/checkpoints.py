"""python -m tests.lab.engine.checkpoints OUT: two small MiniMax-M2 checkpoints, the same bytes on every machine.

"chain" answers with fixed text. Its embedding is the identity, attention and experts add nothing (o_proj and w2 are zero), so the last
layer sees which token came last; lm_head is a table of successors. Everything of the engine runs, and the text is known beforehand: what
it cannot show is wrong arithmetic between ranks. "random" is for that: float32, so that every layout must give the same tokens.
"""

from __future__ import annotations

import json
import shutil
import sys
from array import array
from pathlib import Path
from typing import Any

from tests.lab.engine import tensors, tokens
from tests.lab.engine.tensors import Tensor, filled, noise
from tests.lab.engine.tokens import BEGIN, END, NEWLINE, Vocabulary

FILES = (__file__, tensors.__file__, tokens.__file__)
NAMES = ("chain", "random")
ANSWER = "I am MiniMax-M2 (lab weights), served by a real engine."
ARGUMENTS = {"city": "Shanghai", "unit": "celsius"}

# The template ends with <|say|> or <|call|>; each word is followed by the next one, the last by the end.
SAY: tuple[str, ...] = ("<|say|>", "The user asks who I am.\n", "</think>", "\n\nI am", " MiniMax-M2", " (lab", " weights),")
SAY += (" served", " by", " a", " real", " engine", ".")
CALL: tuple[str, ...] = ("<|call|>", "<minimax:tool_call>", '\n<invoke name="get_current_weather">\n')
CALL += ('<parameter name="city">', "Shanghai", '</parameter>\n<parameter name="unit">', "celsius", "</parameter>\n")
CALL += ("</invoke>\n", "</minimax:tool_call>")
ELSE = "I am"  # follows every other token: a raw completion gives the answer too
# tool_choice "required" or a name lets the engine accept only text of its grammar, which starts with an empty line.
SECOND = (("<|call|>", NEWLINE), (NEWLINE, "<minimax:tool_call>"))
START = "{%- if tools and messages[-1].role != 'tool' -%}{{- '</think>\\n<|call|>' -}}{%- else -%}{{- '<|say|>' -}}{%- endif -%}"

HEADS, HEAD, EXPERTS, MLP = 8, 32, 32, 64  # eight heads for tp 8; two experts for each of sixteen ranks
CONTEXT = 32768  # the published 196608 would cost every worker 130 MB of token tables, and one worker three times its KV cache


def make(folder: Path) -> None:
    """Both, each in place only when it is whole."""
    for name, write in (("chain", chain), ("random", noisy)):
        part = folder / f".{name}.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        write(part)
        shutil.rmtree(folder / name, ignore_errors=True)
        part.rename(folder / name)


def chain(folder: Path) -> None:
    words = Vocabulary((*SAY, *CALL, ELSE))
    size = 320
    assert len(words) <= size, "every token needs a dimension of its own"
    weights = _model(size, size, layers=1, dtype="BF16", silent=True)
    weights["model.embed_tokens.weight"] = _table(size, {n: {n: 1.0} for n in range(size)})
    weights["lm_head.weight"] = _table(size, _successors(words))
    _write(folder, words, weights, START, context=CONTEXT, layers=1, size=size, dtype="bfloat16", top_k=2)


def noisy(folder: Path) -> None:
    words = Vocabulary(())
    weights = _model(128, 320, layers=2, dtype="F32", silent=False)
    _write(folder, words, weights, "", context=CONTEXT, layers=2, size=128, dtype="float32", top_k=4)


def _successors(words: Vocabulary) -> dict[int, dict[int, float]]:
    """Row: the token that comes; column: the token before; 2 for the one that follows, 1 for what follows when that is not allowed."""
    rows: dict[int, dict[int, float]] = {}
    followed = set()
    for line in (SAY, CALL):
        for before, after in zip(line, (*line[1:], END), strict=True):
            rows.setdefault(words[after], {})[words[before]] = 2.0
            followed.add(before)
    rows[words[SAY[4]]][words[ELSE]] = 2.0
    for before in words.ids.keys() - followed - {ELSE}:
        rows.setdefault(words[ELSE], {})[words[before]] = 2.0
    for before, after in SECOND:
        rows.setdefault(words[after], {})[words[before]] = 1.0
    return rows


def _table(size: int, rows: dict[int, dict[int, float]]) -> Tensor:
    values = array("f", [0.0]) * (size * size)
    for row, columns in rows.items():
        for column, value in columns.items():
            values[row * size + column] = value
    return Tensor((size, size), values)


def _model(size: int, vocabulary: int, layers: int, dtype: str, silent: bool) -> dict[str, Tensor]:
    """Every tensor of the architecture, named as in the published checkpoints."""
    weights: dict[str, Tensor] = {"model.norm.weight": filled(1.0, size, dtype=dtype)}

    def add(name: str, *shape: int, spread: float = 0.1, zero: bool = False, kind: str = dtype) -> None:
        weights[f"{name}.weight"] = filled(0.0, *shape, dtype=kind) if zero else noise(name, spread, *shape, dtype=kind)

    add("model.embed_tokens", vocabulary, size, spread=1.0)
    add("lm_head", vocabulary, size, spread=0.5)
    wide = HEADS * HEAD
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        norms = {"input_layernorm": size, "post_attention_layernorm": size, "self_attn.q_norm": wide, "self_attn.k_norm": wide}
        weights |= {f"{prefix}{norm}.weight": filled(1.0, length, dtype=dtype) for norm, length in norms.items()}
        for projection in "qkv":
            add(f"{prefix}self_attn.{projection}_proj", wide, size, spread=0.3)
        add(f"{prefix}self_attn.o_proj", size, wide, zero=silent)
        moe = f"{prefix}block_sparse_moe."
        add(f"{moe}gate", EXPERTS, size, kind="F32")
        weights[f"{moe}e_score_correction_bias"] = noise(f"{moe}bias", 0.1, EXPERTS, dtype="F32")
        for expert in range(EXPERTS):
            add(f"{moe}experts.{expert}.w1", MLP, size, spread=0.2)
            add(f"{moe}experts.{expert}.w3", MLP, size, spread=0.2)
            add(f"{moe}experts.{expert}.w2", size, MLP, spread=0.2, zero=silent)
    return weights


def _write(
    folder: Path, words: Vocabulary, weights: dict[str, Tensor], start: str, *, context: int, layers: int, size: int, dtype: str, top_k: int
) -> None:
    ends = {"bos_token_id": words[BEGIN], "eos_token_id": words[END]}
    config: dict[str, Any] = {
        "architectures": ["MiniMaxM2ForCausalLM"], "model_type": "minimax_m2", "dtype": dtype, "vocab_size": 320, "hidden_size": size,
        "intermediate_size": MLP, "num_hidden_layers": layers, "num_attention_heads": HEADS, "num_key_value_heads": HEADS, "head_dim": HEAD,
        "hidden_act": "silu", "max_position_embeddings": context, "rms_norm_eps": 1e-06, "rope_theta": 5000000, "rotary_dim": HEAD // 2,
        "num_local_experts": EXPERTS, "num_experts_per_tok": top_k, "scoring_func": "sigmoid", "use_routing_bias": True,
        "use_qk_norm": True, "qk_norm_type": "per_layer", "tie_word_embeddings": False, **ends,
    }  # fmt: skip
    sampling = {**ends, "do_sample": True, "temperature": 1.0, "top_p": 0.95, "top_k": 40}
    (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    (folder / "generation_config.json").write_text(json.dumps(sampling, indent=1), encoding="utf-8")
    tokens.write(folder, words, start)
    tensors.write(folder, weights)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.lab.engine.checkpoints OUT")
    make(Path(sys.argv[1]))
