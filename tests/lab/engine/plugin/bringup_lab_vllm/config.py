"""The one place where engine arguments are changed before a configuration is made of them: the command line stays the plan's."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from vllm.engine.arg_utils import EngineArgs


def before_config(change: Callable[[EngineArgs], None]) -> None:
    original = EngineArgs.create_engine_config

    @functools.wraps(original)
    def create_engine_config(self: EngineArgs, *args: Any, **named: Any) -> Any:
        change(self)
        return original(self, *args, **named)

    EngineArgs.create_engine_config = create_engine_config
