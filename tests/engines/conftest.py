"""The judges as fixtures, one process each for the whole session."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import pytest

from .environment import Say, Unavailable
from .judge import Judge


@pytest.fixture(scope="session")
def judge_of(request: pytest.FixtureRequest) -> Iterator[Callable[[str, str], Judge]]:
    """`judge_of("vllm", "0.32.0")`: one process per engine and release, started when asked for.

    BRINGUP_ENGINES: unset builds or skips, `required` builds or fails, `off` skips at once.
    """
    wish = os.environ.get("BRINGUP_ENGINES", "")
    say = _aloud(request)
    opened: dict[tuple[str, str], Judge] = {}

    def judge_of(engine: str, version: str) -> Judge:
        if wish == "off":
            pytest.skip("BRINGUP_ENGINES=off")
        if (engine, version) not in opened:
            why_not = ""
            try:
                opened[engine, version] = stack.enter_context(Judge(engine, version, say=say))
            except Unavailable as reason:
                why_not = str(reason)
            if why_not and wish == "required":
                pytest.fail(f"BRINGUP_ENGINES=required, but {why_not}", pytrace=False)
            if why_not:
                say(f"engines: {engine}-{version}: skipped: {why_not}")
                pytest.skip(why_not)
        return opened[engine, version]

    with contextlib.ExitStack() as stack:
        yield judge_of


def _aloud(request: pytest.FixtureRequest) -> Say:
    """A build takes minutes: its lines must pass pytest's capture."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def say(line: str) -> None:
        with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
            print(f"\n{line}", flush=True)

    return say


@pytest.fixture
def vllm(judge_of: Callable[[str, str], Judge]) -> Judge:
    return judge_of("vllm", "0.32.0")


@pytest.fixture
def vllm_018(judge_of: Callable[[str, str], Judge]) -> Judge:
    return judge_of("vllm", "0.18.0")


@pytest.fixture
def sglang(judge_of: Callable[[str, str], Judge]) -> Judge:
    return judge_of("sglang", "0.5.23")


@pytest.fixture
def sglang_057(judge_of: Callable[[str, str], Judge]) -> Judge:
    return judge_of("sglang", "0.5.7")


@pytest.fixture
def xinference(judge_of: Callable[[str, str], Judge]) -> Judge:
    return judge_of("xinference", "4.1.0")
