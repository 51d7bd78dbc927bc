"""The front end's side of the engines: which rank gets a request, what came back, who is dead."""

from __future__ import annotations

import queue
import socket
import threading
import uuid
from typing import Any

from .wire import Message, Wire

DEAD = "EngineCore encountered an issue. See stack trace (above) for the root cause."


class EngineDeadError(Exception):
    """An engine is dead, and with it all of them."""

    def __init__(self) -> None:
        super().__init__(DEAD)


class Ticket:
    """A request under way."""

    def __init__(self, wire: Wire) -> None:
        self.id = uuid.uuid4().hex
        self.wire = wire
        self.inbox: queue.Queue[dict[str, Any] | None] = queue.Queue()

    def next(self, timeout: float) -> dict[str, Any] | None:
        """The next piece; None when nothing came in this time."""
        try:
            found = self.inbox.get(timeout=timeout)
        except queue.Empty:
            return None
        if found is None:
            raise EngineDeadError
        return found

    def abort(self) -> None:
        self.wire.send(abort=self.id)


class Router:
    """Connections to the engines of all ranks."""

    def __init__(self) -> None:
        self.wires: dict[int, Wire] = {}
        self.tickets: dict[str, Ticket] = {}
        self.stats: dict[int, dict[str, float]] = {}
        self.lost: set[int] = set()
        self.dead = False
        self.turn = 0
        self.lock = threading.Lock()

    def accept(self, listener: socket.socket, count: int) -> None:
        """Waits for the engines, which call us, each with its rank."""
        while len(self.wires) < count:
            wire = Wire(listener.accept()[0])
            try:
                hello = wire.next(5)
            except EOFError:
                hello = None
            if hello is not None and "rank" in hello:
                self.wires[int(hello["rank"])] = wire
            else:
                wire.close()

    def start(self) -> None:
        for rank, wire in self.wires.items():
            threading.Thread(target=self._listen, args=(rank, wire), daemon=True).start()

    def submit(self, rank: int | None, **request: Any) -> Ticket:
        """Sends a request to this rank, or to the next one in turn."""
        with self.lock:
            if rank is None:
                rank, self.turn = sorted(self.wires)[self.turn % len(self.wires)], self.turn + 1
            ticket = Ticket(self.wires[rank])
            self.tickets[ticket.id] = ticket
        # An engine that went without a word is missed only now: every request wakes all ranks.
        if self.dead or self.lost or not ticket.wire.send(add=ticket.id, **request):
            self.fail()
            raise EngineDeadError
        return ticket

    def done(self, ticket: Ticket) -> None:
        self.tickets.pop(ticket.id, None)

    def fail(self) -> None:
        self.dead = True
        for ticket in list(self.tickets.values()):
            ticket.inbox.put(None)

    def _listen(self, rank: int, wire: Wire) -> None:
        self.stats.setdefault(rank, {})
        messages: list[Message] | None = [*wire.waiting]  # what came together with the greeting
        while messages is not None:
            for message in messages:
                if "stats" in message:
                    self.stats[rank] = message["stats"]
                elif "dead" in message:
                    self.fail()
                elif (ticket := self.tickets.get(message.get("id", ""))) is not None:
                    ticket.inbox.put(message)
            messages = wire.read()
        self.lost.add(rank)
        # While requests run, all ranks compute together and one that is gone breaks the others at once.
        if self.tickets:
            self.fail()
