"""The engines' own parsers accept what the recipes render."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from roles.plan.library import library
from tests.engines.judge import Judge
from tests.unit.sources import plan, recipes

pytestmark = pytest.mark.engines
Level = Literal["parse", "config"]
NOT_ON_CPU = ("ascend", "context parallel", "context_parallel", "eagle3")
"""What the CPU build refuses in a configuration though its parser knows the flag: the Ascend plugin brings it."""


JudgeOf = Callable[[str, str], Judge]


def accepted(judge: Judge, argv: list[str], level: Level, headless: bool = False) -> dict[str, Any]:
    verdict = judge.check(argv, level=level, headless=headless)
    assert verdict.ok, f"{verdict.error}\n{' '.join(argv)}"
    return verdict.config


def of(*engines: str) -> list[str]:
    """The recipes of these engines, the lab's among them."""
    return [r for r in recipes() if library().recipe(r, "test").engine in engines]


VLLM = of("vllm", "vllm-ascend")
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("vllm/nvidia-tp4", {"variants": ["piecewise"]}),
    ("vllm/nvidia-tp4", {"variants": ["responses"]}),
    ("vllm/nvidia-dp8-ep", {"variants": ["piecewise", "responses"]}),
    ("vllm-ascend/a2-dual", {"profiler": "/data/profiles"}),
    ("vllm-ascend/a2-dual", {"flags": {"max-num-seqs": 64, "async-scheduling": False, "seed": 1}}),
]


COMMANDS = [*((r, {}) for r in VLLM), *VARIANTS]


@pytest.mark.parametrize(
    ("version", "recipe", "data"),
    [(v, r, d) for v in ("0.18.0", "0.32.0") for r, d in COMMANDS],
    ids=lambda v: v if isinstance(v, str) else "+".join(v),
)
def test_vllm_accepts_every_command(judge_of: JudgeOf, version: str, recipe: str, data: dict[str, Any]) -> None:
    """Down to the engine's configuration, but for what only the Ascend plugin knows: that is parsed."""
    judge = judge_of("vllm", version)
    which = {"version": version} if recipe.startswith("vllm-ascend/") else {"image": f"registry.local/vllm:v{version}"}
    made = plan(recipe, **which, **data)
    for node in made.replicas[0].nodes:
        argv = [Path(node.serve_argv[0]).name, *node.serve_argv[1:]]  # in an environment of uv it has a folder before it
        headless = "--headless" in argv
        accepted(judge, argv, "parse", headless)
        verdict = judge.check(argv, level="config", headless=headless)
        if not verdict.ok:
            assert recipe.startswith(("vllm-ascend/", "lab/")), verdict.error
            assert any(word in verdict.error.lower() for word in NOT_ON_CPU), verdict.error


@pytest.mark.parametrize("version", ["0.18.0", "0.32.0"])
def test_the_pair_is_one_engine_with_one_front_end(judge_of: JudgeOf, version: str) -> None:
    judge = judge_of("vllm", version)
    first, second = (n.serve_argv for n in plan(version=version).replicas[0].nodes)
    config = accepted(judge, first, "config")
    assert (config["tp"], config["dp"], config["ep"]) == (8, 2, True)
    assert (config["external_lb"], config["hybrid_lb"]) == (False, False)
    assert accepted(judge, second, "config", headless=True)["dp"] == 2


SGLANG = of("sglang")


@pytest.mark.parametrize("version", ["0.5.7", "0.5.23"])
@pytest.mark.parametrize("recipe", SGLANG)
def test_sglang_accepts_every_command(judge_of: JudgeOf, version: str, recipe: str) -> None:
    judge = judge_of("sglang", version)
    made = plan(recipe, image=f"registry.local/sglang:v{version}")
    accepted(judge, made.replicas[0].nodes[0].serve_argv, "parse")


XINFERENCE = of("xinference")


@pytest.mark.parametrize("recipe", XINFERENCE)
def test_xinference_accepts_both_steps(judge_of: JudgeOf, recipe: str) -> None:
    judge = judge_of("xinference", "4.1.0")
    node = plan(recipe).replicas[0].nodes[0]
    for argv in (node.serve_argv, node.after_ready_argv):
        accepted(judge, [argv[0].rsplit("/", 1)[-1], *argv[1:]], "parse")


@pytest.mark.parametrize(("engine", "version"), [("vllm", "0.18.0"), ("vllm", "0.32.0"), ("sglang", "0.5.23")])
def test_the_option_table_is_the_parsers_own(judge_of: JudgeOf, engine: str, version: str) -> None:
    """Every option the parser knows is in the table at that release, and the other way round."""
    from packaging.version import Version

    known = {o.removeprefix("--") for o in judge_of(engine, version).options() if o.startswith("--") and not o.startswith("--no-")}
    table = library().table(engine, "test")
    release = Version(version)
    listed = {n for n, o in table.flags.items() if o.present(release) and not n.startswith("-")}
    aliases = {a.removeprefix("--") for o in table.flags.values() for a in o.aliases}
    assert known - listed - aliases <= {"help"}
    assert listed - known == set()
