"""Rank 0's side of the handshake: greets the engine cores of all nodes and lets them meet until the last one is ready."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable

from .argv import Layout
from .lines import Log
from .procs import Child
from .wire import Message, Wire


class Handshake:
    """Ends when every rank is READY; raises what vLLM raises when one cannot be."""

    def __init__(self, lay: Layout, log: Log, listener: socket.socket, engines: list[Child], fronts: list[str]) -> None:
        self.lay, self.log, self.listener, self.engines, self.fronts = lay, log, listener, engines, fronts
        self.strangers: list[Wire] = []
        self.wires: dict[int, Wire] = {}
        self.where: dict[int, str] = {}
        self.ready: set[int] = set()
        self.met: dict[str, set[int]] = {}

    def run(self, check: Callable[[], None]) -> None:
        """`check` is called all the time and raises when we are told to stop."""
        noted = time.monotonic()
        while len(self.ready) < self.lay.dp:
            check()
            if ended := {c.name: c.code for c in self.engines if c.ended()}:
                raise RuntimeError(f"Engine core initialization failed. See root cause above. Failed core proc(s): {ended}")
            if time.monotonic() - noted > 10:
                noted = time.monotonic()
                self._note()
            known = [w for r, w in self.wires.items() if r not in self.ready]
            sources: list[socket.socket | Wire] = [self.listener, *self.strangers, *known]
            for source in select.select(sources, [], [], 0.05)[0]:
                self._hear(source)

    def _hear(self, source: socket.socket | Wire) -> None:
        if isinstance(source, socket.socket):
            sock, peer = source.accept()
            stranger = Wire(sock)
            self.strangers.append(stranger)
            self.where[id(stranger)] = ":".join(map(str, peer)) if isinstance(peer, tuple) else ""
            return
        messages = source.read()
        if messages is None:
            self._gone(source)
        for message in messages or []:
            self._message(source, message)

    def _gone(self, wire: Wire) -> None:
        """A stranger that hangs up is a probe of the port; a rank that does is lost, and the others learn it."""
        wire.close()
        if wire in self.strangers:
            self.strangers.remove(wire)
        for rank, other in list(self.wires.items()):
            if other is wire and rank not in self.ready:
                for peer in (w for r, w in self.wires.items() if r != rank):
                    peer.send(lost=rank, address=self.where.get(id(wire), ""))
                del self.wires[rank]

    def _message(self, wire: Wire, message: Message) -> None:
        status, rank = message.get("status"), int(message.get("rank", -1))
        if not 0 <= rank < self.lay.dp:
            raise RuntimeError(f"Message from engine with unexpected data parallel rank: {rank}")
        if status == "HELLO":
            self._hello(wire, rank, bool(message.get("local")), bool(message.get("headless")))
        elif status == "READY":
            self.ready.add(rank)
            wire.close()
        elif name := str(message.get("at", "")):
            self.met.setdefault(name, set()).add(rank)
            if len(self.met[name]) == self.lay.dp:
                for peer in self.wires.values():
                    peer.send(go=name)

    def _hello(self, wire: Wire, rank: int, local: bool, headless: bool) -> None:
        ours = rank < self.lay.dp_local
        if local != ours:
            kinds = ("local" if local else "remote", "local" if ours else "remote")
            raise RuntimeError(f"HELLO message from {kinds[0]} engine {rank}, expected it to be {kinds[1]}")
        if not local and headless and self.lay.external_lb:
            raise RuntimeError(f"Remote engine {rank} must not use --headless in external or hybrid dp lb mode")
        if not local and not headless and not self.lay.external_lb:
            raise RuntimeError(f"Remote engine {rank} must use --headless unless in external or hybrid dp lb mode")
        if rank in self.wires or rank in self.ready or any(rank in ranks for ranks in self.met.values()):
            state = "READY" if rank in self.ready else "CONNECTED"
            raise RuntimeError(f"Unexpected HELLO message for {'local' if local else 'remote'} engine {rank} in {state} state.")
        self.strangers.remove(wire)
        self.wires[rank] = wire
        wire.send(fronts=self.fronts)

    def _note(self) -> None:
        """What a rank 0 that waits says at the debug level."""
        if os.environ.get("VLLM_LOGGING_LEVEL") != "DEBUG":
            return
        local = self.lay.dp_local
        for verb, missing in (
            ("connect", [r for r in range(self.lay.dp) if r not in self.wires and r not in self.ready]),
            ("start", [r for r in self.wires if r not in self.ready]),
        ):
            if missing:
                here = sum(r < local for r in missing)
                text = f"Waiting for {here} local, {len(missing) - here} remote core engine proc(s) to {verb}."
                self.log.log("DEBUG", "utils.py:1016", text)

    def close(self) -> None:
        for wire in [*self.strangers, *self.wires.values()]:
            wire.close()
