"""Golden plans: every recipe's full commands as text, written with `make golden` and read as data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from roles.plan.show import readable
from roles.proxy import config
from tests.unit.sources import plan, recipes

GOLDEN = Path(__file__).parents[1] / "fixtures" / "golden"
PATTERNS = ("*.txt", "*.conf", "*.service")
MORE: dict[str, tuple[str, dict[str, Any]]] = {
    "vllm-ascend/a2-dual+least": ("vllm-ascend/a2-dual", {"privileges": "least", "auth": "off"}),
    "vllm-ascend/a2-dual+direct-out": ("vllm-ascend/a2-dual", {"topology": "direct-out"}),
    "vllm-ascend/a2-dual+back-to-back": ("vllm-ascend/a2-dual", {"topology": "back-to-back"}),
    "vllm-ascend/a2-dual+0.28.0rc1": ("vllm-ascend/a2-dual", {"version": "0.28.0rc1"}),
    "vllm-ascend/a2-dual+openeuler-x86": ("vllm-ascend/a2-dual", {"image_os": "openeuler", "arch": "x86_64"}),
    "vllm-ascend/a3+eagle3": ("vllm-ascend/a3", {"model": "MiniMax-M2.5-w8a8-QuaRot", "draft": "/models/eagle3"}),
    "vllm-ascend/a2-single+responses": ("vllm-ascend/a2-single", {"variants": ["responses"]}),
    "vllm/nvidia-tp4+piecewise": ("vllm/nvidia-tp4", {"variants": ["piecewise"]}),
    "vllm/nvidia-tp4+responses": ("vllm/nvidia-tp4", {"variants": ["responses"]}),
    "vllm/nvidia-tp4+proxy": ("vllm/nvidia-tp4", {"expose": "proxy", "firewall": True}),
    "vllm/nvidia-dp8-ep+venv": ("vllm/nvidia-dp8-ep", {"runtime": "venv"}),
    "sglang/nvidia-tp4+proxy": ("sglang/nvidia-tp4", {"expose": "proxy", "tls": {"cert": "/etc/ssl/api.crt", "key": "/etc/ssl/api.pem"}}),
    "xinference/mlx+8bit": ("xinference/mlx", {"variants": ["8bit"]}),
}


def cases() -> dict[str, tuple[str, dict[str, Any]]]:
    return {**{r: (r, {}) for r in recipes()}, **MORE}


def path(name: str) -> Path:
    return GOLDEN / f"{name.replace('/', '_')}.txt"


def text(name: str) -> str:
    recipe, data = cases()[name]
    return readable(plan(recipe, **data), explain=True)


def proxies() -> dict[str, str]:
    """The files of the proxy on a node, by name: of a plan without a key and a certificate of its own, and of one with both."""
    texts = {}
    for name in ("vllm/nvidia-tp4+proxy", "sglang/nvidia-tp4+proxy"):
        recipe, data = MORE[name]
        made = plan(recipe, **data)
        stem = name.replace("/", "_")
        texts |= {f"{stem}.conf": config.conf(made, made.replicas[0]), f"{stem}.service": config.unit(made, made.replicas[0])}
    return texts


def write() -> None:
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for old in (p for pattern in PATTERNS for p in GOLDEN.glob(pattern)):
        old.unlink()
    for name in cases():
        path(name).write_text(text(name), encoding="utf-8")
    for name, content in proxies().items():
        (GOLDEN / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    write()
