"""The proxy's certificate: two files on this machine, read before anything is touched."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from roles.plan.errors import PlanError
from roles.plan.keys import TlsKeys
from roles.plan.plan import Plan

MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Pair:
    """A certificate with its chain, and its private key."""

    chain: str
    key: str = field(repr=False)


def given(plan: Plan) -> None:
    """Both files are read and fit each other, or a sentence says what is wrong."""
    if plan.known.keys.tls is not None:
        pair(plan.known.keys.tls)


def pair(keys: TlsKeys) -> Pair:
    found = Pair(_text("cert", keys.cert), _text("key", keys.key))
    if "ENCRYPTED" in found.key:
        raise PlanError(f'"tls.key" names {keys.key}, which wants a passphrase; expected a key without one, readable by you only')
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(keys.cert, keys.key, password="")
    except ssl.SSLError as e:
        why = (e.reason or str(e)).replace("_", " ").lower()
        raise PlanError(
            f'"tls" names {keys.cert} and {keys.key}, which are no certificate with its key ({why}); expected two PEM files that fit'
        ) from None
    except (OSError, ValueError) as e:
        raise PlanError(f'"tls" names {keys.cert} and {keys.key}, which cannot be used ({e}); expected two PEM files that fit') from None
    return found


def pinned(plan: Plan) -> ssl.SSLContext | None:
    """Trusts that very certificate and no other, whatever name it bears; None without one."""
    keys = plan.known.keys.tls
    if keys is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=ssl.PEM_cert_to_DER_cert(_first(pair(keys).chain)))
    return context


def _first(chain: str) -> str:
    """The server's own certificate: the first of the chain."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    return begin + chain.partition(begin)[2].partition(end)[0] + end


def _text(name: str, path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as e:
        raise PlanError(f'"tls.{name}" names {path}, which cannot be read ({e.strerror}); expected a file in PEM') from None
    if len(raw) > MOST_BYTES or not raw.isascii() or b"-----BEGIN " not in raw:
        raise PlanError(f'"tls.{name}" names {path}, which is not in PEM; expected text with -----BEGIN in it')
    return raw.decode("ascii")
