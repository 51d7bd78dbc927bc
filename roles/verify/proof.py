"""The proof of one replica: requests through the OpenAI client, each judged; nothing is assumed from /health."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import gevent
import httpx2
import openai
from tenacity import RetryCallState, Retrying, retry_if_exception_type, retry_if_result, stop_after_delay, wait_random

from roles.run import metrics
from roles.run.api import Api
from roles.verify import judge
from roles.verify.result import Result

TRIES = 40
REFUSED = (401, 403)
CONCURRENT = 4


class Refuted(Exception):
    """A complete answer is not as was promised; one sentence."""


class Unseen(Exception):
    """Nothing could be learnt of the engine; one sentence."""


@dataclass
class Proof:
    """One replica's endpoint and what the plan promises of it."""

    api: Api
    verify: Mapping[str, Any]
    key: str
    cancelled: Callable[[], bool] = lambda: False
    lenient: bool = False
    """Whether a rank that generates for others, and has no token for us in time, counts as living."""
    client: openai.OpenAI = field(init=False)

    def __post_init__(self) -> None:
        self.client = openai.OpenAI(
            base_url=f"{self.api.url}/v1", api_key=self.key or "none", http_client=self.api.client, max_retries=0, timeout=self.patience
        )

    @property
    def patience(self) -> float:
        return float(self.verify["timeouts"]["answer"])

    def pulse(self) -> list[Result]:
        """The least that proves life: one short completion from every rank."""
        return list(self._run([("health", self._health), ("ranks", self._ranks)]))

    def all(self, soak: float) -> Iterator[Result]:
        """Everything, in order; it goes on after a refuted sentence, since all of them are wanted."""
        steps: list[tuple[str, Callable[[], str]]] = [("health", self._health), ("model", self._model), ("ranks", self._ranks)]
        for request in self.verify["requests"]:
            steps.append((request["name"], lambda r=request: self._request(r)))  # type: ignore[misc]
        first = next((r for r in self.verify["requests"] if "messages" in r["body"]), None)
        if first:
            if all(isinstance(m["content"], str) for m in first["body"]["messages"]):
                steps.append(("list-content", lambda: self._list_content(first)))
            steps.append(("stream", lambda: self._stream(first)))
        forced = next((r for r in self.verify["requests"] if r["expect"] == "tool-call"), None)
        if forced:
            steps.append(("forced-tool", lambda: self._forced(forced)))
        if first and soak > 0:
            steps.append(("soak", lambda: self._soak(first, soak)))
        yield from self._run(steps)

    def _run(self, steps: list[tuple[str, Callable[[], str]]]) -> Iterator[Result]:
        for name, step in steps:
            if self.cancelled():
                return
            began = time.monotonic()
            refuted = refused = False
            try:
                said, ok = step(), True
            except Refuted as e:
                said, ok, refuted = str(e), False, True
            except Unseen as e:
                said, ok, refused = str(e), False, isinstance(e.__cause__, openai.APIStatusError) and e.__cause__.status_code in REFUSED
            except openai.APIStatusError as e:
                said, ok, refused = f"HTTP {e.status_code}: {_first(e.message)}", False, e.status_code in REFUSED
            except (openai.APITimeoutError, httpx2.TimeoutException):
                said, ok = f"no answer within {self.patience:.0f} s, though the port accepts connections", False
            except (openai.APIError, httpx2.HTTPError) as e:
                said, ok = f"the connection failed: {_first(str(e.__cause__ or e))}", False
            except (ValueError, KeyError, IndexError, TypeError, AttributeError) as e:
                said, ok = f"the answer has not the form of an OpenAI answer ({type(e).__name__}: {_first(str(e))})", False
            yield Result(name, ok, said, time.monotonic() - began, refuted, refused)

    def _health(self) -> str:
        answer = self._get(self.verify["paths"]["health"], timeout=30.0)
        if answer.status_code != 200:
            raise Unseen(f"{self.verify['paths']['health']} says {answer.status_code}, expected 200")
        return f"200 ({self.api.way})"

    def _model(self) -> str:
        """A model that a second command launched shows after a while."""
        wanted = self.verify["model"]

        def listed() -> list[str]:
            return [m.id for m in self.client.models.list(timeout=30).data]

        def last(state: RetryCallState) -> list[str]:
            found: list[str] = state.outcome.result() if state.outcome else []
            return found

        poll = Retrying(
            retry=retry_if_result(lambda ids: wanted not in ids) | retry_if_exception_type(openai.APIConnectionError),
            stop=stop_after_delay(20), wait=wait_random(0.3, 1.2), sleep=gevent.sleep, retry_error_callback=last,
        )  # fmt: skip
        ids = poll(listed)
        if wanted not in ids:
            raise Refuted(f"the model list has {', '.join(ids) or 'nothing'}, expected {wanted}")
        return str(wanted)

    def _ranks(self) -> str:
        """Tokens from every data-parallel rank, seen in its own counter."""
        ranks, header = int(self.verify["ranks"]), self.verify["rank_header"]
        if ranks == 1:
            return f"{self._one()} tokens"
        before = self._generated()
        seen: set[str] = set()
        if header:
            for rank in range(ranks):
                try:
                    self._short({header: str(rank)})
                except (openai.APITimeoutError, httpx2.TimeoutException):
                    if self.lenient and str(rank) in judge.moved(before, self._generated()):
                        continue
                    raise Unseen(f"rank {rank} did not answer one short completion within {self.patience:.0f} s") from None
                except openai.APIStatusError as e:
                    raise Unseen(f"rank {rank} answered HTTP {e.status_code}: {_first(e.message)}") from e
        for turn in range(TRIES):
            seen = judge.moved(before, self._generated())
            if len(seen) >= ranks:
                return f"{ranks} of {ranks} ranks generated tokens"
            if not header:
                jobs = [gevent.spawn(self._short, None) for _ in range(ranks)]
                gevent.joinall(jobs, raise_error=True)
            elif turn > 5:
                break
            else:
                gevent.sleep(0.5)
        silent = [str(r) for r in range(ranks) if str(r) not in seen]
        kind = Refuted if header else Unseen  # requests that were not sent to a rank tell nothing of it
        raise kind(f"no token was counted for rank {', '.join(silent)}: vllm:generation_tokens_total of these engines did not move")

    def _one(self) -> int:
        before = self._counted() if self.lenient else 0
        try:
            return self._short(None)
        except (openai.APITimeoutError, httpx2.TimeoutException):
            if not before or (more := self._counted() - before) <= 0:
                raise
            return more

    def _counted(self) -> int:
        """All tokens so far; none where the engine counts none."""
        answer = self._get(self.verify["paths"]["metrics"], timeout=30.0)
        return int(sum(metrics.generated(answer.text).values())) if answer.status_code == 200 else 0

    def _generated(self) -> dict[str, float]:
        answer = self._get(self.verify["paths"]["metrics"], timeout=30.0)
        if answer.status_code != 200:
            raise Unseen(
                f"{self.verify['paths']['metrics']} says {answer.status_code}, and without counters no rank can be told from another"
            )
        return metrics.generated(answer.text)

    def _short(self, headers: Mapping[str, str] | None) -> int:
        done = self.client.chat.completions.create(
            model=self.verify["model"], messages=[{"role": "user", "content": "Hello"}], max_tokens=4, temperature=0, extra_headers=headers
        )
        count = done.usage.completion_tokens if done.usage else 0
        if not done.choices or count < 1:
            raise Refuted("a completion came back without a token")
        return count

    def _request(self, request: Mapping[str, Any]) -> str:
        """A request of the recipe, judged as the recipe expects."""
        if not request["path"].endswith("/chat/completions"):
            return self._plain(request)
        message = self._chat(request["body"])
        if request["expect"] == "tool-call":
            why = judge.tool_call(message, request["body"].get("tools", []))
            if why:
                raise Refuted(why)
            call = message["tool_calls"][0]["function"]
            return f"{call['name']}({call['arguments']})"
        if request["expect"] == "reasoning" and not judge.thinking(message):
            raise Refuted("no thinking was separated from the answer")
        return self._readable(judge.content(message))

    def _plain(self, request: Mapping[str, Any]) -> str:
        answer = self.api.client.post(self.api.url + request["path"], json=request["body"], headers=self._headers(), timeout=self.patience)
        if answer.status_code != 200:
            raise Unseen(f"{request['path']} says {answer.status_code}: {_first(answer.text)}")
        items = answer.json().get("output", [])
        kinds = [i.get("type") for i in items]
        if request["expect"] == "reasoning" and "reasoning" not in kinds:
            raise Refuted(f"{request['path']} gave {', '.join(map(str, kinds)) or 'nothing'}, expected a reasoning item")
        return f"items: {', '.join(map(str, kinds))}"

    def _list_content(self, request: Mapping[str, Any]) -> str:
        """Clients also send content as a list of parts."""
        messages = [{**m, "content": [{"type": "text", "text": m["content"]}]} for m in request["body"]["messages"]]
        return self._readable(judge.content(self._chat({**request["body"], "messages": messages, "stream": False})))

    def _stream(self, request: Mapping[str, Any]) -> str:
        body = {k: v for k, v in request["body"].items() if k not in ("stream", "tools", "tool_choice")}
        chunks, text = 0, ""
        for chunk in self.client.chat.completions.create(**{**body, "stream": True}):
            for choice in chunk.choices:
                piece = judge.content(choice.delta.model_dump())
                chunks += bool(piece)
                text += piece
        if chunks < 2:
            raise Refuted(f"{chunks} chunks came, expected the answer in pieces")
        return f"{chunks} chunks, {self._readable(text)}"

    def _forced(self, request: Mapping[str, Any]) -> str:
        """A named tool must be called, where the engine knows tool_choice; required arguments are not promised by it."""
        tools = request["body"]["tools"]
        name = tools[0]["function"]["name"]
        try:
            message = self._chat({**request["body"], "tool_choice": {"type": "function", "function": {"name": name}}})
        except openai.BadRequestError as e:
            return f"the engine does not take it ({_first(e.message)})"
        calls = message.get("tool_calls") or []
        if not calls or calls[0]["function"]["name"] != name:
            raise Refuted(f"{name} was forced and not called; the answer was {judge.content(message)[:60]!r}")
        return f"{name} was called"

    def _soak(self, request: Mapping[str, Any], seconds: float) -> str:
        """Requests side by side for a while: some engines die of the second minute, not of the first request."""
        end, done, errors, wrong = time.monotonic() + seconds, 0, list[str](), False

        def worker() -> None:
            nonlocal done, wrong
            while time.monotonic() < end and not self.cancelled():
                try:
                    text = judge.content(self._chat({**request["body"], "max_tokens": 32}))
                    done += 1
                    why = judge.garbled(text)
                    if why:
                        errors.append(why)
                        wrong = True
                except openai.OpenAIError as e:
                    errors.append(_first(str(e)))
                    gevent.sleep(0.2)

        gevent.joinall([gevent.spawn(worker) for _ in range(CONCURRENT)])
        if errors:
            raise (Refuted if wrong else Unseen)(
                f"{len(errors)} of {done + len(errors)} requests failed in {seconds:.0f} s at {CONCURRENT} side by side: {errors[0]}"
            )
        if not done:
            raise Unseen(f"no request was answered in {seconds:.0f} s")
        return f"{done} requests in {seconds:.0f} s, {CONCURRENT} side by side, no error"

    def _chat(self, body: Mapping[str, Any]) -> dict[str, Any]:
        message: dict[str, Any] = self.client.chat.completions.create(**body).choices[0].message.model_dump()
        return message

    def _readable(self, text: str) -> str:
        why = judge.garbled(text)
        if why:
            raise Refuted(f"the answer looks garbled: {why}: {text[:80]!r}")
        return repr(" ".join(text.split())[:70])

    def _get(self, path: str, timeout: float) -> httpx2.Response:
        return self.api.client.get(self.api.url + path, timeout=timeout, headers=self._headers())

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}


def _first(text: str) -> str:
    return next((line.strip() for line in str(text).splitlines() if line.strip()), "")[:160]
