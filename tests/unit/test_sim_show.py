"""What `make lab-set NODE=n1` without words shows: all that can be set, with its value now and what it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.lab.sim import keys, state
from tests.lab.sim.cli import TAKES
from tests.lab.sim.model import CHOICES, FAMILIES
from tests.unit.test_sim import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "a2")


def rows(lab: Lab) -> dict[str, str]:
    """The lines, by their key; with the mark of what differs."""
    return {line[2:].split()[0]: line[0] + " ".join(line[2:].split()[1:]) for line in lab.sim("show").splitlines()[1:]}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_key_that_can_be_set_is_shown_once(tmp_path: Path, family: str) -> None:
    lab = Lab(tmp_path / "one", family, "--node", "3")
    assert list(rows(lab)) == keys.known(state.load(lab.paths))
    assert not [key for key, row in rows(lab).items() if row.startswith("!")], "a healthy node differs in nothing"


def test_a_key_is_shown_with_its_value_and_what_it_takes(lab: Lab) -> None:
    assert lab.sim("show").splitlines()[0] == "KEY=VALUE sets; N is a device (0 to 7), N-M or *; ! is not as on a healthy node"
    found = rows(lab)
    assert found["link.N"] == " UP UP, DOWN"
    assert found["health.N"] == f" OK {', '.join(CHOICES['health'])}"
    assert found["driver"] == " 25.5.0 a text"
    assert found["hccn.busy"] == " 0 a whole number"
    assert found["npu_smi.garbage"] == " false true, false, binary, a text"
    assert found["nvidia_smi.fault"] == " none driver, mismatch, lost; none"
    assert found["ip.N"] == " 10.30.1.10 ... 10.30.1.17 a text; none"
    assert found["loss.ADDRESS"] == " none a whole number"


def test_what_differs_is_marked_and_named_by_its_device(lab: Lab) -> None:
    lab.set("link.3=DOWN", "ip.2=10.99.0.1", "tls.*=1", "driver=24.1.rc1", "loss.10.30.2.10=50")
    found = rows(lab)
    assert found["link.N"] == "!UP; 3: DOWN UP, DOWN"
    assert found["ip.N"].startswith("!10.30.1.10 ... 10.30.1.17; 2: 10.99.0.1 ")
    assert found["tls.N"] == "!1 a whole number"
    assert found["driver"] == "!24.1.rc1 a text"
    assert found["loss.ADDRESS"] == "!10.30.2.10: 50 a whole number"
    assert {key for key, row in found.items() if row.startswith("!")} == {"link.N", "ip.N", "tls.N", "driver", "loss.ADDRESS"}


def test_only_what_differs_can_still_be_asked_for(lab: Lab) -> None:
    lab.set("link.3=DOWN")
    told = yaml.safe_load(lab.sim("show", "--changed"))
    assert told == {"family": "a2", "node": 1, "nodes": 256, "devices": {3: {"link": "DOWN"}}}


def test_every_kind_of_value_has_words() -> None:
    assert {state.coerce(kind, "1") is not None for kind in TAKES} == {True}
