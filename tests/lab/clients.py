"""A client that asks one endpoint again and again, and keeps what came of it."""

from __future__ import annotations

import http.client
import json
import threading
import time
from types import TracebackType

BODY = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}


def asked(address: str, model: str = "minimax-lab", port: int = 20004, seconds: float = 10, **more: object) -> int:
    """The status of one completion; 0 when none came."""
    connection = http.client.HTTPConnection(address, port, timeout=seconds)
    try:
        connection.request(
            "POST", "/v1/chat/completions", json.dumps({"model": model, **BODY, **more}), {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


class Client:
    """One endpoint's client, from entering to leaving."""

    def __init__(self, address: str, model: str, port: int) -> None:
        self.address, self.model, self.port = address, model, port
        self.results: list[tuple[float, int]] = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self.over.is_set():
            began = time.monotonic()
            self.results.append((began, asked(self.address, self.model, self.port)))
            self.over.wait(0.1)

    @property
    def good(self) -> int:
        return sum(status == 200 for _, status in self.results)

    @property
    def failed(self) -> list[float]:
        """When requests failed."""
        return [at for at, status in self.results if status != 200]

    def __enter__(self) -> Client:
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self.over.set()
        self.thread.join(15)
