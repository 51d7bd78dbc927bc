"""`vllm serve`: rank 0's front end with the API, and the headless launcher of the other nodes."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Mapping

from . import argv, procs, wire, worker
from .api import Server, Service
from .chat import ROUTES
from .engine import EngineCore
from .handshake import Handshake
from .knobs import Knobs
from .lines import Log
from .router import Router

NOTICE_SECONDS = 0.3  # between an engine's death and the end of the API; up to 5 s in vLLM
LOGO = (
    "\n       █     █     █▄   ▄█\n ▄▄ ▄█ █     █     █ ▀▄▀ █  version {}\n"
    "  █▄█▀ █     █     █     █  model   {}\n   ▀▀  ▀▀▀▀▀ ▀▀▀▀▀ ▀     ▀\n"
)
FP8 = "Detected fp8 MiniMax-M2 checkpoint on NPU. Disabling fp8 quantization and loading dequantized bf16 weights instead."


class Interrupted(Exception):
    """TERM while starting."""


class Launcher:
    """What front end and headless launcher share: engine cores, signals, the end."""

    def __init__(self, lay: argv.Layout, env: Mapping[str, str], name: str | None) -> None:
        self.lay, self.env = lay, env
        self.knobs = Knobs(env, lay.start_rank)
        self.log = Log(name, self.knobs)
        self.stage = worker.Stage(self.log, self.knobs, check=self.interrupted)
        self.asked = False
        self.children: list[procs.Child] = []
        self.engines: list[procs.Child] = []
        self.tracker: procs.Child | None = None
        self.tracked: wire.Wire | None = None
        signal.signal(signal.SIGTERM, self._signal)
        signal.signal(signal.SIGINT, self._signal)

    def _signal(self, number: int, frame: object) -> None:
        self.asked = self.asked or not self.knobs.on("noterm")

    def interrupted(self) -> None:
        if self.asked:
            raise Interrupted

    def launch(self, address: str) -> None:
        """The engine cores of this node, and the tracker that every Python with spawned children has."""
        ours, theirs = wire.pair()
        self.tracker = procs.fork("resource_tracker", lambda: tracker(theirs.sock), [theirs.sock])
        theirs.close()
        # Never read, and inherited by all: the tracker ends when nobody holds this side any more.
        procs.OWN.remove(ours.sock)
        self.tracked = ours
        for index in range(self.lay.dp_local):
            rank = self.lay.start_rank + index
            core = EngineCore(self.lay, self.env, rank, index, address)
            self.engines.append(procs.fork(core.name, core.run))

    def detected(self) -> None:
        """The Ascend plugin looks at the checkpoint when the configuration is made: before any engine core."""
        quantised = argv.config(self.lay.model).get("quantization_config") or {}
        if self.lay.platform == "ascend" and quantised.get("quant_method") == "fp8":
            self.log.warning("patch_minimax_m2_config.py:86", FP8)

    def end(self) -> None:
        if self.knobs.on("orphans"):
            return
        procs.end([*self.engines, *self.children])
        if self.tracked is not None:
            self.tracked.close()
        if self.tracker is not None:
            self.tracker.wait(1)


def tracker(sock: socket.socket) -> int:
    """Stands for multiprocessing's resource tracker: ends when its last user has."""
    procs.title("python -c from multiprocessing.resource_tracker import main;main(5)")
    procs.rename("python")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sock.recv(1)
    return 0


def coordinator() -> int:
    """Stands for the DP coordinator; the ranks meet in rank 0's front end instead."""
    procs.title("VLLM::DPCoordinator")
    while True:
        signal.pause()


class Front(Launcher):
    """Rank 0: API, handshake, watch over the engine cores."""

    def __init__(self, lay: argv.Layout, env: Mapping[str, str]) -> None:
        super().__init__(lay, env, "APIServer" if lay.api_servers == 1 else None)
        self.router = Router()
        self.sockets: list[tuple[socket.socket, str]] = []

    def run(self) -> int:
        try:
            return self._run()
        except Interrupted:
            self.log.plain("Traceback (most recent call last):\nKeyboardInterrupt: terminated")
            code = 130
        except (RuntimeError, OSError) as e:
            text = str(e) if str(e).startswith("zmq.") else f"{type(e).__name__}: {e}"
            self.log.plain(f"Traceback (most recent call last):\n{text}")
            code = self.knobs.code()
        self.end()
        self._unlink()
        if code > 128 and code != 130:
            os.kill(os.getpid(), code - 128)
        return code

    def _run(self) -> int:
        lay, log = self.lay, self.log
        if lay.api_servers > 1:
            log.info("serve.py:118", f"Defaulting api_server_count to data_parallel_size ({lay.api_servers}).")
        version = LOGO.format(lay.version, lay.model) if lay.has("0.16.0") else f"vLLM API server version {lay.version}"
        log.info("utils.py:297", version)
        log.info("utils.py:233", f"non-default args: {lay.given}")
        api = self._bind()
        self.stage.reach("container")
        self.detected()
        if lay.external_lb:
            text = "data_parallel_hybrid_lb is not eligible when data_parallel_size_local = 1, autoswitch to data_parallel_external_lb."
            log.warning("arg_utils.py:2170", text)
        address = f"tcp://{lay.address}:{lay.rpc_port}" if lay.remote else wire.hidden(self.env)
        try:
            rpc, address = wire.listen(address)
        except OSError as e:
            raise RuntimeError(f"zmq.error.ZMQError: {e.strerror} (addr='{address}')") from None
        if lay.dp > 1:
            self.children.append(procs.fork("DPCoordinator", coordinator))
            log.info("utils.py:889", f"Started DP Coordinator process (PID: {self.children[-1].pid})")
        place = wire.free(lay.address, self.env) if lay.remote else ""
        self.sockets = [wire.listen(place or wire.hidden(self.env), upwards=True) for _ in range(lay.api_servers)]
        self.launch(address)
        hand = Handshake(lay, log, rpc, self.engines, [a for _, a in self.sockets])
        try:
            hand.run(self.interrupted)
        finally:
            hand.close()
            wire.shut(rpc, address)
        if lay.api_servers > 1:
            return self._several(api)
        return self._serve(api, self.sockets[0][0])

    def _bind(self) -> socket.socket:
        """The API's port is taken before anything else, and answers only at the end."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((self.lay.host, self.lay.port))
        procs.OWN.append(sock)
        return sock

    def _serve(self, api: socket.socket, links: socket.socket) -> int:
        """The API in this process, until we are asked to stop or an engine is dead."""
        lay, log = self.lay, self.log
        self.router.accept(links, lay.dp)
        self.router.start()
        log.info("api_server.py:576", "Supported tasks: ['generate']")
        which = "server" if lay.has("0.18.0") else "API server 0"
        log.info("api_server.py:580", f"Starting vLLM {which} on http://{lay.host or '0.0.0.0'}:{lay.port}")
        self.stage.reach("http")
        service = Service.of(lay, self.knobs, log, self.router)
        server = Server(api, service, ROUTES)
        server.announce()
        died = self._watch(service)
        if self.knobs.on("orphans"):
            return 0
        if not died:
            procs.end(self.engines)
        log.info("launcher.py:138", "Shutting down FastAPI HTTP server.")
        server.farewell()
        self.end()
        self._unlink()
        code = int(self.knobs.number("peer-code", 0)) if died else 0
        return self.knobs.code(0) if died and self.knobs.at("die", "serving") else code

    def _watch(self, service: Service) -> bool:
        """True when an engine died, False when we were asked to stop."""
        noticed = 0.0
        while not self.asked:
            time.sleep(0.02)
            for core in self.engines:
                if core.ended() and not self.router.dead:
                    text = f"Engine core proc {core.name} died unexpectedly, shutting down client."
                    self.log.log("ERROR", "core_client.py:704", text)
                    self.router.fail()
            service.tick()
            if self.router.dead and not self.knobs.on("lie"):
                noticed = noticed or time.monotonic()
                if time.monotonic() - noticed > NOTICE_SECONDS:
                    return True
        return False

    def _several(self, api: socket.socket) -> int:
        """API servers in processes of their own; the first that ends, ends all."""
        lay = self.lay
        servers = []
        for number, (links, _) in enumerate(self.sockets):

            def life(number: int = number, links: socket.socket = links) -> int:
                procs.title(f"VLLM::APIServer_{number}")
                self.log.name = f"ApiServer_{number}"
                self.engines, self.children, self.sockets, self.tracker = [], [], [], None
                signal.signal(signal.SIGTERM, self._signal)
                return self._serve(api, links)

            servers.append(procs.fork(f"ApiServer_{number}", life, [api, links]))
        api.close()
        while not self.asked and not any(c.ended() for c in [*servers, *self.engines]):
            time.sleep(0.05)
        died = not self.asked
        if not self.knobs.on("orphans"):
            procs.end([*servers, *self.engines])
        self.log.info("serve.py:330", "Waiting up to 0 seconds for processes to exit") if not died else None
        self.end()
        self._unlink()
        return int(self.knobs.number("peer-code", 0)) if died and lay.dp else 0

    def _unlink(self) -> None:
        for sock, address in self.sockets:
            wire.shut(sock, address)


class Headless(Launcher):
    """The other nodes: engine cores that call rank 0, no API."""

    def __init__(self, lay: argv.Layout, env: Mapping[str, str]) -> None:
        super().__init__(lay, env, "MainProcess" if lay.has("0.32.0") else None)

    def run(self) -> int:
        lay = self.lay
        self.detected()
        address = f"tcp://{lay.address}:{lay.rpc_port}"
        text = f"Launching {lay.dp_local} data parallel engine(s) in headless mode, with head node address {address}."
        self.log.info("serve.py:190", text)
        try:
            self.stage.reach("container")
        except Interrupted:
            return 0
        except worker.Failed as e:
            self.log.plain(f"Traceback (most recent call last):\nRuntimeError: {e}")
            return self.knobs.code()
        self.launch(address)
        while not self.asked and not any(c.ended() for c in self.engines):
            time.sleep(0.02)
        if self.asked:
            self.log.info("serve.py:205", "Waiting up to 0 seconds for processes to exit")
        self.end()
        self.log.info("serve.py:207", "Shutting down.")
        # vLLM's launcher returns as if all were well, also when its engine core failed.
        return self.knobs.code(0) if not self.asked else 0


def main(words: list[str], env: Mapping[str, str]) -> int:
    """`vllm` with these words."""
    if words[:1] in (["--version"], ["-v"]):
        print(env.get("DOUBLE_VERSION", argv.VERSION))
        return 0
    if words[:1] != ["serve"]:
        print(f"{argv.USAGE}\nvllm: error: the double knows only `vllm serve`", file=sys.stderr)
        return 2
    try:
        if flag := Knobs(env).get("unrecognized"):
            raise argv.refuse([flag])
        lay = argv.layout(words[1:], env)
    except argv.Refused as e:
        return argv.complain(e)
    return Headless(lay, env).run() if lay.headless else Front(lay, env).run()
