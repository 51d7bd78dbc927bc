"""Which tests are the long ones is kept in the results, for docs/long-run.md."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("long"):
            item.user_properties.append(("long", "yes"))
