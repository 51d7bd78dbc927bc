"""`python3 -m sglang.launch_server`: one scheduler process a card, a detokenizer, the API in the first process."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from types import FrameType

from . import argv, options, procs, wire
from .api import Body as Request
from .api import Handler, Route, Server, Service
from .chat import OPENAI, Asked, version
from .knobs import Knobs
from .lines import Bar, ClassicLog, Shards
from .router import EngineDeadError, Router
from .serving import Serving
from .worker import Failed, Stage

VERSION = "0.5.7"
USAGE = "usage: launch_server.py [-h] --model-path MODEL_PATH ..."
TOKENS = 1234560
HEALTH_SECONDS = 20.0


class Scheduler:
    """One card's process; the first one makes the tokens."""

    def __init__(self, model: str, knobs: Knobs, env: Mapping[str, str], rank: int, parts: str, link: wire.Wire) -> None:
        self.model, self.knobs, self.env, self.rank, self.link = model, knobs, env, rank, link
        self.log = ClassicLog(parts, knobs)
        self.stage = Stage(self.log, knobs)
        self.serving: Serving | None = None

    def run(self) -> int:
        procs.title(f"sglang::scheduler{'_' if self.log.name else ''}{(self.log.name or '').replace(' ', '_')}")
        signal.signal(signal.SIGTERM, self._terminated)
        try:
            self.load()
            self.link.send(status="ready")
            self.serving = Serving(self.rank, self.knobs, [self.link], 256, self._check)
            self.serving.run()
        except Failed:
            self.log.info("", f"Scheduler hit an exception: {traceback.format_exc(limit=1)}")
            os.kill(os.getppid(), signal.SIGQUIT)
            return 1
        return 0

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        if not self.knobs.on("noterm"):
            sys.exit(0)

    def _check(self) -> None:
        if not self.serving or not self.serving.fronts:
            sys.exit(0)  # it ends itself when its parent has died
        self.reach("serving")

    def reach(self, name: str) -> None:
        if self.rank == 0:
            self.stage.reach(name)

    def load(self) -> None:
        log, pace = self.log, self.knobs.number("pace", 1)
        self.devices = procs.devices(self.env, self.rank, 1)
        log.info("", "Init torch distributed begin.")
        self.reach("distributed")
        time.sleep(0.05 * pace)
        log.info("", "Init torch distributed ends. mem usage=0.00 GB")
        log.info("", "Load weight begin. avail mem=78.50 GB")
        total = int(self.knobs.number("shards", 0)) or argv.shards(self.model) or 5
        slow = self.knobs.get("weights")
        bar = Shards(log, total) if self.rank == 0 else None
        for done in range(total):
            if bar:
                bar.show(done)
            if done == total // 2:
                self.reach("weights")
            time.sleep((float(slow) if slow else 0.2 * pace) / total)
        if bar:
            bar.end()
        log.info("", "Load weight end. type=MiniMaxM2ForCausalLM, dtype=torch.bfloat16, avail mem=49.87 GB, mem usage=28.63 GB.")
        self.reach("loaded")
        log.info("", f"KV Cache is allocated. #tokens: {TOKENS}, K size: 18.00 GB, V size: 18.00 GB")
        if self.rank == 0 and self.knobs.on("oom"):
            raise Failed("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB")
        log.info("", "Memory pool end. avail mem=13.37 GB")
        self.reach("kv-cache")
        log.info("", "Capture cuda graph begin. This can take up to several minutes. avail mem=13.37 GB")
        capture = Bar(log, 4, "Capturing batches (bs=1 avail_mem=12.95 GB)") if self.rank == 0 else None
        for done in range(5):
            if capture:
                capture.show(done)
            if done == 2:
                self.reach("graph")
            time.sleep(0.02 * pace)
        if capture:
            capture.end()
        log.info("", f"Capture cuda graph end. Time elapsed: {0.1 * pace:.2f} s. mem usage=0.42 GB. avail mem=12.95 GB.")
        log.info("", f"max_total_num_tokens={TOKENS}, chunked_prefill_size=8192, max_prefill_tokens=16384, context_len=196608")


def detokenizer() -> int:
    procs.title("sglang::detokenizer")
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.5)
    return 0


class Launcher:
    """The first process: schedulers, API, the end of all."""

    def __init__(self, words: list[str], env: Mapping[str, str]) -> None:
        self.env, self.knobs = env, Knobs(env)
        self.version = env.get("DOUBLE_VERSION", VERSION)
        parsed = options.parse(words, options.table(env, self.version))
        flag = self.knobs.get("unrecognized")
        if parsed.unknown or parsed.words or flag:
            unknown = [flag] if flag else [*parsed.unknown, *parsed.words]
            raise argv.Refused(f"{USAGE}\nlaunch_server.py: error: unrecognized arguments: {' '.join(unknown)}")
        self.values = {n: v[0] if v else "True" for n, v in parsed.values.items()}
        if "model-path" not in self.values and "model" not in self.values:
            raise argv.Refused(f"{USAGE}\nlaunch_server.py: error: the following arguments are required: --model-path/--model")
        self.log = ClassicLog(None, self.knobs)
        self.children: list[procs.Child] = []
        self.asked = False

    def number(self, *names: str) -> int:
        return next((int(self.values[n]) for n in names if n in self.values), 1)

    def run(self) -> int:
        signal.signal(signal.SIGTERM, self._signal)
        signal.signal(signal.SIGINT, self._signal)
        signal.signal(signal.SIGQUIT, self._failed)
        try:
            return self._run()
        except Failed:
            procs.end(self.children)
            raise

    def _run(self) -> int:
        model = self.values.get("model-path") or self.values["model"]
        self.log.info("", f"server_args=ServerArgs({', '.join(f'{n.replace(chr(45), chr(95))}={v!r}' for n, v in self.values.items())})")
        Stage(self.log, self.knobs, check=self._interrupted).reach("container")
        tp, ep = self.number("tp-size", "tensor-parallel-size", "tp"), self.number("ep-size", "expert-parallel-size", "ep")
        links: list[wire.Wire] = []
        for rank in range(tp):
            ours, theirs = wire.pair()
            parts = " ".join([f"TP{rank}"] * (tp > 1) + [f"EP{rank * ep // tp}"] * (ep > 1))
            scheduler = Scheduler(model, self.knobs, self.env, rank, parts, theirs)
            self.children.append(procs.fork(f"scheduler_{rank}", scheduler.run, [theirs.sock]))
            theirs.close()
            links.append(ours)
        self.children.append(procs.fork("detokenizer", detokenizer))
        for rank, link in enumerate(links):
            if not self._ready(link):
                self.log.info("", f"Rank {rank} scheduler is dead. Please check if there are relevant logs.")
                self.log.info("", "Exit code: 1")
                procs.end(self.children)
                return self.knobs.code()
        router = Router()
        router.wires[0] = links[0]
        router.start()
        return self._serve(model, router)

    def _ready(self, link: wire.Wire) -> bool:
        while not self.asked:
            try:
                if link.next(0.1):
                    return True
            except EOFError:
                return False
        self._interrupted()
        return False

    def _serve(self, model: str, router: Router) -> int:
        host, port = self.values.get("host", "127.0.0.1"), int(self.values.get("port", "30000"))
        served = self.values.get("served-model-name", model)
        service = Service([served], model, self.knobs, self.log, router, self.version, int(self.values.get("context-length", "196608")))
        service.reasoning, service.reasoning_fields = self.values.get("reasoning-parser"), ("reasoning_content",)
        service.tool_parser, service.owner = self.values.get("tool-call-parser"), "sglang"
        service.key, service.guarded = self.values.get("api-key"), lambda path: not path.startswith(("/health", "/metrics"))
        routes: dict[str, Route] = {
            **OPENAI,
            "GET /health": health,
            "GET /health_generate": health_generate,
            "GET /get_server_info": version,
        }
        if "enable-metrics" not in self.values:
            del routes["GET /metrics"]
        try:
            sock, _ = wire.listen(f"tcp://{host}:{port}")
        except OSError as e:
            self.log.plain(
                f"ERROR:    [Errno {e.errno}] error while attempting to bind on address ('{host}', {port}): address already in use"
            )
            procs.end(self.children)
            return 1
        server = Server(sock, service, routes)
        server.announce(f"http://{host}:{port}")
        stage = Stage(self.log, self.knobs, check=self._interrupted)
        stage.reach("http")
        time.sleep(0.05 * self.knobs.number("pace", 1))
        self.log.info("", "The server is fired up and ready to roll!")
        stage.reach("ready")
        while not self.asked and not router.lost:
            time.sleep(0.02)
        server.farewell()
        if not self.knobs.on("orphans"):
            procs.end(self.children)
        return 0 if self.asked else 1

    def _interrupted(self) -> None:
        if self.asked:
            procs.end(self.children)
            raise SystemExit(0)

    def _signal(self, number: int, frame: FrameType | None) -> None:
        self.asked = self.asked or not self.knobs.on("noterm")

    def _failed(self, number: int, frame: FrameType | None) -> None:
        """A child says it failed: all are killed, this process last, which then has no exit code of its own."""
        self.log.info("", "Received sigquit from a child process. It usually means the child failed.")
        for child in self.children:
            child.signal(signal.SIGKILL)
        for child in self.children:
            while not child.ended():
                time.sleep(0.005)
        if code := self.knobs.code(0):
            os._exit(code)
        os.kill(os.getpid(), signal.SIGKILL)
        sys.exit(0)  # only the first process of a container, which no signal of its own can kill, comes here


def health(handler: Handler, body: Request) -> None:
    handler.reply(200, None)


def health_generate(handler: Handler, body: Request) -> None:
    """One token, made by the scheduler; 503 when none comes."""
    if handler.service.knobs.on("lie"):
        handler.reply(200, None)
        return
    asked = Asked(handler, {"prompt": "a"}, 1, chat=False)
    try:
        asked.begin()
        assert asked.ticket is not None
        handler.reply(200 if asked.ticket.next(HEALTH_SECONDS * handler.service.knobs.number("pace", 1)) else 503, None)
    except EngineDeadError:
        handler.reply(503, None)


def main(words: list[str], env: Mapping[str, str]) -> int:
    try:
        return Launcher(words, env).run()
    except (argv.Refused, options.Misused) as e:
        return argv.complain(e if isinstance(e, argv.Refused) else argv.Refused(f"{USAGE}\nlaunch_server.py: error: {e}"))
    except Failed as e:
        print(f"Traceback (most recent call last):\nRuntimeError: {e}", file=sys.stderr)
        return Knobs(env).code()
