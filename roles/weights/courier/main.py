"""The courier's life: it reads commands until its input ends, which is when the controller is done or gone."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from roles.weights.courier.copies import Missed, Server, take
from roles.weights.courier.hub import Download
from roles.weights.courier.shelf import Shelf
from roles.weights.courier.talk import Talk, Trouble

HEARTBEAT = 15


class Courier:
    """One folder on one node."""

    def __init__(self, order: dict[str, Any], talk: Talk) -> None:
        self.talk, self.order = talk, order
        self.shelf = Shelf(Path(order["folder"]), Path(order["manifest"]), order["model"], talk)
        self.takers = ThreadPoolExecutor(order["slots"])
        self.download: Download | None = None

    def start(self) -> None:
        self.shelf.open()
        if self.order["count"]:
            self.shelf.note(self.order["source"], self.order["count"])
        port = 0
        if self.order["serve"]:
            try:
                server = Server(self.shelf, self.order["address"], self.order["token"])
            except OSError as e:
                raise Trouble(f"no port of {self.order['address']} can be listened on ({e.strerror})") from None
            threading.Thread(target=server.serve_forever, daemon=True).start()
            port = server.server_address[1]
        threading.Thread(target=self._tick, daemon=True).start()
        self.talk.say("ready", port=port, files=[[n, r.size, r.sha256] for n, r in self.shelf.rows.items()])

    def obey(self, command: dict[str, Any]) -> None:
        do = command.pop("do")
        if do == "take":
            self.takers.submit(self._take, **command)
        elif do == "hash":
            self._aside(lambda: self.shelf.hash(command["names"]))
        elif do == "download":
            self.download = Download(self.shelf, **command)
            self._aside(self.download.run)
        elif do == "note":
            self._guarded(lambda: self.shelf.note(**command))
        elif do == "seal":
            self._guarded(lambda: self.shelf.seal(**command))

    def end(self) -> None:
        if self.download:
            self.download.stop()
        os._exit(0)

    def _take(self, name: str, **more: Any) -> None:
        try:
            take(self.shelf, name, **more)
        except Missed as e:
            self.talk.say("missed", name=name, kind=e.kind, why=e.why, got=e.got)
        except Exception as e:
            self.talk.say("missed", name=name, kind="disk", why=f"{name}: {type(e).__name__}: {e}", got=0)

    def _aside(self, work: Callable[[], None]) -> None:
        threading.Thread(target=self._guarded, args=(work,), daemon=True).start()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Trouble as e:
            self.talk.say("failed", why=str(e))
        except OSError as e:
            self.talk.say("failed", why=f"{e.filename or self.shelf.folder}: {e.strerror or e}")
        except Exception as e:
            self.talk.say("failed", why=f"{type(e).__name__}: {e}")

    def _tick(self) -> None:
        """Bytes while they grow, else now and then a sign of life."""
        last, said = -1, 0.0
        while True:
            done = self.shelf.done + self.shelf.live
            if done != last or time.monotonic() - said > HEARTBEAT:
                self.talk.say("bytes", done=done)
                last, said = done, time.monotonic()
            time.sleep(1)


def main(source: IO[bytes] | None = None) -> None:
    lines = source or sys.stdin.buffer
    talk = Talk()
    courier = Courier(json.loads(lines.readline()), talk)
    signal.signal(signal.SIGTERM, lambda *_: courier.end())
    try:
        courier.start()
    except (Trouble, OSError) as e:
        talk.say("failed", why=str(e))
    for line in iter(lines.readline, b""):
        command = json.loads(line)
        if command["do"] == "end":
            break
        courier.obey(command)
    courier.end()
