"""Every recipe's full commands stand in a file that is reviewed as data."""

from __future__ import annotations

import pytest

from tests.unit import golden


@pytest.mark.parametrize("name", golden.cases())
def test_a_plan_is_what_its_golden_file_says(name: str) -> None:
    assert golden.text(name) == golden.path(name).read_text(encoding="utf-8"), "changed on purpose? `make golden`, then read the diff"


@pytest.mark.parametrize("name", golden.proxies())
def test_a_proxys_file_is_what_its_golden_file_says(name: str) -> None:
    assert golden.proxies()[name] == (golden.GOLDEN / name).read_text(encoding="utf-8"), (
        "changed on purpose? `make golden`, then read the diff"
    )


def test_no_golden_file_is_left_over() -> None:
    found = {p.name for pattern in golden.PATTERNS for p in golden.GOLDEN.glob(pattern)}
    assert found == {golden.path(n).name for n in golden.cases()} | set(golden.proxies())
