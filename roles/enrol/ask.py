"""Which key a node shows: SSH's first exchange, without logging in."""

from __future__ import annotations

import logging
import shlex
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import paramiko

from roles.enrol.known import Key
from roles.enrol.places import Place

LIMIT = 10.0
JUMP_LIMIT = 30.0
AT_ONCE = 16
RSA = ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa")
"""One kind of key, three ways to sign with it."""


class Silent(Exception):
    """A node that showed no key; one sentence."""


@contextmanager
def _jump(command: str) -> Iterator[tuple[socket.socket, subprocess.Popen[bytes]]]:
    """A connection whose other end is a command's stdin and stdout. (paramiko's own spins when the command has ended.)"""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            end = theirs.fileno()
            process = subprocess.Popen(shlex.split(command), stdin=end, stdout=end, stderr=subprocess.PIPE)  # noqa: S603
        with process:
            try:
                yield ours, process
            finally:
                process.terminate()


def every(places: Sequence[Place], known: Mapping[str, Sequence[str]]) -> dict[str, Key | Silent]:
    """All nodes at the same time: by node its key, or why there is none. `known`: kinds of key to ask for first."""
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    logging.getLogger("paramiko").propagate = False  # its own thread would tell of banners and tracebacks
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda p: _answer(p, known.get(p.node, ())), places)
        return {place.node: answer for place, answer in zip(places, found, strict=True)}


def _answer(place: Place, known: Sequence[str]) -> Key | Silent:
    try:
        return ask(place, known)
    except Silent as e:
        return e


def ask(place: Place, known: Sequence[str]) -> Key:
    if place.way:
        return _through(place, known)
    where = f"{place.host} port {place.port}"
    try:
        sock = socket.create_connection((place.host, place.port), timeout=LIMIT)
    except socket.gaierror:
        raise Silent(f"the name {place.host} is not known") from None
    except ConnectionRefusedError:
        raise Silent(f"nothing listens at {where}") from None
    except TimeoutError:
        raise Silent(f"no answer from {where} in {LIMIT:.0f} s") from None
    except OSError as e:
        raise Silent(f"{where} was not reached ({e.strerror or e})") from None
    with sock:
        try:
            return _shown(sock, known, LIMIT)
        except (paramiko.SSHException, EOFError, OSError) as e:
            raise Silent(f"{where} does not speak SSH ({e or 'it closed the connection'})") from None


def _through(place: Place, known: Sequence[str]) -> Key:
    """What the command says last is why there is no key."""
    try:
        with _jump(place.way) as (sock, process):
            try:
                return _shown(sock, known, JUMP_LIMIT)
            except (paramiko.SSHException, EOFError, OSError) as e:
                process.terminate()
                said = process.stderr.read().decode("utf-8", "replace").splitlines() if process.stderr else []
                last = next((line.strip() for line in reversed(said) if line.strip()), str(e))
                raise Silent(f"{place.host} port {place.port} was not reached {place.through}: {last}") from None
    except (OSError, ValueError) as e:
        raise Silent(f"{place.through}: cannot be run ({e})") from None


def _shown(sock: socket.socket, known: Sequence[str], limit: float) -> Key:
    transport = paramiko.Transport(sock)
    try:
        transport.banner_timeout = limit
        options = transport.get_security_options()
        first = [k for kind in known for k in (RSA if kind == "ssh-rsa" else (kind,)) if k in options.key_types]
        options.key_types = [*first, *(k for k in options.key_types if k not in first)]
        transport.start_client(timeout=limit)
        key = transport.get_remote_server_key()
        return Key(key.get_name(), key.asbytes())
    finally:
        transport.close()
