"""A plan renders what the image's release reads, and says what it leaves out."""

from __future__ import annotations

from typing import Any

import pytest

from roles.plan.errors import PlanError
from roles.plan.library import library
from tests.unit.sources import plan, recipes


def node(recipe: str, rank: int = 0, **data: Any) -> tuple[list[str], dict[str, str]]:
    n = plan(recipe, **data).replicas[0].nodes[rank]
    return n.serve_argv, n.env


@pytest.mark.parametrize("version", ["0.11.0", "0.14.0", "0.18.0", "0.20.2rc1", "0.23.0", "0.27.1rc1", "0.28.0rc1", "0.33.0"])
def test_every_flag_of_the_pair_exists_in_the_release_that_runs_it(version: str) -> None:
    table = library().table("vllm", "test")
    made = plan(version=version)
    for rank in (0, 1):
        for word in made.replicas[0].nodes[rank].serve_argv:
            if word.startswith("--"):
                found = table.flag(word)
                assert found, word
                assert found[1].present(_release(version)), word


def _release(version: str) -> Any:
    from packaging.version import Version

    return Version(Version(version).base_version)


@pytest.mark.parametrize("recipe", [r for r in recipes() if not r.startswith("xinference/")])
def test_every_flag_of_every_recipe_is_in_its_engines_option_table(recipe: str) -> None:
    engine = library().engine(library().recipe(recipe, "test").engine, "test")
    table = library().table(engine.options[0], "test")
    for name in library().recipe(recipe, "test").flags:
        assert table.flag(name), name


@pytest.mark.parametrize("recipe", [r for r in recipes() if r.startswith("xinference/")])
def test_xinferences_flags_are_in_both_of_its_tables(recipe: str) -> None:
    table = library().table("xinference", "test")
    chosen = library().recipe(recipe, "test")
    assert all(table.flag(n) for n in chosen.flags)
    assert all(table.launch_flag(n) for n in chosen.launch)


def test_the_profiler_is_turned_on_the_way_the_release_reads_it() -> None:
    argv, env = node("vllm-ascend/a2-dual", profiler="/data/profiles", version="0.14.0")
    assert env["VLLM_TORCH_PROFILER_DIR"] == "/data/profiles"
    assert "--profiler-config" not in argv
    argv, env = node("vllm-ascend/a2-dual", profiler="/data/profiles")
    assert "VLLM_TORCH_PROFILER_DIR" not in env
    assert "/data/profiles" in argv[argv.index("--profiler-config") + 1]
    argv, env = node("vllm-ascend/a2-dual")
    assert "VLLM_TORCH_PROFILER_DIR" not in env
    assert "--profiler-config" not in argv


def test_flashcomm_only_where_it_exists() -> None:
    assert node("vllm-ascend/a2-dual")[1]["VLLM_ASCEND_ENABLE_FLASHCOMM1"] == "1"
    assert "VLLM_ASCEND_ENABLE_FLASHCOMM1" not in node("vllm-ascend/a2-dual", version="0.27.1rc1")[1]


def test_balance_scheduling_only_where_it_exists() -> None:
    assert node("vllm-ascend/a3")[1]["VLLM_ASCEND_BALANCE_SCHEDULING"] == "1"
    assert "VLLM_ASCEND_BALANCE_SCHEDULING" not in node("vllm-ascend/a3", version="0.27.1rc1")[1]
    assert "VLLM_ASCEND_BALANCE_SCHEDULING" not in node("vllm-ascend/a3-long-context")[1]


def test_what_a_release_no_longer_reads_is_said_when_the_plan_is_explained() -> None:
    assert any("VLLM_ASCEND_ENABLE_FLASHCOMM1: not set from 0.27.1rc1 on" in x for x in plan(version="0.27.1rc1").left_out)
    assert any("VLLM_ASCEND_BALANCE_SCHEDULING: no longer read from" in x for x in plan("vllm-ascend/a3", version="0.27.1rc1").left_out)


def test_a_variable_of_the_inventory_that_the_release_dropped_warns_and_stays() -> None:
    made = plan(env={"VLLM_RPC_TIMEOUT": 10000}, version="0.23.0")
    assert any('"env.VLLM_RPC_TIMEOUT" is no longer read from 0.23.0 on' in w for w in made.warnings)
    assert made.replicas[0].nodes[0].env["VLLM_RPC_TIMEOUT"] == "10000"
    assert not plan(env={"VLLM_RPC_TIMEOUT": 10000}, version="0.18.0").warnings


def test_a_flag_of_the_inventory_that_the_release_lacks_warns_and_is_left_out() -> None:
    table = library().table("vllm", "test")
    dropped = next(n for n, o in table.flags.items() if o.gone and o.kind == "value" and not n.startswith("-") and o.gone <= "0.33.0")
    made = plan(flags={dropped: "1"}, version="0.33.0")
    assert any(f"was dropped in vllm {table.flags[dropped].gone}" in w for w in made.warnings)
    assert f"--{dropped}" not in made.replicas[0].nodes[0].serve_argv
    late = next(n for n, o in table.flags.items() if o.since and o.since.startswith("0.3") and o.kind == "value" and not n.startswith("-"))
    assert any("came with vllm" in w for w in plan(flags={late: "1"}, version="0.18.0").warnings)


def test_an_unknown_flag_is_refused_where_the_release_was_read_and_warned_about_elsewhere() -> None:
    with pytest.raises(PlanError, match=r"is not a flag of vllm 0\.18\.0"):
        plan(flags={"max-num-seq": 1})
    made = plan(flags={"brand-new-flag": 1}, version="0.18.1")
    assert any("is not a flag of any vllm release that was read" in w for w in made.warnings)
    assert "--brand-new-flag" in made.replicas[0].nodes[0].serve_argv


def test_rocm_is_told_its_expert_exchange_the_way_the_release_reads_it() -> None:
    argv, env = node("vllm/rocm-mi300x", image="rocm/vllm:v0.15.0")
    assert env["VLLM_ALL2ALL_BACKEND"] == "allgather_reducescatter"
    assert "--all2all-backend" not in argv
    argv, env = node("vllm/rocm-mi300x")
    assert "VLLM_ALL2ALL_BACKEND" not in env
    assert argv[argv.index("--all2all-backend") + 1] == "allgather_reducescatter"


def test_a_switch_is_negated_only_where_the_engine_can() -> None:
    assert "--no-async-scheduling" in node("vllm-ascend/a2-dual", flags={"async-scheduling": False})[0]
    with pytest.raises(PlanError, match="is false, expected true or None"):
        node("sglang/nvidia-tp8-ep8", flags={"trust-remote-code": False})


def test_patches_are_for_the_release_they_were_verified_on() -> None:
    assert len(plan("sglang/mi300x-tp4").replicas[0].nodes[0].setup) == 2
    later = plan("sglang/mi300x-tp4", image="lmsysorg/sglang:v0.5.10-rocm700-mi30x").replicas[0].nodes[0]
    assert later.setup == []
    assert later.run_argv[-len(later.serve_argv) - 1] == "lmsysorg/sglang:v0.5.10-rocm700-mi30x"


def test_variables_of_hccl_are_never_judged_by_what_the_plugin_reads() -> None:
    assert library().table("vllm-ascend", "test").env["HCCL_INTRA_PCIE_ENABLE"].gone
    assert node("vllm-ascend/a2-dual", version="0.30.0rc2")[1]["HCCL_INTRA_PCIE_ENABLE"] == "1"
    assert not any("HCCL" in w for w in plan(env={"HCCL_INTRA_PCIE_ENABLE": 0}, version="0.30.0rc2").warnings)


def test_flashcomm_can_be_set_where_the_release_reads_it_again() -> None:
    made = plan(env={"VLLM_ASCEND_ENABLE_FLASHCOMM1": 1}, version="0.30.0rc2")
    assert made.replicas[0].nodes[0].env["VLLM_ASCEND_ENABLE_FLASHCOMM1"] == "1"
    assert not any("FLASHCOMM1" in w for w in made.warnings)


def test_a_short_option_is_known_by_its_long_name() -> None:
    argv, _ = node("vllm/nvidia-tp4", flags={"tp": 2})
    assert argv[argv.index("--tensor-parallel-size") + 1] == "2"


def test_a_strange_key_of_additional_config_warns_with_a_near_miss() -> None:
    (warning,) = plan(flags={"additional-config": {"enable_cpu_bindings": True}}).warnings
    assert 'did you mean "enable_cpu_binding"' in warning
    assert not plan(flags={"additional-config": {"enable_cpu_binding": False}}).warnings
