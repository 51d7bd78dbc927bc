"""Two model folders without weights for level "config": MiniMax-M2 and an Eagle3 head."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

_END = "[e~["
_ADDED = ["]~!b[", "]~b]", _END, "]!p~[", "<think>", "</think>"]
_ADDED += ["<minimax:tool_call>", "</minimax:tool_call>"]

MINIMAX_M2: dict[str, Any] = {
    "architectures": ["MiniMaxM2ForCausalLM"],
    "auto_map": {"AutoConfig": "configuration_minimax_m2.MiniMaxM2Config"},
    "model_type": "minimax_m2",
    "dtype": "bfloat16",
    "vocab_size": 200064,
    "hidden_size": 3072,
    "intermediate_size": 1536,
    "num_hidden_layers": 62,
    "num_attention_heads": 48,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "hidden_act": "silu",
    "max_position_embeddings": 196608,
    "rms_norm_eps": 1e-06,
    "rope_theta": 5000000,
    "rotary_dim": 64,
    "num_local_experts": 256,
    "num_experts_per_tok": 8,
    "scoring_func": "sigmoid",
    "use_routing_bias": True,
    "use_qk_norm": True,
    "qk_norm_type": "per_layer",
    "tie_word_embeddings": False,
    "bos_token_id": 256,
    "eos_token_id": 258,
}

EAGLE3: dict[str, Any] = {
    "architectures": ["LlamaForCausalLMEagle3"],
    "model_type": "llama",
    "dtype": "bfloat16",
    "vocab_size": 200064,
    "draft_vocab_size": 32000,
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_hidden_layers": 1,
    "num_attention_heads": 48,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "hidden_act": "silu",
    "max_position_embeddings": 196608,
    "rms_norm_eps": 1e-06,
    "rope_theta": 5000000,
    "tie_word_embeddings": False,
    "bos_token_id": 256,
    "eos_token_id": 258,
}

CHAT_TEMPLATE = "{% for m in messages %}]~b]{{ m.role }}\n{{ m.content }}{% endfor %}"

# The published checkpoint brings its own class too; Transformers 4 has none for this type.
CONFIGURATION = '''"""The configuration class that lies beside the weights."""

from transformers import PretrainedConfig


class MiniMaxM2Config(PretrainedConfig):
    model_type = "minimax_m2"

    def __init__(self, **values):
        for name, value in values.items():
            setattr(self, name, value)
        super().__init__(**values)
'''


def folder(cache: Path) -> Path:
    """Written once per content; returns the folder that holds MiniMax-M2/ and Eagle3/."""
    files = _files()
    digest = hashlib.sha256(json.dumps(files).encode()).hexdigest()[:8]
    finished = cache / f"models-{digest}"
    if not finished.exists():
        building = cache / f".models-{digest}-{os.getpid()}"
        for name, text in files.items():
            path = building / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        try:
            building.rename(finished)
        except OSError:  # another process was faster
            shutil.rmtree(building)
    return finished


def _files() -> dict[str, str]:
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": _ADDED[0],
        "eos_token": _END,
        "model_max_length": 196608,
        "clean_up_tokenization_spaces": False,
    }
    target = {
        "config.json": json.dumps(MINIMAX_M2, indent=1),
        "generation_config.json": json.dumps({"bos_token_id": 256, "eos_token_id": 258}),
        "tokenizer_config.json": json.dumps(tokenizer_config, indent=1),
        "tokenizer.json": json.dumps(_tokenizer()),
        "chat_template.jinja": CHAT_TEMPLATE,
        "configuration_minimax_m2.py": CONFIGURATION,
    }
    files = {f"MiniMax-M2/{name}": text for name, text in target.items()}
    return {**files, "Eagle3/config.json": json.dumps(EAGLE3, indent=1)}


def _tokenizer() -> dict[str, Any]:
    """A byte-level tokenizer without merges: 256 bytes and the model's own markers."""
    vocabulary = {character: number for number, character in enumerate(_byte_alphabet())}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    added = [
        {
            "id": 256 + number,
            "content": text,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": number < 4,
        }
        for number, text in enumerate(_ADDED)
    ]
    return {
        "version": "1.0",
        "added_tokens": added,
        "pre_tokenizer": {**byte_level, "use_regex": False},
        "decoder": {**byte_level, "use_regex": False},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    }


def _byte_alphabet() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = (byte for byte in range(256) if byte not in printable)
    stand_ins = {byte: chr(256 + number) for number, byte in enumerate(others)}
    return [stand_ins.get(byte, chr(byte)) for byte in range(256)]
