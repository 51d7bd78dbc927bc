"""The plan's contract: shape, order, overrides, versions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from roles.plan.cluster import overrides
from roles.plan.errors import PlanError
from roles.plan.plan import make
from roles.plan.source import read_inventory
from roles.plan.steps import DO
from tests.unit.sources import plan, recipes, source

ROOT = Path(__file__).parents[2]
INVENTORIES = sorted(p.name for p in (ROOT / "inventories").glob("*.py"))
NODE_KEYS = {
    "name", "address", "rank", "nic", "runtime", "image", "run_argv", "serve_argv", "setup", "after_ready_argv", "env", "devices", "mounts", "ports",
}  # fmt: skip
PLAN_KEYS = {"cluster", "recipe", "model", "engine", "version", "hash", "replicas", "bench", "verify", "warnings"}


def node(rank: int = 0, recipe: str = "vllm-ascend/a2-dual", **data: Any) -> dict[str, Any]:
    found: dict[str, Any] = plan(recipe, **data).data()["replicas"][0]["nodes"][rank]
    return found


def flag(argv: list[str], name: str) -> str | None:
    return argv[argv.index(name) + 1] if name in argv else None


@pytest.mark.parametrize("recipe", recipes())
def test_every_recipe_makes_a_plan_of_the_contracts_shape(recipe: str) -> None:
    made = json.loads(json.dumps(plan(recipe).data()))
    assert set(made) == PLAN_KEYS
    for replica in made["replicas"]:
        assert set(replica) == {"name", "nodes", "steps"}
        assert all(set(n) == NODE_KEYS for n in replica["nodes"])
        assert all(s["do"] in DO and s["node"] in {n["name"] for n in replica["nodes"]} for s in replica["steps"])
    for n in (n for r in made["replicas"] for n in r["nodes"]):
        tail = n["serve_argv"]
        assert n["run_argv"][-len(tail) :] == tail
        if n["runtime"] == "docker":
            at = n["run_argv"].index(n["image"])
            assert n["run_argv"][at + 1 :] == ([] if not n["setup"] else ["/bin/sh", "/bringup/entrypoint.sh"]) + tail
        assert all(isinstance(v, str) for v in n["env"].values())


@pytest.mark.parametrize("name", INVENTORIES)
def test_every_sample_inventory_makes_a_plan_without_a_warning(name: str) -> None:
    warnings = make(read_inventory(ROOT / "inventories" / name)).warnings
    if name == "vagrant.py":  # its machines make new host keys every time
        assert [w.partition("host keys of")[1] for w in warnings] == ["host keys of"]
    else:
        assert warnings == ()


def test_the_first_rank_never_gets_a_start_rank_and_the_second_is_headless() -> None:
    first, second = node(0)["serve_argv"], node(1)["serve_argv"]
    assert "--data-parallel-start-rank" not in first
    assert "--headless" not in first
    assert flag(first, "--api-server-count") == "1"
    assert flag(second, "--data-parallel-start-rank") == "1"
    assert "--headless" in second
    assert "--api-server-count" not in second
    assert flag(first, "--host") == flag(second, "--data-parallel-address") == "10.0.0.11"


def test_the_second_rank_starts_only_after_it_reached_the_first_ones_port() -> None:
    steps = [(s["do"], s["node"]) for s in plan().data()["replicas"][0]["steps"]]
    wanted = [("start", "10.0.0.11"), ("listen", "10.0.0.11"), ("reach", "10.0.0.12"), ("start", "10.0.0.12"), ("prove", "10.0.0.11")]
    assert sorted(wanted, key=steps.index) == wanted


def test_a_privileged_pair_still_lists_all_its_devices() -> None:
    n = node()
    assert "--privileged" in n["run_argv"]
    assert n["devices"] == [*(f"/dev/davinci{i}" for i in range(8)), "/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc"]
    assert "--privileged" not in node(privileges="least")["run_argv"]


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({}, "/usr/lib/aarch64-linux-gnu/libjemalloc.so.2"),
        ({"arch": "x86_64"}, "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"),
        ({"image_os": "openeuler"}, "/usr/lib64/libjemalloc.so.2"),
        ({"image": "quay.io/ascend/vllm-ascend:v0.18.0-openeuler"}, "/usr/lib64/libjemalloc.so.2"),
        ({"env": {"LD_PRELOAD": "/opt/own.so"}}, "/opt/own.so"),
        ({"env": {"LD_PRELOAD": None}}, None),
    ],
)
def test_jemalloc_is_preloaded_where_the_image_has_it(data: dict[str, Any], path: str | None) -> None:
    assert node(**data)["env"].get("LD_PRELOAD") == path


@pytest.mark.parametrize("recipe", [r for r in recipes() if r.startswith("vllm-ascend/")])
def test_every_ascend_recipe_preloads_jemalloc(recipe: str) -> None:
    assert "LD_PRELOAD" in node(recipe=recipe)["env"]


@pytest.mark.parametrize(
    ("recipe", "data", "image"),
    [
        ("vllm-ascend/a2-dual", {}, "quay.io/ascend/vllm-ascend:v0.18.0"),
        ("vllm-ascend/a2-dual", {"image_os": "openeuler"}, "quay.io/ascend/vllm-ascend:v0.18.0-openeuler"),
        ("vllm-ascend/a3", {}, "quay.io/ascend/vllm-ascend:v0.18.0-a3"),
        ("vllm-ascend/a3", {"image_os": "openeuler"}, "quay.io/ascend/vllm-ascend:v0.18.0-a3-openeuler"),
        ("vllm-ascend/a3", {"version": "0.20.2rc1"}, "quay.io/ascend/vllm-ascend:v0.20.2rc1-a3"),
        ("sglang/mi300x-tp4", {}, "lmsysorg/sglang:v0.5.7-rocm700-mi30x"),
        ("sglang/nvidia-tp8-ep8", {"version": "0.5.10"}, "lmsysorg/sglang:v0.5.10"),
        ("vllm-ascend/a2-dual", {"image": "registry.local:5000/x/y:v0.18.0"}, "registry.local:5000/x/y:v0.18.0"),
    ],
)
def test_the_tag_is_made_from_version_hardware_and_system(recipe: str, data: dict[str, Any], image: str) -> None:
    assert node(recipe=recipe, **data)["image"] == image


def test_mirrors_carry_the_same_tag() -> None:
    step = next(s for s in plan("vllm-ascend/a3").data()["replicas"][0]["steps"] if s["do"] == "image")
    assert step["mirrors"] == ["m.daocloud.io/quay.io/ascend/vllm-ascend:v0.18.0-a3"]


def test_a_flag_is_changed_added_and_removed_by_the_inventory() -> None:
    argv = node(flags={"max_num_seqs": 64, "seed": 7, "async-scheduling": None})["serve_argv"]
    assert flag(argv, "--max-num-seqs") == "64"
    assert flag(argv, "--seed") == "7"
    assert "--async-scheduling" not in argv


def test_an_override_is_never_a_template() -> None:
    argv = node(flags={"chat-template": "${address} {{ rank }} $(id)"})["serve_argv"]
    assert flag(argv, "--chat-template") == "${address} {{ rank }} $(id)"


def test_a_value_that_looks_like_a_flag_is_bound_to_its_flag() -> None:
    assert "--chat-template=--headless" in node(flags={"chat-template": "--headless"})["serve_argv"]


def test_a_removal_of_what_is_not_set_is_a_warning_with_a_near_miss() -> None:
    (warning,) = plan(flags={"max-num-batched-token": None}).warnings
    assert 'did you mean "max-num-batched-tokens"' in warning


def test_dotted_settings_reach_inside_and_plain_ones_replace() -> None:
    base = source(flags={"seed": 1, "max-num-seqs": 2})
    inside = make(base, overrides(["flags.seed=9", "ports.api=9000"])).replicas[0].nodes[0].serve_argv
    assert (flag(inside, "--seed"), flag(inside, "--max-num-seqs"), flag(inside, "--port")) == ("9", "2", "9000")
    whole = make(base, overrides(['flags={"seed": 3}'])).replicas[0].nodes[0].serve_argv
    assert (flag(whole, "--seed"), flag(whole, "--max-num-seqs")) == ("3", "128")


def test_direct_out_leaves_hcclls_address_out_and_back_to_back_keeps_off_mc2() -> None:
    direct = node(topology="direct-out")
    assert "HCCL_IF_IP" not in direct["env"]
    assert direct["env"]["HCCL_SOCKET_IFNAME"] == "enp67s0f0np0"
    assert "--enable-expert-parallel" not in node(topology="back-to-back")["serve_argv"]
    assert any("MC2" in w for w in plan(topology="back-to-back").warnings)


def test_moved_hccl_ports_are_told_to_hccl() -> None:
    assert "HCCL_IF_BASE_PORT" not in node()["env"]
    moved = node(ports={"hccl": 60100})
    assert (moved["env"]["HCCL_IF_BASE_PORT"], moved["ports"]["hccl"]) == ("60100", "60100-60131")


def test_the_api_key_goes_by_file_and_only_when_there_is_one() -> None:
    assert flag(node()["run_argv"], "--env-file") == "/etc/bringup/test/r0.env"
    assert "--env-file" not in node(auth="off")["run_argv"]
    assert "VLLM_API_KEY" not in json.dumps(plan().data())


def test_chosen_devices_reach_container_and_engine() -> None:
    n = node(recipe="vllm/nvidia-tp4", devices=[4, 5, 6, 7])
    assert flag(n["run_argv"], "--gpus") == '"device=4,5,6,7"'
    assert "CUDA_VISIBLE_DEVICES" not in n["env"], "inside the container they count from 0: 4 to 7 would be no cards at all"
    assert node(recipe="vllm/nvidia-tp4", devices=[4, 5, 6, 7], runtime="venv")["env"]["CUDA_VISIBLE_DEVICES"] == "4,5,6,7"
    assert node(recipe="sglang/mi300x-tp4", devices=[4, 5, 6, 7])["env"]["HIP_VISIBLE_DEVICES"] == "4,5,6,7"


def test_a_venv_runs_the_engine_by_its_own_path() -> None:
    n = node(recipe="vllm/nvidia-tp4", runtime="venv")
    assert (n["image"], n["devices"], n["mounts"]) == (None, [], [])
    assert n["serve_argv"][:2] == ["/var/lib/bringup/test/venv/bin/vllm", "serve"]
    assert n["run_argv"][0] == "/usr/bin/env"
    step = next(s for s in plan("vllm/nvidia-tp4", runtime="venv").data()["replicas"][0]["steps"] if s["do"] == "venv")
    assert step["packages"] == ["vllm==0.32.0"]


def test_two_replicas_are_two_engines_with_their_own_head() -> None:
    made = plan(replicas=2).data()
    assert made["verify"]["endpoints"] == {"r0": "http://10.0.0.11:20004", "r1": "http://10.0.0.13:20004"}
    assert flag(made["replicas"][1]["nodes"][1]["serve_argv"], "--data-parallel-address") == "10.0.0.13"


def test_many_nodes_are_many_ranks() -> None:
    made = plan("vllm-ascend/a2-multi", 4).data()["replicas"][0]["nodes"]
    assert [flag(n["serve_argv"], "--data-parallel-start-rank") for n in made] == [None, "1", "2", "3"]
    assert {flag(n["serve_argv"], "--data-parallel-size") for n in made} == {"4"}


def test_deadlines_grow_with_the_model_and_can_be_set() -> None:
    assert plan().verify["timeouts"]["ready"] == 3600
    assert node()["env"]["VLLM_ENGINE_READY_TIMEOUT_S"] == "3600"
    assert plan("lab/a2-dual").verify["timeouts"]["ready"] == 1800
    assert node(timeouts={"ready": 5400})["env"]["VLLM_ENGINE_READY_TIMEOUT_S"] == "5400"


def test_loose_host_keys_and_odd_ssh_keys_are_warnings() -> None:
    loose = plan(ssh_strict_host_key_checking="accept-new").warnings
    assert "are not checked strictly" in loose[0]
    odd = plan(ssh_usr="root").warnings
    assert 'did you mean "ssh_user"' in odd[0]


@pytest.mark.parametrize(
    ("recipe", "data", "words"),
    [
        ("vllm-ascend/a2-dual", {"model": "MiniMax-M2.7"}, "VA#10591"),
        ("vllm-ascend/a3", {"model": "MiniMax-M2.7", "draft": "/models/eagle"}, "bring no gain"),
        ("vllm-ascend/a3", {"model": "MiniMax-M2.1"}, "its page does not name it"),
        ("vllm-ascend/a3-long-context", {"version": "0.25.1rc1"}, "withdrawn by its vendor from 0.25.1rc1"),
        ("vllm/rocm-mi300x", {}, "moving tag"),
        ("sglang/mi300x-tp4", {}, "the API is open"),
        ("xinference/awq", {"auth": "file:/etc/key"}, "the API is open"),
        ("vllm-ascend/a2-dual", {"image": "registry.local/vllm:mine"}, 'set "version" to be sure'),
        ("vllm-ascend/a2-dual", {"image": "registry.local/vllm:v0.18.0", "version": "0.20.2"}, "says 0.18.0"),
        ("vllm-ascend/a2-dual", {"version": "0.99.0"}, "newer than any release"),
        ("vllm-ascend/a3", {"topology": "direct-out"}, "no effect on a replica of one node"),
    ],
)
def test_what_is_doubtful_warns(recipe: str, data: dict[str, Any], words: str) -> None:
    assert any(words in w for w in plan(recipe, **data).warnings)


def test_eagle3_with_w8a8_is_fine_and_with_c8_is_refused() -> None:
    assert not plan("vllm-ascend/a3", model="MiniMax-M2.5-w8a8-QuaRot", draft="/models/eagle").warnings
    with pytest.raises(PlanError, match="Eagle3"):
        plan("vllm-ascend/a3", model="MiniMax-M2.7-w8a8c8-QuaRot", draft="/models/eagle")


def test_a_model_may_be_named_by_its_hub_id() -> None:
    assert plan(model="MiniMaxAI/MiniMax-M2.5").model == plan(model="minimax-m2.5").model == "MiniMax-M2.5"


def test_w8a8_weights_get_the_ascend_quantization_and_fp8_ones_do_not() -> None:
    assert flag(node(model="MiniMax-M2.5-w8a8-QuaRot")["serve_argv"], "--quantization") == "ascend"
    assert "--quantization" not in node()["serve_argv"]


def test_xinference_is_two_steps() -> None:
    n = node(recipe="xinference/awq", weights=None)
    assert n["serve_argv"][0] == "xinference-local"
    assert n["after_ready_argv"][:2] == ["xinference", "launch"]
    assert "--model-path" not in n["after_ready_argv"]
    order = [s["do"] for s in plan("xinference/awq").data()["replicas"][0]["steps"]]
    assert order.index("health") < order.index("launch") < order.index("prove")


@pytest.mark.parametrize("bits", ["3bit", "4bit", "5bit", "6bit", "8bit"])
def test_mlx_offers_its_five_quantizations(bits: str) -> None:
    n = node(recipe="xinference/mlx", variants=bits)
    assert flag(n["after_ready_argv"], "--quantization") == bits
    assert n["runtime"] == "venv"
