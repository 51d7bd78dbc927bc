"""The HTTP server of the double: what all engines' APIs share."""

from __future__ import annotations

import json
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .argv import Layout
from .fields import Fields
from .knobs import Knobs
from .lines import ERR, Log, put
from .router import EngineDeadError, Router

Body = dict[str, Any]
INVALID = "Bad Request"  # the kind of error that the schema of a request gives
Route = Callable[["Handler", Body], None]


class ApiError(Exception):
    """An answer that is an error, in OpenAI's form."""

    def __init__(self, status: int, message: str, kind: str = "BadRequestError", param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.kind, self.param = status, kind, param

    def body(self) -> Body:
        return {"error": {"message": str(self), "type": self.kind, "param": self.param, "code": self.status}}


@dataclass
class Service:
    """What the API serves and how."""

    served: list[str]
    root: str
    knobs: Knobs
    log: Log
    router: Router
    version: str
    max_len: int = 196608
    reasoning: str | None = None
    reasoning_fields: tuple[str, ...] = ("reasoning",)
    tool_parser: str | None = None
    auto_tools: bool = True
    key: str | None = None
    owner: str = "vllm"
    access_log: bool = True
    guarded: Callable[[str], bool] = lambda path: path.startswith("/v1")
    refusal: Body = field(default_factory=lambda: {"error": "Unauthorized"})
    fields: Fields = field(default_factory=Fields)
    noted: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @classmethod
    def of(cls, lay: Layout, knobs: Knobs, log: Log, router: Router) -> Service:
        """vLLM's. Where the thinking is put has changed with its releases."""
        fields = (
            ("reasoning",) if lay.has("0.16.0") else ("reasoning", "reasoning_content") if lay.has("0.12.0") else ("reasoning_content",)
        )
        service = cls(lay.served, lay.model, knobs, log, router, lay.version, lay.max_len, lay.reasoning, fields)
        service.fields = Fields(lay.version)
        service.tool_parser, service.auto_tools = lay.tool_parser, lay.auto_tools
        service.key, service.access_log = lay.api_key, lay.access_log
        return service

    def mark(self) -> str:
        """What uvicorn's lines begin with; 0.32 does not mark them."""
        return "" if self.fields.has("0.32.0") else self.log.mark()

    def check_model(self, body: Body) -> str:
        """The served name a request asks for."""
        name = str(body.get("model") or self.served[0])
        if name not in self.served:
            known = f" Valid aliases: {', '.join(self.served)}." if self.fields.has("0.32.0") else ""
            raise ApiError(404, f"The model `{name}` does not exist.{known}", "NotFoundError", "model")
        return name

    def tick(self) -> None:
        """The line with throughput, every ten seconds while something moves."""
        now = time.monotonic()
        then, prompt, made = self.noted
        if now - then < 10:
            return
        all_prompt = sum(s.get("prompt", 0) for s in self.router.stats.values())
        all_made = sum(s.get("generation", 0) for s in self.router.stats.values())
        self.noted = (now, all_prompt, all_made)
        if then and (all_prompt, all_made) != (prompt, made):
            rates = (
                f"Avg prompt throughput: {(all_prompt - prompt) / 10:.1f} tokens/s, Avg generation throughput: {(all_made - made) / 10:.1f}"
            )
            for rank, stats in sorted(self.router.stats.items()):
                load = f"Running: {stats.get('running', 0):.0f} reqs, Waiting: {stats.get('waiting', 0):.0f} reqs"
                usage = f"GPU KV cache usage: {100 * stats.get('kv', 0):.1f}%, Prefix cache hit rate: 0.0%"
                self.log.info("loggers.py:259", f"Engine {rank:03}: {rates} tokens/s, {load}, {usage}")


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    @property
    def service(self) -> Service:
        return self.server.service

    def do_GET(self) -> None:
        self.dispatch("GET")

    def do_POST(self) -> None:
        self.dispatch("POST")

    def dispatch(self, method: str) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        while self.service.knobs.on("deaf"):
            if self.gone():
                self.close_connection = True
                return
            time.sleep(0.02)
        try:
            self._route(method, path, raw)
        except EngineDeadError as e:
            self.reply(500, ApiError(500, str(e), "InternalServerError").body())
        except ApiError as e:
            self.reply(e.status, e.body())
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        except Exception as e:
            self.service.log.failure("server_utils.py:358", "Exception caught.", e)
            self.reply(500, ApiError(500, str(e), "InternalServerError").body())

    def _route(self, method: str, path: str, raw: bytes) -> None:
        service, routes = self.service, self.server.routes
        if service.key and service.guarded(path) and self.headers.get("Authorization") != f"Bearer {service.key}":
            self.reply(401, service.refusal)
            return
        route = routes.get(f"{method} {path}")
        if route is None:
            known = any(r.endswith(f" {path}") for r in routes)
            self.reply(405 if known else 404, {"detail": "Method Not Allowed" if known else "Not Found"})
            return
        try:
            body = json.loads(raw) if raw else {}
        except ValueError as e:
            raise ApiError(
                400, f"[{{'type': 'json_invalid', 'loc': ('body', 0), 'msg': 'JSON decode error', 'ctx': {{'error': '{e}'}}}}]", INVALID
            ) from e
        if not isinstance(body, dict):
            raise ApiError(400, "[{'type': 'dict_type', 'loc': ('body',), 'msg': 'Input should be a valid dictionary'}]", INVALID)
        route(self, body)

    def reply(self, status: int, answer: Body | list[Any] | str | None, kind: str = "application/json") -> None:
        data = b"" if answer is None else answer.encode() if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False).encode()
        self.send_response(status)
        if answer is not None:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def event(self, data: Body | str) -> None:
        text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
        self.chunk(f"data: {text}\n\n".encode())

    def chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def gone(self) -> bool:
        """Whether the client has hung up."""
        try:
            return bool(select.select([self.connection], [], [], 0)[0]) and self.connection.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            return True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        if self.service.access_log:
            host, port = self.client_address[:2]
            phrase = self.responses.get(code, ("",))[0] if isinstance(code, int) else ""
            put(f'{self.service.mark()}INFO:     {host}:{port} - "{self.requestline}" {int(code)} {phrase}\n')

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: only uvicorn's own access line is written."""

    def version_string(self) -> str:
        return "uvicorn"


class Server(ThreadingHTTPServer):
    """The server on a socket that is bound already."""

    daemon_threads = True
    request_queue_size = 2048

    def __init__(self, sock: socket.socket, service: Service, routes: Mapping[str, Route]) -> None:
        super().__init__(sock.getsockname()[:2], Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = sock
        self.service, self.routes = service, routes
        self.closing = False

    def start(self) -> None:
        # Several API servers share this socket: who is woken and comes too late must not wait in accept.
        self.socket.setblocking(False)
        self.socket.listen(self.request_queue_size)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def announce(self, where: str = "") -> None:
        """Uvicorn's lines, and the start between them; with `where` it also says on which address it runs."""
        self.say(f"Started server process [{os.getpid()}]", "Waiting for application startup.", "Application startup complete.")
        self.start()
        if where:
            self.say(f"Uvicorn running on {where} (Press CTRL+C to quit)")

    def farewell(self) -> None:
        self.say("Shutting down")
        self.shutdown()
        self.socket.close()
        self.say("Waiting for application shutdown.", "Application shutdown complete.")

    def say(self, *texts: str) -> None:
        put("".join(f"{self.service.mark()}INFO:     {t}\n" for t in texts), ERR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a client that went away is no error."""
