"""Generated inventories: a plan or sentences, never a traceback."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from roles.plan.__main__ import main
from roles.plan.cluster import CLUSTER, HOST
from roles.plan.errors import PlanError
from roles.plan.library import library
from roles.plan.plan import make
from roles.plan.source import Source, plain
from tests.examples import count
from tests.unit import bad
from tests.unit.sources import NODES, model_for, recipes

COUNT = count(10_000)
SEED = int(os.environ.get("SEED", "20261120"))
ODD: list[Any] = [
    None, True, False, 0, 1, -1, 2**63, 10**30, 1.5, float("nan"), "", " ", "x", "a b", "$(id)", "é", "\n", "\0", "\ud800", "a" * 500,
    "/models/x", "10.0.0.11", "::1", "file:/x", "env:X", "v0.18.0", "0.18.0", [], [1], ["a"], [None], {}, {"a": 1}, {"": None}, {1: 2},
    b"x", object(), len, {1, 2}, (1, 2), [[[[]]]], {"a": {"b": {"c": []}}},
]  # fmt: skip
FLAGS = [
    "max-num-seqs",
    "tensor-parallel-size",
    "data-parallel-size",
    "speculative-config",
    "enable-expert-parallel",
    "port",
    "x",
    "--x",
    "seed",
]


def value(r: random.Random, depth: int = 0) -> Any:
    """Anything an inventory could hold, more odd than not."""
    kind = r.random()
    if kind < 0.55 or depth > 2:
        return r.choice(ODD)
    if kind < 0.7:
        return r.choice([*recipes(), *library().models(), "generate", "off", "seed", "least", "docker", "venv", "switched", "back-to-back"])
    if kind < 0.8:
        return [value(r, depth + 1) for _ in range(r.randrange(4))]
    if kind < 0.9:
        return {r.choice([*FLAGS, "api", "rpc", "hccl", "ready", "A"]): value(r, depth + 1) for _ in range(r.randrange(4))}
    return "".join(chr(r.choice([r.randrange(32, 127), r.randrange(0x110000)])) for _ in range(r.randrange(12)))


def mutated(r: random.Random) -> tuple[dict[str, Any], list[Any]]:
    """The good inventory with a few things changed."""
    recipe = r.choice(recipes())
    data = {**bad.DATA, "recipe": recipe, "model": model_for(recipe)}
    hosts: list[Any] = [(n, dict(d)) for n, d in bad.HOSTS][: max(1, min(2, NODES.get(recipe, 1)))]
    for _ in range(r.choice([1, 1, 1, 2, 3, 4])):
        where = r.random()
        if where < 0.45:
            data[r.choice([*CLUSTER, "zz", "ssh_user", "_x", "flags.seed", "ports.api"])] = value(r)
        elif where < 0.75:
            hosts[r.randrange(len(hosts))][1][r.choice([*HOST, "zz", "ssh_port"])] = value(r)
        elif where < 0.85:
            data.pop(r.choice(list(data)), None)
            data.setdefault("recipe", "vllm-ascend/a2-dual")
        elif where < 0.95:
            hosts.append((f"10.0.1.{r.randrange(256)}", {"rank": r.randrange(4), "nic": "eth0", "replica": r.choice(["r0", "r1"])}))
        else:
            data["flags"] = {r.choice(FLAGS): value(r) for _ in range(3)}
    return data, hosts


def attempt(data: dict[str, Any], hosts: list[Any]) -> tuple[str, ...]:
    """What was said against an inventory; nothing when a plan was made."""
    try:
        clean = Source("fuzz.py", "fuzz", tuple((n, plain(d, f"fuzz.py: {n}")) for n, d in hosts), plain(data, "fuzz.py: fuzz"))
        json.dumps(make(clean).data())
    except PlanError as e:
        return e.problems
    return ()


def scratched(r: random.Random) -> str:
    """The good inventory's text with a few characters lost, doubled or replaced."""
    text = list(bad.GOOD)
    for _ in range(r.randrange(1, 4)):
        at = r.randrange(len(text))
        text[at] = r.choice(["", text[at] * 2, r.choice("\"'()[]{}:,=#\\\n\t 09azé")])
    return "".join(text)


def test_a_thousand_scratched_inventory_files_never_end_in_a_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    r = random.Random(SEED)
    path = tmp_path / "scratched.py"
    made = 0
    for number in range(1000):
        path.write_text(scratched(r), encoding="utf-8")
        code = main([str(path), "--json"])
        out, err = capsys.readouterr()
        assert code in (0, 2), f"SEED={SEED}, file {number}"
        assert (code == 0) == bool(out) == (not err), f"SEED={SEED}, file {number}: {err}"
        assert "Traceback" not in err
        made += code == 0
    assert 50 < made < 950


def test_generated_inventories_never_end_in_a_traceback() -> None:
    r = random.Random(SEED)
    made = 0
    for number in range(COUNT):
        data, hosts = mutated(r)
        try:
            problems = attempt(data, hosts)
        except Exception as e:
            raise AssertionError(f"SEED={SEED}, inventory {number}: {data!r} {hosts!r}") from e
        assert all(p.startswith(("fuzz.py", "files/")) and p.isprintable() for p in problems), (SEED, number, problems)
        made += not problems
    assert COUNT // 50 < made < COUNT - COUNT // 50, "the generator must reach both ends"
