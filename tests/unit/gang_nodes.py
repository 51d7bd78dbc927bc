"""The unit's script of both ranks on loopback addresses, with the engine's double: systemd and its socket unit are played here."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from roles.plan import container
from roles.plan.plan import Plan, ReplicaPlan
from roles.serve import unit
from tests.lab.double.running import HERE, command, free_port, sessions, until
from tests.unit.sources import plan
from tests.unit.test_double import changed

FAST = {"every": 1, "deadline": 2, "strikes": 2, "backoff": 1, "restarts": 3, "stable": 600}
ADDRESSES = ("127.0.0.1", "127.0.0.2")


class Node:
    """One node: its folder, its unit's script as a process, and who tells the others what it does."""

    def __init__(self, root: Path, script: str, address: str, gang: int) -> None:
        self.folder = root / "test" / "r0"
        (self.folder / "logs").mkdir(parents=True)
        self.script, self.address = root / "run", address
        self.script.write_text(script.replace(f"STATE={container.STATE}\n", f"STATE={root}\n"), encoding="utf-8")
        self.control = root / "control"
        self.main: subprocess.Popen[bytes] | None = None
        node = self

        class Tell(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(node.tells().encode())

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address, daemon_threads = True, True

        self.server = Server((address, gang), Tell)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def tells(self) -> str:
        active = "active" if self.main is not None and self.main.poll() is None else "inactive"
        state = self.folder / "state"
        return f"active={active} " + (state.read_text() if state.exists() else "spec= generation=0 state=absent why=\n")

    def begin(self, asked: bool = True) -> None:
        """What systemd does; `asked` when serve told it to."""
        if asked:
            (self.folder / "generation").write_text("1")
            (self.folder / "asked").touch()
        self.main = subprocess.Popen(["bash", str(self.script)], stdin=subprocess.DEVNULL, start_new_session=True)

    def proven(self) -> None:
        (self.folder / "proven").touch()

    def knobs(self, text: str) -> None:
        fresh = self.control.with_suffix(".new")
        fresh.write_text(text + "\n", encoding="utf-8")
        fresh.replace(self.control)

    @property
    def history(self) -> str:
        file = self.folder / "history"
        return file.read_text() if file.exists() else ""

    @property
    def generation(self) -> int:
        return int((self.folder / "generation").read_text())

    def does(self, word: str) -> bool:
        return f"state={word} " in self.tells()

    def engine(self) -> dict[int, str]:
        """Processes of the engine of this node, by pid."""
        mine = os.fsencode(str(self.control))
        found = {}
        for members in sessions().values():
            for pid, title in members.items():
                try:
                    if mine in Path(f"/proc/{pid}/environ").read_bytes():
                        found[pid] = title
                except OSError:
                    continue
        return found

    def kill(self, title: str) -> None:
        os.kill(next(pid for pid, line in self.engine().items() if title in line), signal.SIGKILL)

    def crash(self) -> None:
        """A power cut: unit and engine are gone at once."""
        assert self.main is not None
        self.main.kill()
        self.main.wait()
        for pid in self.engine():
            os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        if self.main is not None and self.main.poll() is None:
            self.main.terminate()
            try:
                self.main.wait(15)
            except subprocess.TimeoutExpired:
                self.main.kill()
        for pid in self.engine():
            os.kill(pid, signal.SIGKILL)
        self.server.shutdown()
        self.server.server_close()


class Pair:
    """Both nodes of a replica, without a controller."""

    def __init__(self, root: Path, **data: Any) -> None:
        self.api, rpc, self.gang = free_port(), free_port(), free_port()
        liveness = {**FAST, **data.pop("liveness", {})}
        timeouts = {"stop": 5, "join": 20, "ready": 30, **data.pop("timeouts", {})}
        made = plan("lab/a2-dual-tp1", auth="off", liveness=liveness, timeouts=timeouts, **data)
        self.model = made.verify["model"]
        self.nodes = []
        for rank, address in enumerate(ADDRESSES):
            one, replica = self._on_loopback(made, root, rpc)
            self.nodes.append(Node(root / f"n{rank}", unit.engine_script(one, replica, replica.nodes[rank]), address, self.gang))

    def _on_loopback(self, made: Plan, root: Path, rpc: int) -> tuple[Plan, ReplicaPlan]:
        replica, nodes = made.replicas[0], []
        for node, address in zip(replica.nodes, ADDRESSES, strict=True):
            flags = {"port": self.api, "host": address, "data_parallel_address": ADDRESSES[0], "data_parallel_rpc_port": rpc}
            argv = command(changed(node.serve_argv, **flags))
            own = {
                "PYTHONPATH": str(HERE / "lib"), "DOUBLE": "pace=0.1", "DOUBLE_CONTROL": str(root / f"n{node.rank}" / "control"),
                "DOUBLE_SHM": str(root), "VLLM_RPC_BASE_PATH": str(root), "DOUBLE_VERSION": "0.32.0", "DOUBLE_PLATFORM": "cpu",
            }  # fmt: skip
            run = ["/usr/bin/env", *(f"{k}={v}" for k, v in own.items()), *argv]
            ports = {**node.ports, "api": self.api, "rpc": rpc, "gang": self.gang}
            nodes.append(replace(node, runtime="venv", run_argv=run, address=address, ports=ports, name=f"n{node.rank}"))
        replica = replace(replica, nodes=tuple(nodes))
        return replace(made, replicas=(replica,)), replica

    def up(self) -> None:
        head, peer = self.nodes
        head.begin()
        peer.begin()
        assert self.serves(20), head.history + peer.history
        head.proven()
        peer.proven()

    @contextmanager
    def load(self, rank: int) -> Iterator[None]:
        """One long request at work on a rank."""
        body = {"model": self.model, "messages": [{"role": "user", "content": "count"}], "max_tokens": 500}
        connection = http.client.HTTPConnection(ADDRESSES[0], self.api, timeout=60)
        headers = {"Content-Type": "application/json", "X-data-parallel-rank": str(rank)}
        connection.request("POST", "/v1/chat/completions", json.dumps({**body, "ignore_eos": True}), headers)
        try:
            yield
        finally:
            connection.close()

    def serves(self, seconds: float, generation: int = 1) -> bool:
        def both() -> bool:
            return all(n.does("serving") and n.generation >= generation for n in self.nodes)

        return until(both, seconds) and len({n.generation for n in self.nodes}) == 1

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *error: object) -> None:
        for node in self.nodes:
            node.end()
