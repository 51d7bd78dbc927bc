"""Golden plans: every recipe's full commands as text, written with `make golden` and read as data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from roles.plan.show import readable
from tests.unit.sources import plan, recipes

GOLDEN = Path(__file__).parents[1] / "fixtures" / "golden"
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
    "vllm/nvidia-dp8-ep+venv": ("vllm/nvidia-dp8-ep", {"runtime": "venv"}),
    "xinference/mlx+8bit": ("xinference/mlx", {"variants": ["8bit"]}),
}


def cases() -> dict[str, tuple[str, dict[str, Any]]]:
    return {**{r: (r, {}) for r in recipes()}, **MORE}


def path(name: str) -> Path:
    return GOLDEN / f"{name.replace('/', '_')}.txt"


def text(name: str) -> str:
    recipe, data = cases()[name]
    return readable(plan(recipe, **data), explain=True)


def write() -> None:
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for old in GOLDEN.glob("*.txt"):
        old.unlink()
    for name in cases():
        path(name).write_text(text(name), encoding="utf-8")


if __name__ == "__main__":
    write()
