"""What a hub says a repository holds: names, sizes, hashes. One request or a few, by the hub's public API."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roles.weights.courier.talk import Trouble

HOMES = {"huggingface": "https://huggingface.co", "modelscope": "https://www.modelscope.cn"}
TRIES = 5
TIMEOUT = 30
BUSY = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Listed:
    """A file as the hub has it: its SHA-256 or, for small ones, git's hash."""

    name: str
    size: int
    sha256: str = ""
    blob: str = ""

    def matches(self, path: Path, size: int, sha256: str) -> bool:
        if size != self.size:
            return False
        if self.sha256:
            return sha256 == self.sha256
        return not self.blob or blob(path, size) == self.blob


def listed(hub: str, repo: str, endpoint: str, token: str, proxy: str) -> tuple[list[Listed], str]:
    """All files, and the commit they are of."""
    home = endpoint or HOMES[hub]
    web = Web(token, proxy)
    if hub == "modelscope":
        answer, _ = web.get(f"{home}/api/v1/models/{repo}/repo/files?Revision=master&Recursive=True")
        files = ((answer.get("Data") or {}).get("Files")) or []
        return [Listed(f["Path"], int(f.get("Size") or 0), f.get("Sha256") or "") for f in files if f.get("Type") != "tree"], "master"
    head, _ = web.get(f"{home}/api/models/{repo}/revision/main")
    commit = str(head["sha"])
    url: str | None = f"{home}/api/models/{repo}/tree/{commit}?recursive=true&expand=false"
    found: list[Listed] = []
    while url:
        page, url = web.get(url)
        for f in page:
            if f.get("type") == "file":
                lfs = f.get("lfs") or {}
                found.append(Listed(f["path"], int(f.get("size") or 0), str(lfs.get("oid") or ""), str(f.get("oid") or "")))
    return found, commit


class Web:
    """Answers in JSON, with the site's proxy and token; the token stays with the host it is for."""

    def __init__(self, token: str, proxy: str) -> None:
        self.token = token
        proxies = {"http": proxy, "https": proxy} if proxy else {}
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=_authorities()))

    def get(self, url: str) -> tuple[Any, str | None]:
        """The answer, and the next page's address."""
        for tried in range(TRIES):
            request = urllib.request.Request(url, headers={"User-Agent": "bringup", "Accept": "application/json"})  # noqa: S310 - http or https
            if self.token:
                request.add_unredirected_header("Authorization", f"Bearer {self.token}")
            try:
                with self.opener.open(request, timeout=TIMEOUT) as answer:
                    following = re.search(r'<([^>]+)>;\s*rel="next"', answer.headers.get("Link") or "")
                    return json.load(answer), following[1] if following else None
            except urllib.error.HTTPError as e:
                if e.code not in BUSY or tried == TRIES - 1:
                    raise Trouble(_refusal(url, e.code, bool(self.token))) from None
                after = e.headers.get("Retry-After") or ""
                time.sleep(min(int(after) if after.isdigit() else 2**tried, 60))
            except (urllib.error.URLError, OSError, ValueError) as e:
                if tried == TRIES - 1:
                    raise Trouble(
                        f"{_host(url)} is not reached ({getattr(e, 'reason', e)}); set proxy, or hub_endpoint to a mirror"
                    ) from None
                time.sleep(2**tried)
        raise AssertionError


def _refusal(url: str, code: int, token: bool) -> str:
    if code in (401, 403):
        wants = "refuses the hub_token, or its licence was not accepted" if token else "wants a token: set hub_token"
        return f"{_host(url)} {wants} ({code})"
    if code == 404:
        return f"{_host(url)} has no such repository ({code}): {url}"
    return f"{_host(url)} answers {code}"


def _host(url: str) -> str:
    return url.split("/")[2]


def _authorities() -> ssl.SSLContext:
    """Images without the system's certificates often have Python's."""
    context = ssl.create_default_context()
    if importlib.util.find_spec("certifi"):
        context.load_verify_locations(importlib.import_module("certifi").where())
    return context


def blob(path: Path, size: int) -> str:
    """Git's name for a file: what Hugging Face lists for small ones."""
    sha = hashlib.sha1(b"blob %d\0" % size)  # noqa: S324 - git's, not ours
    with path.open("rb") as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            sha.update(piece)
    return sha.hexdigest()
