"""`xinference-local`, the server, and `xinference launch`, which has it load a model."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from types import FrameType
from typing import Any

from . import argv, options, procs, wire
from .api import ApiError, Handler, Route, Server, Service
from .api import Body as Request
from .chat import OPENAI, models
from .knobs import Knobs
from .lines import Shards, XinferenceLog, put
from .router import Router
from .serving import Serving
from .worker import Failed, Stage

VERSION = "4.1.0"
SHORT = {"-H": "--host", "-p": "--port", "-e": "--endpoint", "-n": "--model-name", "-u": "--model-uid", "-en": "--model-engine"}
SHORT |= {"-s": "--size-in-billions", "-f": "--model-format", "-q": "--quantization", "-ak": "--api-key", "-r": "--replica"}


class Detail(ApiError):
    """An error in the form of this server."""

    def body(self) -> Request:
        return {"detail": str(self)}


class XService(Service):
    """Models come and go; a request for one that is not there is refused in this server's words."""

    log: XinferenceLog

    def check_model(self, body: Request) -> str:
        name = str(body.get("model", ""))
        if name not in self.served:
            known = f"Available model uids: {self.served}"
            raise Detail(404, f"[address={self.log.address}, pid={os.getpid()}] Model not found in the model list, uid: {name}. {known}")
        return name


class Model:
    """The model's process: idle until it is told to load."""

    def __init__(self, knobs: Knobs, env: Mapping[str, str], link: wire.Wire, address: str) -> None:
        self.knobs, self.env, self.link = knobs, env, link
        self.log = XinferenceLog(address, knobs)
        self.stage = Stage(self.log, knobs, link)
        self.serving: Serving | None = None

    def run(self) -> int:
        signal.signal(signal.SIGTERM, self._terminated)
        while True:
            try:
                message = self.link.next(3600)
            except EOFError:
                return 0
            if message is None:
                continue
            try:
                self.load(str(message["load"]))
            except Failed as e:
                self.log.log("ERROR", "xinference.core.worker", f"Failed to load model {message['uid']}: {e}")
                self.link.send(failed=str(e))
                continue
            self.link.send(loaded=message["uid"])
            self.serving = Serving(0, self.knobs, [self.link], 64, self._check)
            self.serving.run()

    def _check(self) -> None:
        if self.serving and not self.serving.fronts:
            sys.exit(0)
        self.stage.reach("serving")

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        if not self.knobs.on("noterm"):
            sys.exit(0)

    def load(self, path: str) -> None:
        self.devices = procs.devices(self.env, 0, 1)
        total = int(self.knobs.number("shards", 0)) or argv.shards(path) or 5
        slow = self.knobs.get("weights")
        bar = Shards(self.log, total, "Loading checkpoint shards")
        for done in range(total):
            bar.show(done)
            if done == total // 2:
                self.stage.reach("weights")
            self.stage.wait((float(slow) if slow else 0.2 * self.knobs.number("pace", 1)) / total)
        bar.end()
        if self.knobs.on("oom"):
            raise Failed("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB")
        self.stage.reach("loaded")


class Local:
    """The server: supervisor, worker and API in one, and the model's process."""

    def __init__(self, words: list[str], env: Mapping[str, str]) -> None:
        self.env, self.knobs = env, Knobs(env)
        self.version = env.get("DOUBLE_VERSION", VERSION)
        parsed = options.parse([SHORT.get(w, w) for w in words], options.table(env, self.version))
        if unknown := [*parsed.unknown, *parsed.words, *filter(None, [self.knobs.get("unrecognized")])]:
            start = "Usage: xinference-local [OPTIONS]\nTry 'xinference-local --help' for help.\n\n"
            raise argv.Refused(f"{start}Error: No such option: {unknown[0]}")
        self.host = (parsed.values.get("host") or ["127.0.0.1"])[0]
        self.port = int((parsed.values.get("port") or ["9997"])[0])
        self.log = XinferenceLog(f"{self.host}:{self.port + 1}", self.knobs)
        self.asked = False
        self.children: list[procs.Child] = []
        self.loads: dict[str, Request] = {}

    def run(self) -> int:
        signal.signal(signal.SIGTERM, self._signal)
        signal.signal(signal.SIGINT, self._signal)
        try:
            return self._run()
        except Failed as e:
            self.log.log("ERROR", "xinference.api.restful_api", str(e))
            procs.end(self.children)
            return self.knobs.code()

    def _run(self) -> int:
        ours, theirs = wire.pair()
        model = Model(self.knobs, self.env, theirs, self.log.address)
        self.children = [procs.fork("model", model.run, [theirs.sock])]
        theirs.close()
        self.link = ours
        Stage(self.log, self.knobs, check=self._interrupted).reach("container")
        try:
            sock, _ = wire.listen(f"tcp://{self.host}:{self.port}")
        except OSError as e:
            where = f"('{self.host}', {self.port})"
            self.log.log("ERROR", "uvicorn.error", f"[Errno {e.errno}] error while attempting to bind on address {where}: {e.strerror}")
            procs.end(self.children)
            return 1
        self.log.info("xinference.core.supervisor", f"Xinference supervisor {self.host}:{self.port + 1} started")
        self.log.info("xinference.core.worker", "Starting metrics export server at 127.0.0.1:None")
        self.log.info("xinference.core.worker", f"Xinference worker {self.host}:{self.port + 2} started")
        self.router = Router()
        self.service = XService([], "", self.knobs, self.log, self.router, self.version)
        self.service.owner, self.service.reasoning_fields, self.service.tool_parser = "xinference", ("reasoning_content",), "minimax"
        self.service.reasoning = "append_think"  # it puts the template's open <think> before the answer
        if options.order(self.version) >= options.order("4.0.0") and self.env.get("XINFERENCE_AUTH_ADVANCED", "true") not in (
            "0",
            "false",
            "no",
        ):
            # On by default from 4.0 on. Nobody has an account here, so nobody is let in.
            self.service.key, self.service.refusal = "\0", {"detail": "Could not validate credentials"}
        routes: dict[str, Route] = {**OPENAI, "GET /v1/models": listed, "GET /status": self.status, "POST /v1/models": self.launch}
        del routes["GET /metrics"]
        self.routes = routes | {"GET /v1/models/instances": self.instances, "GET /metrics": no_metrics}
        server = Server(sock, self.service, self.routes)
        server.announce()
        Stage(self.log, self.knobs, check=self._interrupted).reach("http")
        while not self.asked:
            time.sleep(0.02)
        server.farewell()
        if not self.knobs.on("orphans"):
            procs.end(self.children)
        return 0

    def _interrupted(self) -> None:
        if self.asked:
            procs.end(self.children)
            raise SystemExit(0)

    def _signal(self, number: int, frame: FrameType | None) -> None:
        self.asked = self.asked or not self.knobs.on("noterm")

    def status(self, handler: Handler, body: Request) -> None:
        handler.reply(200, {"uptime": int(time.monotonic()), "workers": {f"{self.host}:{self.port + 2}": {}}})

    def launch(self, handler: Handler, body: Request) -> None:
        """Starts the load; answers at once or when it is done, as `wait_ready` says."""
        uid = str(body.get("model_uid") or body.get("model_name") or "")
        if not uid or not body.get("model_engine"):
            raise Detail(400, "Invalid input. Please specify the `model_name` and the `model_engine`.")
        if self.loads:
            raise Detail(400, f"[address={self.log.address}, pid={os.getpid()}] Model is already in the model list, uid: {uid}")
        self.loads[uid] = {"model_uid": uid, "model_name": body.get("model_name"), "status": "CREATING", "replica_statuses": []}
        self.routes[f"GET /v1/models/{uid}/progress"] = lambda h, _: h.reply(200, {"progress": float(uid in self.service.served)})
        self.log.info("xinference.core.worker", f"Loading model {uid} from {body.get('model_path')}")
        self.link.send(load=str(body.get("model_path") or ""), uid=uid)
        waiter = threading.Thread(target=self._await, args=(uid,), daemon=True)
        waiter.start()
        if "wait_ready=false" not in handler.path.lower():
            waiter.join()
            if self.loads.get(uid, {}).get("status") != "READY":
                raise Detail(500, "the model did not load")
        handler.reply(200, {"model_uid": uid})

    def _await(self, uid: str) -> None:
        try:
            message: dict[str, Any] | None = None
            while message is None:
                message = self.link.next(60)
        except EOFError:
            message = {"failed": "the model's process is gone"}
        entry = self.loads[uid]
        if "failed" in message:
            entry |= {"status": "ERROR", "replica_statuses": [{"error_message": message["failed"]}]}
            self.loads = {}
            self.failed = entry
            return
        self.router.wires[0] = self.link
        self.router.start()
        self.service.served.append(uid)
        entry["status"] = "READY"

    def instances(self, handler: Handler, body: Request) -> None:
        handler.reply(200, list(self.loads.values()) or [getattr(self, "failed", {"status": "TERMINATED"})])


def listed(handler: Handler, body: Request) -> None:
    models(handler, body)


def no_metrics(handler: Handler, body: Request) -> None:
    handler.reply(200, "", "text/plain")


class Client:
    """`xinference launch`: posts the model, then polls until it is ready."""

    def __init__(self, words: list[str]) -> None:
        # This command takes unknown options too, and hands them to the model.
        self.values = {n: v[0] if v else "" for n, v in options.parse([SHORT.get(w, w) for w in words], None).values.items()}
        self.endpoint = self.values.get("endpoint", "http://127.0.0.1:9997").rstrip("/")

    def call(self, path: str, body: Request | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.endpoint + path, data, {"Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=600) as answer:
            return json.load(answer)

    def run(self) -> int:
        if "model-name" not in self.values:
            print("Usage: xinference launch [OPTIONS]\n\nError: Missing option '--model-name' / '-n'.", file=sys.stderr)
            return 2
        renamed = {"size_in_billions": "model_size_in_billions"}
        body = {renamed.get(n.replace("-", "_"), n.replace("-", "_")): v for n, v in self.values.items() if n != "endpoint"}
        try:
            uid = self.call("/v1/models?wait_ready=false", body)["model_uid"]
        except urllib.error.HTTPError as e:
            detail = json.loads(e.read() or b"{}").get("detail")
            print(f"Traceback (most recent call last):\nRuntimeError: Failed to launch model, detail: {detail}", file=sys.stderr)
            return 1
        except OSError as e:
            print(f"Traceback (most recent call last):\nrequests.exceptions.ConnectionError: {e}", file=sys.stderr)
            return 1
        while (status := self.call(f"/v1/models/instances?model_uid={uid}")[0])["status"] == "CREATING":
            put(f"\rLaunching model:  {100 * self.call(f'/v1/models/{uid}/progress')['progress']:.0f}%| | 0.0%", 2)
            time.sleep(0.05)
        put("\n", 2)
        if status["status"] != "READY":
            errors = "; ".join(r["error_message"] for r in status.get("replica_statuses", [])) or "see the server logs for details."
            print(f"Error: Failed to launch model {uid}: {errors}", file=sys.stderr)
            return 1
        put("\rLaunching model: 100%|██████████ | 100.0%\n", 2)
        print(f"Model uid: {uid}", file=sys.stderr)
        return 0


def main(words: list[str], env: Mapping[str, str]) -> int:
    if words[:1] == ["launch"]:
        return Client(words[1:]).run()
    if words[:1] != ["local"]:
        print("double: of `xinference` it knows only `launch`", file=sys.stderr)
        return 2
    try:
        return Local(words[1:], env).run()
    except argv.Refused as e:
        return argv.complain(e)
    except options.Misused as e:
        print(f"Usage: xinference-local [OPTIONS]\n\nError: {e}", file=sys.stderr)
        return 2
