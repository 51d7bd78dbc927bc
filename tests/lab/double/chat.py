"""vLLM's endpoints: chat, completions, responses, and those around them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

from . import answers, counters
from .api import INVALID, ApiError, Body, Handler, Route, Service
from .router import EngineDeadError, Ticket

NO_AUTO = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'


class Asked:
    """A request that was checked, and its answer as it comes."""

    def __init__(self, handler: Handler, body: Body, limit: object, chat: bool) -> None:
        service = handler.service
        self.handler, self.service, self.body, self.chat = handler, service, body, chat
        self.model = service.check_model(body)
        if service.knobs.on("lie"):
            raise EngineDeadError
        self.prompt = answers.tokens(answers.prompt_text(body)) + (20 if chat else 0)
        room = service.max_len - self.prompt
        try:
            self.limit = room if limit is None else int(str(limit))
        except ValueError:
            raise ApiError(
                400, "[{'type': 'int_parsing', 'loc': ('body', 'max_tokens'), 'msg': 'Input should be a valid integer'}]", INVALID
            ) from None
        if self.limit < 1:
            raise ApiError(400, f"max_tokens must be at least 1, got {self.limit}.", param="max_tokens")
        if self.limit > room or room < 1:
            raise ApiError(400, self._too_long(), param="input_tokens")
        self.tool = answers.tool_of(body) if chat else None
        self.made = 0
        self.reason = ""
        self.ticket: Ticket | None = None

    def _too_long(self) -> str:
        most, total = self.service.max_len, self.prompt + self.limit
        parts = f"({self.prompt} + {self.limit} = {total} > {most})"
        return (
            f"This model's maximum context length is {most} tokens. However, you requested {self.limit} output tokens and your prompt "
            f"contains {self.prompt} input tokens, for a total of {total} tokens {parts}. "
            "Please reduce the length of the input prompt or the number of requested output tokens."
        )

    def begin(self) -> None:
        """Sends it to an engine: to the rank the header names, else to the next in turn."""
        count, text = len(self.service.router.wires), self.handler.headers.get("X-data-parallel-rank")
        rank = int(text) if text is not None and text.lstrip("-").isdigit() else None
        if rank is not None and not 0 <= rank < count:
            raise ApiError(400, f"data_parallel_rank {rank} is out of range [0, {count}).")
        ask = {
            "chat": self.chat,
            "tool": self.tool,
            "prompt": self.prompt,
            "limit": self.limit,
            "endless": bool(self.body.get("ignore_eos")),
        }
        self.ticket = self.service.router.submit(rank, **ask)

    def parts(self) -> Iterator[str]:
        """The pieces of text; a client that hangs up ends it."""
        assert self.ticket is not None
        try:
            while not self.reason:
                piece = self.ticket.next(0.1)
                if piece is None:
                    if self.handler.gone():
                        raise BrokenPipeError
                    continue
                self.made += 1
                self.reason = str(piece.get("end", ""))
                yield str(piece["text"])
        except (BrokenPipeError, ConnectionResetError):
            self.ticket.abort()
            raise
        finally:
            self.service.router.done(self.ticket)

    @property
    def wants_usage(self) -> bool:
        """Whether a stream is to end with an event of counts."""
        return bool((self.body.get("stream_options") or {}).get("include_usage"))

    def usage(self, streamed: bool = False) -> Body:
        counts = {"prompt_tokens": self.prompt, "total_tokens": self.prompt + self.made, "completion_tokens": self.made}
        return self.service.fields.usage(counts, "chat" if self.chat else "text", streamed)


def health(handler: Handler, body: Body) -> None:
    service = handler.service
    handler.reply(503 if service.router.dead and not service.knobs.on("lie") else 200, None)


def version(handler: Handler, body: Body) -> None:
    handler.reply(200, {"version": handler.service.version})


def models(handler: Handler, body: Body) -> None:
    service = handler.service
    other = service.knobs.get("models")
    cards = [
        service.fields.card(
            {
                "id": n,
                "object": "model",
                "created": int(time.time()),
                "owned_by": service.owner,
                "root": service.root,
                "max_model_len": service.max_len,
            }
        )
        for n in ([other] if other else service.served)
    ]
    handler.reply(200, {"object": "list", "data": cards})


def metrics(handler: Handler, body: Body) -> None:
    service = handler.service
    make = counters.sglang if service.owner == "sglang" else counters.vllm
    handler.reply(200, make(service.router.stats, service.served[0]), "text/plain; version=1.0.0; charset=utf-8")


def chat(handler: Handler, body: Body) -> None:
    service = handler.service
    if not isinstance(body.get("messages"), list) or not body["messages"]:
        raise ApiError(400, "[{'type': 'missing', 'loc': ('body', 'messages'), 'msg': 'Field required'}]", INVALID)
    choice = body.get("tool_choice", "auto" if body.get("tools") else "none")
    if body.get("tools") and choice == "auto" and not (service.auto_tools and service.tool_parser):
        raise ApiError(400, NO_AUTO)
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    asked = Asked(handler, body, limit, chat=True)
    asked.begin()
    parse = bool(body.get("tools")) and choice != "none" and service.tool_parser is not None
    base = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": asked.model}
    if body.get("stream"):
        _stream_chat(asked, base, parse)
        return
    reply = answers.read("".join(asked.parts()), service.reasoning, parse)
    message: Body = {
        "role": "assistant",
        "content": reply.content,
        "refusal": None,
        "annotations": None,
        "audio": None,
        "function_call": None,
    }
    message["tool_calls"] = [_call(c) for c in reply.calls]
    message |= dict.fromkeys(service.reasoning_fields, reply.reasoning)
    # A named tool ends with "stop", auto and required with "tool_calls".
    reason = "tool_calls" if reply.calls and not isinstance(choice, dict) else asked.reason
    first = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason, "stop_reason": None}
    handler.reply(200, service.fields.whole("chat", {**base, "object": "chat.completion", "choices": [first], "usage": asked.usage()}))


def _call(found: Body) -> Body:
    return {"id": f"chatcmpl-tool-{uuid.uuid4().hex[:16]}", "type": "function", "function": found}


def _stream_chat(asked: Asked, base: Body, parse: bool) -> None:
    handler, service = asked.handler, asked.service

    def send(delta: Body, reason: str | None = None) -> None:
        part = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        chunk = {**base, "object": "chat.completion.chunk", "choices": [part]}
        handler.event(service.fields.chunk("chat", chunk, first="role" in delta, last=bool(reason) and not asked.wants_usage))

    handler.stream()
    send({"role": "assistant", "content": ""})
    raw, shown = "", answers.Reply("", "", [])
    try:
        for piece in asked.parts():
            raw += piece
            # A call under way is held back until it is whole.
            now = answers.read(raw.partition("<minimax:tool_call>")[0] if parse else raw, service.reasoning, False)
            if thought := (now.reasoning or "")[len(shown.reasoning or "") :]:
                send(dict.fromkeys(service.reasoning_fields, thought))
            if text := (now.content or "")[len(shown.content or "") :]:
                send({"content": text})
            shown = now
    except EngineDeadError as e:
        handler.event(ApiError(500, str(e), "InternalServerError").body())
    calls = answers.read(raw, service.reasoning, parse).calls
    for number, found in enumerate(calls):
        for piece in _in_pieces(found, service):
            send({"tool_calls": [{"index": number, **piece}]})
    send({}, "tool_calls" if calls else asked.reason)
    _finish(asked, {**base, "object": "chat.completion.chunk", "choices": []})


def _in_pieces(found: Body, service: Service) -> list[Body]:
    """A call as its parser streams it: vLLM 0.18 in one piece, 0.32 the name first, others with empty arguments beside the name."""
    whole = _call(found)
    if service.fields.version and not service.fields.has("0.32.0"):
        return [whole]
    name = {"name": found["name"]} if service.fields.version else {"name": found["name"], "arguments": ""}
    return [{**whole, "function": name}, {"function": {"arguments": found["arguments"]}}]


def _finish(asked: Asked, last: Body) -> None:
    if asked.wants_usage:
        chunk = {**last, "usage": asked.usage(streamed=True)}
        asked.handler.event(asked.service.fields.chunk("chat" if asked.chat else "text", chunk, last=True))
    asked.handler.event("[DONE]")
    asked.handler.chunk(b"")


def completions(handler: Handler, body: Body) -> None:
    if "prompt" not in body:
        raise ApiError(400, "[{'type': 'missing', 'loc': ('body', 'prompt'), 'msg': 'Field required'}]", INVALID)
    asked = Asked(handler, body, body.get("max_tokens", 16), chat=False)
    asked.begin()
    base = {"id": f"cmpl-{uuid.uuid4().hex}", "object": "text_completion", "created": int(time.time()), "model": asked.model}
    if not body.get("stream"):
        text = "".join(asked.parts())
        first = {"index": 0, "text": text, "logprobs": None, "finish_reason": asked.reason, "stop_reason": None}
        handler.reply(200, handler.service.fields.whole("text", {**base, "choices": [first], "usage": asked.usage()}))
        return
    handler.stream()
    for piece in asked.parts():
        part = {"index": 0, "text": piece, "logprobs": None, "finish_reason": asked.reason or None}
        last = bool(asked.reason) and not asked.wants_usage
        handler.event(handler.service.fields.chunk("text", {**base, "choices": [part]}, last=last))
    _finish(asked, {**base, "choices": []})


def responses(handler: Handler, body: Body) -> None:
    """Thinking is an item of its own where the parser splits it off. Streaming is not imitated."""
    if body.get("stream"):
        raise ApiError(501, "the double does not stream /v1/responses", "NotImplementedError")
    asked = Asked(handler, body, body.get("max_output_tokens"), chat=True)
    asked.begin()
    reply = answers.read("".join(asked.parts()), asked.service.reasoning, False)
    items: list[Body] = []
    if reply.reasoning:
        thought = [{"type": "reasoning_text", "text": reply.reasoning}]
        items.append({"id": f"rs_{uuid.uuid4().hex[:16]}", "type": "reasoning", "summary": [], "content": thought, "status": None})
    if reply.content:
        said: list[Body] = [{"type": "output_text", "text": reply.content, "annotations": [], "logprobs": None}]
        items.append({"id": f"msg_{uuid.uuid4().hex[:16]}", "type": "message", "role": "assistant", "status": "completed", "content": said})
    cut = asked.reason == "length"
    answer: dict[str, Any] = {"id": f"resp_{uuid.uuid4().hex}", "object": "response", "created_at": int(time.time()), "model": asked.model}
    answer |= {"status": "incomplete" if cut else "completed", "incomplete_details": {"reason": "max_output_tokens"} if cut else None}
    usage = {"input_tokens": asked.prompt, "output_tokens": asked.made, "total_tokens": asked.prompt + asked.made}
    handler.reply(200, {**answer, "output": items, "usage": usage})


OPENAI: dict[str, Route] = {
    "GET /v1/models": models,
    "POST /v1/chat/completions": chat,
    "POST /v1/completions": completions,
    "GET /metrics": metrics,
}
ROUTES: dict[str, Route] = {
    **OPENAI,
    "GET /health": health,
    "GET /ping": health,
    "POST /ping": health,
    "GET /version": version,
    "POST /v1/responses": responses,
}
__all__ = ["OPENAI", "ROUTES", "Service"]
