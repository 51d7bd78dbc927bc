"""Which tests are the long ones, and which skips are allowed."""

from __future__ import annotations

import os
from collections.abc import Iterable

import pytest

from tests import watched

ALLOWED = {
    "devices cannot be made here": "a container without CAP_MKNOD; the lab's nodes show the same with real device files",
}
"""Reasons for a skip that make test takes: all others fail it, for nobody reads a list of skips."""
STRICT = "BRINGUP_SKIPS"
"""Set to `fail` by make test."""
_skips: set[str] = set()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if watched.at_rest(item.path):
            item.add_marker(pytest.mark.long)
        if item.get_closest_marker("long"):
            item.user_properties.append(("long", "yes"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        _note(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        _note(report)


def _note(report: pytest.TestReport | pytest.CollectReport) -> None:
    where = report.longrepr
    _skips.add(str(where[2] if isinstance(where, tuple) else where).removeprefix("Skipped: "))


def unlisted(skips: Iterable[str]) -> list[str]:
    return sorted(s for s in skips if not any(s.startswith(known) for known in ALLOWED))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if os.environ.get(STRICT) == "fail" and not hasattr(session.config, "workerinput") and unlisted(_skips):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if os.environ.get(STRICT) == "fail":
        for reason in unlisted(_skips):
            terminalreporter.write_line(f"FAILED for a skip that is on no list (tests/conftest.py): {reason}", red=True)
