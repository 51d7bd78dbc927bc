"""LAB_EAGER: no compilation. It needs a C++ compiler in the image, and takes minutes with sixteen ranks on two cores."""

from __future__ import annotations

from typing import Any

from bringup_lab_vllm.config import before_config


def patch() -> None:
    before_config(_eager)


def _eager(arguments: Any) -> None:
    arguments.enforce_eager = True
