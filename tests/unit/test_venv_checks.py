"""The environment's checks: made of the plan's packages, uv to be had, the same versions everywhere, room."""

from __future__ import annotations

from typing import Any

import pytest

from roles.plan.finding import Finding
from roles.run.checks import Case, every, judge
from roles.run.seen import Section, Seen
from tests.unit.sources import plan

PREPARE = "pyinfra INVENTORY deploy/prepare.py"
GIB = 1 << 30
MADE = {"python": "3.11", "packages": "", "digest": "d1"}
HOST = {"uv": "/usr/bin/uv", "wheel": "", "wheels": "", "unpack": "/usr/bin/unzip", "curl": "/usr/bin/curl", "free": str(90 * GIB)}


def seen(name: str, made: dict[str, str] | None, **host: str) -> Seen:
    sections = {
        "venv.made": Section("", 0, tuple(f"{k}={v}" for k, v in (made or {}).items())),
        "venv.host": Section("", 0, tuple(f"{k}={v}" for k, v in {**HOST, **host}.items())),
    }
    return Seen(name, sections)


def judged(made: dict[str, str] | None = None, keys: dict[str, Any] | None = None, **host: str) -> dict[str, Finding]:
    """One node whose environment was made of this (nothing: of what the plan wants; {}: it was not)."""
    now = plan("lab/venv", **(keys or {}))
    whole = {**MADE, "packages": f"vllm=={now.version}"} if made is None else made
    node = now.nodes[0]
    return {f.check: f for f in judge(now, {node.name: seen(node.name, whole, **host)}) if f.check.startswith("venv.")}


def test_an_environment_of_the_plans_packages_passes() -> None:
    found = judged()
    assert {id: f.level for id, f in found.items()} == {"venv.present": "pass", "venv.uv": "pass", "venv.room": "pass"}
    assert found["venv.present"].observed.startswith("python 3.11, vllm==")


BARE = {"uv": "", "curl": ""}
WHEELS = {"wheels": "/srv/wheels"}
OLD = {"python": "3.11", "packages": "vllm==0.1", "digest": "d0"}
FAULTS: list[tuple[str, dict[str, str] | None, dict[str, Any], dict[str, str], str, str, str]] = [
    ("venv.present?", {}, {}, {}, "not made", "python 3.11, vllm==", PREPARE),
    ("venv.present?", OLD, {}, {}, "made of vllm==0.1 for python 3.11", "python 3.11, vllm==", PREPARE),
    ("venv.uv!", None, {}, BARE, "no uv, and no curl to fetch it", "uv, curl, or wheels in the inventory", 'install curl, or set "wheels"'),
    ("venv.uv!", None, WHEELS, {**BARE, "wheels": "7"}, "/srv/wheels has 7 wheels and none of uv", "uv-*.whl in", "put uv's wheel into"),
    (
        "venv.uv!",
        None,
        WHEELS,
        {**BARE, "wheel": "uv-1.whl", "unpack": ""},
        "nothing here unpacks a wheel",
        "python3, unzip",
        "install unzip",
    ),
]


@pytest.mark.parametrize(("check", "made", "keys", "host", "observed", "expected", "fix"), FAULTS, ids=[f"{f[0]}-{f[4]}" for f in FAULTS])
def test_a_fault_is_found_by_its_own_check_and_no_other(
    check: str, made: dict[str, str] | None, keys: dict[str, Any], host: dict[str, str], observed: str, expected: str, fix: str
) -> None:
    found = [f for f in judged(made, keys, **host).values() if f.level in ("fail", "warn")]
    assert [(f.check, f.level) for f in found] == [(check[:-1], "fail" if check.endswith("!") else "warn")]
    assert found[0].node == "10.0.0.11"
    assert observed in found[0].observed
    assert expected in found[0].expected
    assert fix in found[0].fix


@pytest.mark.parametrize(
    ("keys", "host", "says"),
    [
        ({}, {"uv": ""}, "comes from astral.sh"),
        (WHEELS, {"uv": "", "curl": "", "wheel": "uv-1.whl"}, "comes from its wheel"),
        ({}, {}, "/usr/bin/uv"),
    ],
)
def test_uv_that_can_be_had_passes(keys: dict[str, Any], host: dict[str, str], says: str) -> None:
    found = judged(None, keys, **host)["venv.uv"]
    assert (found.level, found.observed) == ("pass", says)


def test_room_is_asked_for_only_where_the_environment_is_still_to_come() -> None:
    few = str(9 * GIB)
    one = judged({}, free=few)["venv.room"]
    assert (one.level, one.observed, one.expected, one.fix) == ("warn", "9 GiB free", "20 GiB", "free space under /var/lib/bringup")
    assert judged(None, free=few)["venv.room"].level == "pass"
    assert judged({}, free="")["venv.room"].level == "skip"


def test_nodes_of_a_replica_with_other_versions_differ_from_the_first() -> None:
    """No recipe of ours has such a replica; the check is asked by itself."""
    now = plan("vllm-ascend/a2-dual")
    first, second = now.nodes

    def same(digest: str) -> Any:
        all_seen = {first.name: seen(first.name, MADE), second.name: seen(second.name, {**MADE, "digest": digest})}
        return every()["venv.same"].test(Case(now, now.replicas[0], second, all_seen[second.name], all_seen))

    assert same("d1").level == "pass"
    assert (same("d2").level, same("d2").observed, same("d2").expected) == ("fail", "versions d2", f"d1 as on {first.name}")
    assert same("d2").fix.startswith("rm -r /var/lib/bringup/test/venv, then pyinfra INVENTORY deploy/prepare.py")
    assert same("") is None, "not made there yet"
