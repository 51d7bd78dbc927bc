"""The checkpoints' words: a byte-level tokenizer without merges, the model's own markers, and a chat template in the model's manner."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

BEGIN, ROLE, END = "]~!b[", "]~b]", "[e~["
MARKERS = ("<think>", "</think>", "<minimax:tool_call>", "</minimax:tool_call>")
NEWLINE = "\u010a"  # the byte 10, as a byte-level vocabulary writes it

TEMPLATE = """\
{{- ']~!b[' -}}
{%- if tools -%}
  {{- ']~b]system\\n# Tools\\n' -}}
  {%- for tool in tools -%}
    {{- '<tool>' ~ (tool.function | tojson) ~ '</tool>\\n' -}}
  {%- endfor -%}
  {{- '[e~[\\n' -}}
{%- endif -%}
{%- for message in messages -%}
  {{- ']~b]' ~ message.role ~ '\\n' -}}
  {%- if message.content is string -%}
    {{- message.content -}}
  {%- else -%}
    {%- for part in message.content or [] -%}{{- part.text -}}{%- endfor -%}
  {%- endif -%}
  {{- '[e~[\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {{- ']~b]ai\\n<think>\\n' -}}
  START
{%- endif -%}
"""


class Vocabulary:
    """256 bytes, three special markers, the words that a model adds."""

    def __init__(self, words: Iterable[str]) -> None:
        self.bytes = _bytes()
        self.special = (BEGIN, ROLE, END)
        # A word of one byte has that byte's number already; numbered twice, all that follow would be one off.
        self.added = tuple(w for w in dict.fromkeys((*self.special, *MARKERS, *words)) if w not in self.bytes)
        self.ids = {word: number for number, word in enumerate((*self.bytes, *self.added))}

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, word: str) -> int:
        return self.ids[word]


def write(folder: Path, vocabulary: Vocabulary, start: str) -> None:
    """tokenizer.json and its two companions; `start` is what the template puts after an opened <think>."""
    added = [
        {"id": vocabulary[w], "content": w, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": special}
        for w in vocabulary.added
        for special in [w in vocabulary.special]
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    tokenizer = {
        "version": "1.0",
        "added_tokens": added,
        "pre_tokenizer": byte_level,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": {b: vocabulary[b] for b in vocabulary.bytes}, "merges": []},
    }
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BEGIN,
        "eos_token": END,
        "model_max_length": 196608,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, indent=1), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    (folder / "chat_template.jinja").write_text(TEMPLATE.replace("START", start), encoding="utf-8")


def _bytes() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes, in the order of the bytes."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]
