"""One worker: holds its device, says what a worker says while the model loads, ends when its engine core does."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping

from . import argv, procs
from .knobs import Knobs
from .lines import Bar, Log, Shards
from .wire import Wire

START, LATER = ("init", "join", "load"), ("profile", "capture")
CAPTURES = 5


class Failed(RuntimeError):
    """What a knob makes fail."""


class Stage:
    """The misbehaviours that are tied to a stage of the start."""

    def __init__(self, log: Log, knobs: Knobs, wire: Wire | None = None, check: Callable[[], None] | None = None) -> None:
        self.log, self.knobs, self.wire, self.check = log, knobs, wire, check

    def reach(self, name: str) -> None:
        """Prints the fatal line, stalls, dies: whatever the knobs want at this stage."""
        if (line := self.knobs.line(name)) is not None:
            self.log.plain(line)
        began = time.monotonic()
        while (more := self.knobs.at("stall", name)) is not None and (not more or time.monotonic() - began < float(more)):
            self.wait(0.02)
            if self.check is not None:
                self.check()
        if self.knobs.at("die", name) is not None:
            raise Failed(f"the double was told to die at {name}")

    def wait(self, seconds: float) -> None:
        """Sleeps, yet ends with the process that commands this one."""
        if self.wire is None:
            time.sleep(seconds)
        elif select.select([self.wire], [], [], seconds)[0] and self.wire.sock.recv(1, socket.MSG_PEEK) == b"":
            raise SystemExit(0)


class Worker:
    """What a worker does; with one worker a rank, the engine core does it itself."""

    def __init__(
        self, lay: argv.Layout, env: Mapping[str, str], log: Log, dp_rank: int, dp_index: int, rank: int, wire: Wire | None
    ) -> None:
        self.lay, self.env, self.log, self.rank, self.wire = lay, env, log, rank, wire
        self.dp_rank = dp_rank
        self.local = dp_index * lay.world + rank
        self.overall = dp_rank * lay.world + rank
        self.knobs = log.knobs
        self.stage = Stage(log, self.knobs, wire)
        self.listener: socket.socket | None = None
        self.devices: list[int] = []

    @property
    def named(self) -> str:
        """Title and log mark once the groups exist."""
        lay, tp, pcp = self.lay, self.rank % self.lay.tp, self.rank // self.lay.tp % self.lay.pcp
        parts = [("DP", lay.dp, self.dp_rank), ("PP", lay.pp, self.rank // (lay.tp * lay.pcp)), ("PCP", lay.pcp, pcp), ("TP", lay.tp, tp)]
        name = "Worker" + "".join(f"_{label}{number}" for label, size, number in parts if size > 1)
        width = lay.tp * lay.pcp
        return name + (f"_EP{self.dp_rank * width + self.rank % width}" if lay.expert_parallel else "")

    def do(self, what: str) -> None:
        {"init": self.init, "join": self.join, "load": self.load, "profile": self.profile, "capture": self.capture}[what]()

    def reach(self, name: str) -> None:
        if self.rank == 0:
            self.stage.reach(name)

    def spend(self, seconds: float) -> None:
        self.stage.wait(seconds * self.knobs.number("pace", 1))

    def init(self) -> None:
        self.devices = procs.devices(self.env, self.local, self.lay.world)
        backend = {"ascend": "hccl", "cuda": "nccl"}.get(self.lay.platform, "gloo")
        where = f"tcp://{self.lay.address if self.lay.dp > 1 else '127.0.0.1'}:29500"
        if self.lay.dp > 1 and os.environ.get("VLLM_LOGGING_LEVEL") == "DEBUG":
            text = f"Adjusting world_size={self.lay.dp * self.lay.world} rank={self.overall} distributed_init_method={where} for DP"
            self.log.log("DEBUG", "parallel_state.py:1388", text)
        size = self.lay.dp * self.lay.world
        text = f"world_size={size} rank={self.overall} local_rank={self.rank} distributed_init_method={where} backend={backend}"
        self.log.info("parallel_state.py:1395", text)
        self.reach("distributed")

    def join(self) -> None:
        """All ranks have met."""
        self.spend(0.02)
        if self.knobs.on("hccl") and self.lay.platform == "ascend":
            self.hccl()
        if self.wire is not None:
            self.log.name = self.named
            procs.title(f"VLLM::{self.named}")

    def hccl(self) -> None:
        """Listens where HCCL would: one host port a local worker, from HCCL_IF_BASE_PORT upwards."""
        host, port = self.env.get("HCCL_IF_IP", "0.0.0.0"), int(self.env.get("HCCL_IF_BASE_PORT", 60000)) + self.local
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self.listener.bind((host, port))
            self.listener.listen(8)
        except OSError:
            reason = f"The IP address {host} and port {port} have already been bound."
            raise RuntimeError(
                "[ERROR] ERR02200 DIST call hccl api failed.\n"
                f"EI0019: Failed to enable listening for the host network adapter socket. Reason: {reason}"
            ) from None

    def load(self) -> None:
        """The weights: only the very first rank draws the bar, as in vLLM."""
        lay, log = self.lay, self.log
        # Stock vLLM says this on the first rank of all; the Ascend plugin and the CPU build on every worker.
        if lay.platform in ("ascend", "cpu") or self.overall == 0:
            log.info("gpu_model_runner.py:4481", f"Starting to load model {lay.model}...")
        began = time.monotonic()
        total = int(self.knobs.number("shards", 0)) or argv.shards(lay.model) or 5
        slow = self.knobs.get("weights")
        each = (float(slow) if slow else 0.25 * self.knobs.number("pace", 1)) / total
        title = "Multi-thread loading shards" if lay.multithread else "Loading safetensors checkpoint shards"
        bar = Shards(log, total, title) if self.overall == 0 else None
        for done in range(total):
            if bar:
                bar.show(done)
            if done == total // 2:
                self.reach("weights")
            self.stage.wait(each)
        if bar:
            bar.show(total)
            bar.end()
        spent = time.monotonic() - began
        if self.rank == 0:
            log.info("default_loader.py:384", f"Loading weights took {spent:.2f} seconds")
        if lay.drafter:
            log.info("gpu_model_runner.py:4505", "Loading drafter model...")
        if lay.platform == "ascend":
            log.info("model_runner_v1.py:2592", "Loading model weights took 28.6301 GB")
        elif self.rank == 0:
            log.info("gpu_model_runner.py:4566", f"Model loading took 28.63 GiB memory and {spent:.6f} seconds")
        self.reach("loaded")

    def profile(self) -> None:
        self.spend(0.03)
        if self.rank == 0 and self.knobs.on("oom"):
            kind, card, size = ("NPU", "NPU", "60.97") if self.lay.platform == "ascend" else ("CUDA", "GPU", "79.10")
            raise Failed(f"{kind} out of memory. Tried to allocate 2.00 GiB ({card} 0; {size} GiB total capacity; 1.12 GiB free)")
        if self.rank == 0:
            self.log.info("gpu_worker.py:456", "Available KV cache memory: 21.52 GiB")

    def capture(self) -> None:
        if self.lay.eager or self.lay.platform == "cpu":
            return
        began = time.monotonic()
        bar = Bar(self.log, CAPTURES, "Capturing CUDA graphs (decode, FULL)") if self.overall == 0 else None
        for done in range(CAPTURES):
            if bar:
                bar.show(done)
            if done == CAPTURES // 2:
                self.reach("graph")
            self.spend(0.02)
        if bar:
            bar.show(CAPTURES)
            bar.end()
        if self.rank == 0:
            self.log.info("gpu_model_runner.py:5746", f"Graph capturing finished in {time.monotonic() - began:.0f} secs, took 1.20 GiB")


def process(lay: argv.Layout, env: Mapping[str, str], knobs: Knobs, dp_rank: int, dp_index: int, rank: int, wire: Wire) -> int:
    """The life of a worker process: does what its engine core says, until that is gone."""
    procs.title("VLLM::Worker")
    log = Log("Worker", knobs)
    worker = Worker(lay, env, log, dp_rank, dp_index, rank, wire)

    def terminated(number: int, frame: object) -> None:
        if not knobs.on("noterm"):
            log.warning("multiproc_executor.py:866", "WorkerProc was terminated")
            sys.exit(0)

    signal.signal(signal.SIGTERM, terminated)
    while True:
        try:
            message = wire.next(3600)
        except EOFError:
            log.info("multiproc_executor.py:759", "Parent process exited, terminating worker queues")
            log.info("multiproc_executor.py:854", "WorkerProc shutting down.")
            return 0
        if message is None:
            continue
        try:
            worker.do(message["do"])
        except Exception as e:
            early = message["do"] in START
            log.failure("multiproc_executor.py:852", "WorkerProc failed to start." if early else "WorkerProc hit an exception.", e)
            wire.send(error=str(e), early=early)
            if early:
                return 1
        else:
            wire.send(done=message["do"])
