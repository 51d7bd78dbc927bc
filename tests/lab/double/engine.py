"""The engine core of one data-parallel rank of vLLM: handshake, workers, model, then serving."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Mapping

from . import argv, procs, wire, worker
from .knobs import Knobs
from .lines import Log
from .serving import KV_TOKENS, Serving

HANDSHAKE_SECONDS = 300.0
COORDINATOR_SECONDS = 10.0


class EngineCore:
    """One rank; it runs in a process of its own."""

    def __init__(self, lay: argv.Layout, env: Mapping[str, str], rank: int, index: int, address: str) -> None:
        self.lay, self.env, self.rank, self.index, self.address = lay, env, rank, index, address
        self.name = f"EngineCore_DP{rank}" if lay.dp > 1 else "EngineCore"
        self.knobs = Knobs(env, rank)
        self.log = Log(self.name, self.knobs)
        self.workers: list[tuple[procs.Child, wire.Wire]] = []
        self.own: worker.Worker | None = None
        self.fronts: list[wire.Wire] = []
        self.hand: wire.Wire | None = None
        self.serving: Serving | None = None
        self.shared: procs.Shared | None = None

    def run(self) -> int:
        procs.title(f"VLLM::{self.name}")
        signal.signal(signal.SIGTERM, self._terminated)
        try:
            self.start()
        except Exception as e:
            self.log.failure("core.py:1099", "EngineCore failed to start.", e)
            self.shutdown()
            return 1
        self.serving = Serving(self.rank, self.knobs, self.fronts, self.lay.max_seqs, self._check)
        try:
            self.serving.run()
        except Exception as e:
            self.log.failure("core.py:1101", "EngineCore encountered a fatal error.", e)
            self.serving.dead()
            self.shutdown()
            return 1
        self._stop()
        return 0

    def start(self) -> None:
        self._handshake()
        stage = worker.Stage(self.log, self.knobs)
        self._meet("group")
        began = time.monotonic()
        if self.index == 0:
            text = f"Initializing a V1 LLM engine (v{self.lay.version}) with config: model='{self.lay.model}', tokenizer='{self.lay.model}'"
            self.log.info("core.py:103", text)
        stage.reach("engine")
        self.shared = procs.Shared(self.env)
        self._workers()
        self._all("init")
        self._meet("world")
        self._all("join")
        self._all("load")
        # Profiling and capturing run the model, which takes all ranks: whoever waits, all wait.
        self._meet("profile")
        self._all("profile")
        self._size()
        stage.reach("kv-cache")
        self._meet("capture")
        self._all("capture")
        took = time.monotonic() - began
        self.log.info("core.py:281", f"init engine (profile, create kv cache, warmup model) took {took:.2f} seconds")
        stage.reach("ready")
        self._coordinator()
        assert self.hand is not None
        self.hand.send(status="READY", rank=self.rank)
        self.hand.close()

    def _size(self) -> None:
        lay = self.lay
        kind = "NPU" if lay.platform == "ascend" and lay.has("0.24.0") else "CPU" if lay.platform == "cpu" and lay.has("0.32.0") else "GPU"
        size = f"{kind} KV cache size: {KV_TOKENS:,} tokens"
        fits = f"Maximum concurrency for {lay.max_len:,} tokens per request: {KV_TOKENS / lay.max_len:.2f}x"
        for line in (f"{size}, {fits}",) if lay.has("0.32.0") else (size, fits):
            self.log.info("kv_cache_utils.py:1316", line)

    def _handshake(self) -> None:
        """Calls rank 0's front end, is told where the rest listens, and calls there."""
        patience = self.knobs.number("handshake", HANDSHAKE_SECONDS)
        until = time.monotonic() + patience
        refused = RuntimeError("Did not receive response from front-end process within 5 minutes")
        self.hand = wire.connect(self.address, patience)
        if self.hand is None:
            raise refused
        local = self.rank < self.lay.dp_local and not self.lay.headless
        self.hand.send(status="HELLO", rank=self.rank, local=local, headless=self.lay.headless)
        try:
            init = self.hand.next(until - time.monotonic())
        except EOFError:
            init = None
        if init is None:
            # ZeroMQ would call again without a word; here the time is waited out.
            time.sleep(max(0, until - time.monotonic()))
            raise refused
        for place in init["fronts"]:
            found = wire.connect(place, patience)
            if found is None:
                text = f"The client socket has timed out after 600000ms while trying to connect to ({place[6:].replace(':', ', ')})."
                raise RuntimeError(text)
            found.send(rank=self.rank)
            self.fronts.append(found)

    def _meet(self, name: str, every: float = 3600.0, note: str = "") -> None:
        """Waits until all ranks have come here."""
        if self.lay.dp == 1:
            return
        assert self.hand is not None
        self.hand.send(at=name, rank=self.rank)
        while True:
            try:
                message = self.hand.next(every)
            except EOFError:
                message = {"lost": 0, "address": self.lay.address}
            if message is None:
                self.log.info("core.py:882", note) if note else None
            elif "lost" in message:
                raise RuntimeError(f"[../third_party/gloo/gloo/transport/tcp/pair.cc:554] Connection closed by peer [{message['address']}]")
            elif message.get("go") == name:
                return

    def _coordinator(self) -> None:
        """The coordinator answers when every rank has come this far; a rank that waits says so every ten seconds."""
        every = COORDINATOR_SECONDS * self.knobs.number("pace", 1)
        self._meet("coordinator", max(every, 0.05), "Waiting for READY message from DP Coordinator...")

    def _workers(self) -> None:
        # One rank alone needs no worker process; with any peer the executor makes one, also at tp 1.
        if self.lay.world * self.lay.dp == 1:
            self.own = worker.Worker(self.lay, self.env, self.log, self.rank, self.index, 0, None)
            return
        for number in range(self.lay.world):
            ours, theirs = wire.pair()

            def life(number: int = number, theirs: wire.Wire = theirs) -> int:
                return worker.process(self.lay, self.env, self.knobs, self.rank, self.index, number, theirs)

            child = procs.fork(f"VllmWorker-{number}", life, [theirs.sock])
            theirs.close()
            self.workers.append((child, ours))

    def _all(self, what: str) -> None:
        """Has every worker do something and waits for all of them."""
        if self.own is not None:
            self.own.do(what)
        for _, ours in self.workers:
            ours.send(do=what)
        for _, ours in self.workers:
            try:
                answer = ours.next(86400)
            except EOFError:
                answer = {"error": "gone", "early": what in worker.START}
            if answer and answer.get("early"):
                text = "WorkerProc initialization failed due to an exception in a background process. See stack trace for root cause."
                raise RuntimeError(text)
            if answer and "error" in answer:
                raise RuntimeError(f"Worker failed with error '{answer['error']}', please check the stack trace above for the root cause")

    def _check(self) -> None:
        """While serving: do the workers live, does a knob want our end?"""
        for child, _ in self.workers:
            if child.ended():
                text = f"Worker proc {child.name} died unexpectedly, shutting down executor."
                self.log.log("ERROR", "multiproc_executor.py:273", text)
                raise RuntimeError("Executor failed.")
        worker.Stage(self.log, self.knobs).reach("serving")

    def _terminated(self, number: int, frame: object) -> None:
        if self.knobs.on("noterm"):
            return
        if self.serving is None:
            self.shutdown()
            sys.exit(0)
        self.serving.stopping = True

    def _stop(self) -> None:
        assert self.serving is not None
        self.log.info("core.py:1201", "Shutdown initiated (timeout=0)")
        if open_requests := len(self.serving.running) + len(self.serving.waiting):
            self.log.info("core.py:1206", f"Aborting {open_requests} requests")
        self.log.info("core.py:1224", "Shutdown complete")
        self.shutdown()  # without a word to the front ends, as after a KILL

    def shutdown(self) -> None:
        for _, ours in self.workers:
            ours.close()
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline and not all(c.ended() for c, _ in self.workers):
            time.sleep(0.01)
        procs.end([c for c, _ in self.workers])
        if self.shared is not None:
            self.shared.remove()
