"""--data: a verb's options, cluster keys, and everything else refused."""

from __future__ import annotations

import pytest

from roles.plan.errors import PlanError
from roles.run.options import VERBS, split


def test_options_of_the_verb_and_cluster_keys_are_told_apart() -> None:
    assert split("serve", {"soak": "10m", "flags.max-num-seqs": 64}) == ({"soak": 600.0}, {"flags.max-num-seqs": 64})


@pytest.mark.parametrize(
    ("verb", "data", "words"),
    [
        ("serve", {"soak": "long"}, "expected a time such as 90s or 10m"),
        ("serve", {"keep": "yes"}, "expected true or false"),
        ("check", {"fabric": "everything"}, "expected rail, full or off"),
        ("check", {"stale": True}, "it belongs to clean"),
        ("check", {"skp": "node.swap"}, r'no such key \(did you mean "skip"\?\)'),
        ("logs", {"tail": -1}, "expected a number of lines"),
        ("logs", {"tail": True}, "expected a number of lines"),
        ("clean", {"foreign": ""}, "expected NODE:PID or NODE:CONTAINER"),
    ],
)
def test_a_wrong_option_gets_one_sentence(verb: str, data: dict[str, object], words: str) -> None:
    with pytest.raises(PlanError, match=words) as caught:
        split(verb, data)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(("text", "seconds"), [("5", 5.0), (5, 5.0), ("90s", 90.0), ("1.5m", 90.0), ("2h", 7200.0)])
def test_times_are_read_in_seconds_minutes_and_hours(text: object, seconds: float) -> None:
    assert split("verify", {"soak": text})[0] == {"soak": seconds}


def test_every_verb_has_a_deploy_file_or_is_not_offered_yet() -> None:
    from tests.unit.test_imports import ROOT

    files = {p.stem for p in (ROOT / "deploy").glob("*.py")}
    assert files <= set(VERBS)
