"""Fields of vLLM's answers beside OpenAI's own, nearly always empty: as read in 0.18.0 and in 0.32.0, between them as in 0.18.0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import options

Body = dict[str, Any]
Since = tuple[tuple[str, str], ...]

WHOLE: Mapping[str, Since] = {
    "chat": (
        ("0", "service_tier system_fingerprint prompt_logprobs prompt_token_ids kv_transfer_params"),
        ("0.32.0", "prompt_text ec_transfer_params metrics"),
    ),
    "text": (("0", "service_tier system_fingerprint kv_transfer_params"), ("0.32.0", "ec_transfer_params metrics")),
}
CHOICE: Mapping[str, Since] = {
    "chat": (("0", "token_ids"), ("0.32.0", "routed_experts")),
    "text": (("0", "token_ids prompt_logprobs prompt_token_ids"), ("0.32.0", "routed_experts")),
}
FIRST: Since = (("0", "prompt_token_ids"), ("0.32.0", "prompt_text"))
PERMISSION = {
    "object": "model_permission",
    **dict.fromkeys(("allow_sampling", "allow_logprobs", "allow_view"), True),
    **dict.fromkeys(("allow_create_engine", "allow_search_indices", "allow_fine_tuning", "is_blocking"), False),
    "organization": "*",
    "group": None,
}


class Fields:
    """What this release adds; another engine (no version) adds nothing."""

    def __init__(self, version: str | None = None) -> None:
        self.version = version

    def has(self, version: str) -> bool:
        return self.version is not None and options.order(self.version) >= options.order(version)

    def named(self, since: Since) -> Body:
        return {name: None for version, names in since if self.has(version) for name in names.split()}

    def fingerprint(self) -> Body:
        return {"system_fingerprint": f"vllm-{self.version}-double"} if self.has("0.32.0") else {}

    def whole(self, kind: str, answer: Body) -> Body:
        """An answer that is not streamed."""
        choices = [{**c, **self.named(CHOICE[kind])} for c in answer["choices"]]
        for choice in choices:
            if self.has("0.32.0") and not choice.get("message", {}).get("tool_calls", True):
                del choice["message"]["tool_calls"]
        return {**answer, "choices": choices, **self.named(WHOLE[kind]), **self.fingerprint()}

    def usage(self, counts: Body, kind: str, streamed: bool) -> Body:
        details: Body = {} if streamed and self.version else {"prompt_tokens_details": None}
        if self.has("0.32.0"):
            details |= {"completion_tokens_details": {"reasoning_tokens": 0} if kind == "chat" else None}
        return {**counts, **details}

    def chunk(self, kind: str, part: Body, first: bool = False, last: bool = False) -> Body:
        """One event of a stream; a chat's first one only says the role, the last of all has the fingerprint."""
        if self.version is None:
            return part
        ends = any(c["finish_reason"] for c in part["choices"])
        mark = self.fingerprint() if last else {}
        if kind == "text":
            more: Body = {"stop_reason": None, "prompt_token_ids": None, "token_ids": None}
            top = {} if self.has("0.32.0") or "usage" in part else {"usage": None}
        else:
            more = {} if first else {**({"stop_reason": None} if ends else {}), "token_ids": None}
            top = self.named(FIRST) if first else {}
        return {**part, "choices": [{**c, **more} for c in part["choices"]], **top, **mark}

    def card(self, model: Body) -> Body:
        """An entry of the model list."""
        if self.version is None:
            return model
        permission = {"id": f"modelperm-{model['id']}", "created": model["created"], **PERMISSION}
        return {**model, "parent": None, "permission": [permission]}
