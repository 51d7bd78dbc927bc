"""What clients see through the proxy: the model, nothing without the key, and nothing besides /v1/* and /health."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx2

from roles.run.api import Api
from roles.verify.result import Result

LIMIT = 30.0
CLOSED = "/metrics"
"""A path that every engine has and the proxy does not pass."""


def proven(api: Api, verify: Mapping[str, Any], key: str) -> Result:
    """One sentence on the way from outside."""
    began = time.monotonic()
    try:
        wrong = _wrong(lambda path, secret="": _get(api, path, secret), verify, key)
    except httpx2.HTTPError as e:
        wrong = f"the proxy at {api.url} does not answer as it should ({_said(e)})"
    said = wrong or f"{api.url} ({api.way}) serves {verify['model']}{', asks for the key' if key else ''} and hides {CLOSED}"
    return Result("outside", not wrong, said, time.monotonic() - began)  # the engine behind it is not refuted by what stands before it


def _wrong(get: Callable[..., httpx2.Response], verify: Mapping[str, Any], key: str) -> str:
    """Nothing, or the first sentence that is not as the plan says."""
    models = verify["paths"]["models"]
    answer = get(models, key)
    if answer.status_code != 200:
        return f"the proxy says {answer.status_code} for {models}, expected 200"
    if verify["model"] not in answer.text:
        return f"the proxy's {models} does not list {verify['model']}: another engine is behind it"
    for path, secret, expected in ((CLOSED, key, 404), *([(models, "", 401)] if key else [])):
        code = get(path, secret).status_code
        if code != expected:
            return f"the proxy says {code} for {path}{'' if secret else ' without a key'}, expected {expected}"
    return ""


def _get(api: Api, path: str, secret: str) -> httpx2.Response:
    return api.client.get(api.url + path, headers={"Authorization": f"Bearer {secret}"} if secret else {}, timeout=LIMIT)


def _said(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
