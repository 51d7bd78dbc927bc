"""Remedies in the plan's own values: overrides are half, lower or more of what is set, and every one of them is accepted."""

from __future__ import annotations

import re

import pytest

from roles.doctor.advice import Present, advice
from roles.doctor.match import Match
from roles.doctor.rules import Rule, rules
from roles.doctor.say import present
from roles.plan.cluster import parse_value
from roles.plan.errors import PlanError
from roles.plan.plan import make
from roles.run.options import split
from tests.unit.doctor_bench import Case, made
from tests.unit.sources import recipes, source

NOW = Present(
    names={"node": "10.0.0.11"},
    serve_argv=("vllm", "serve", "/m", "--max-num-seqs", "128", "--max-num-batched-tokens", "65536", "--gpu-memory-utilization", "0.92",
                "--tensor-parallel-size", "8", "--block-size=128"),
    env={"HCCL_BUFFSIZE": "1024", "HCCL_CONNECT_TIMEOUT": "600"},
    timeouts={"ready": 3460},
    command="pyinfra inventories/a2.py deploy/",
)  # fmt: skip


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("${serve} ${halve:max-num-seqs}", "pyinfra inventories/a2.py deploy/serve.py --data flags.max-num-seqs=64"),
        ("${serve} ${halve:max-num-batched-tokens}", "pyinfra inventories/a2.py deploy/serve.py --data flags.max-num-batched-tokens=32768"),
        ("${lower:gpu-memory-utilization:0.05}", "--data flags.gpu-memory-utilization=0.87"),
        ("${halve-env:HCCL_BUFFSIZE}", "--data env.HCCL_BUFFSIZE=512"),
        ("${raise-env:HCCL_CONNECT_TIMEOUT:1800}", "--data env.HCCL_CONNECT_TIMEOUT=1800"),
        ("${raise-timeout:ready}", "--data timeouts.ready=6920"),
        ("${halve:block-size}", "--data flags.block-size=64"),
        ("${halve:max-running-requests:128}", "--data flags.max-running-requests=64"),
        ("ssh ${node} uptime", "ssh 10.0.0.11 uptime"),
        ("look at ${nic}", "look at <nic>"),
    ],
)
def test_a_remedy_is_filled_with_what_the_plan_has(line: str, said: str) -> None:
    assert advice([line], NOW) == [said]


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        ((), "${serve} ${halve:max-num-seqs}"),
        (("--max-num-seqs", "8"), "${serve} ${halve:max-num-seqs}"),
        (("--max-num-seqs", "many"), "${serve} ${halve:max-num-seqs}"),
        (("--max-num-batched-tokens", "2048"), "${halve:max-num-batched-tokens}"),
        (("--gpu-memory-utilization", "0.05"), "${lower:gpu-memory-utilization:0.05}"),
        (("--max-num-seqs",), "${halve:max-num-seqs}"),
    ],
)
def test_a_line_whose_overrides_have_no_room_left_is_not_offered(argv: tuple[str, ...], line: str) -> None:
    assert advice([line], Present(serve_argv=argv)) == []


def test_of_two_overrides_the_one_with_room_is_kept() -> None:
    now = Present(serve_argv=("--max-num-seqs", "8", "--max-num-batched-tokens", "8192", "--tensor-parallel-size", "3"))
    (line,) = advice(["${serve} ${halve:max-num-seqs} ${halve:max-num-batched-tokens}"], now)
    assert line == "pyinfra INVENTORY deploy/serve.py --data flags.max-num-batched-tokens=4095"


def test_a_timeout_is_not_raised_above_what_the_library_takes() -> None:
    assert advice(["${raise-env:HCCL_CONNECT_TIMEOUT:1800}"], Present(env={"HCCL_CONNECT_TIMEOUT": "7200"})) == []
    assert advice(["${raise-env:HCCL_CONNECT_TIMEOUT:1800}"], Present(env={"HCCL_CONNECT_TIMEOUT": "5000"})) == [
        "--data env.HCCL_CONNECT_TIMEOUT=7200"
    ]


def lines(rule: Rule, recipe: str) -> list[str]:
    evidence = Case(made(recipe)).evidence()
    node = evidence.nodes[0]
    return advice(list(rule.remedy), present(evidence, Match(rule, node.name, 0, "engine", "engine", None, "x")))


def fits(rule: Rule, recipe: str) -> bool:
    plan, when = made(recipe), rule.when
    return (
        (not when.engines or plan.engine in when.engines)
        and (not when.vendors or plan.known.hardware.vendor in when.vendors)
        and (not when.hardware or plan.known.recipe.hardware in when.hardware)
        and len(plan.replicas[0].nodes) >= when.nodes
        and not recipe.startswith("lab/")
    )


@pytest.mark.parametrize("recipe", [r for r in recipes() if not r.startswith("lab/")])
def test_every_command_a_rule_offers_is_accepted_by_its_verb_and_by_the_plan(recipe: str) -> None:
    refused = []
    for rule in rules():
        for line in lines(rule, recipe) if fits(rule, recipe) else []:
            verb = re.search(r"deploy/(\w+)\.py", line)
            found = re.findall(r"--data (?:'([^']+)'|(\S+))", line)
            pairs = ((quoted or plain).partition("=") for quoted, plain in found)
            changes = {k: parse_value(v) for k, _, v in pairs if v != "N" and k != "version"}
            try:
                _, keys = split(verb[1] if verb else "serve", changes)
                make(source(recipe), keys)
            except PlanError as e:
                refused.append((rule.id, line, e.problems[0]))
    assert refused == []


def test_the_advice_for_a_full_npu_is_concrete() -> None:
    verdict = Case().put(0, "engine", "RuntimeError: NPU out of memory. Tried to allocate 450.00 MiB (NPU 3; x)").verdict()
    assert verdict.match is not None
    evidence = Case().evidence()
    assert advice(list(verdict.match.rule.remedy), present(evidence, verdict.match)) == [
        "pyinfra INVENTORY deploy/serve.py --data flags.gpu-memory-utilization=0.87 --data flags.max-num-batched-tokens=32768",
        "pyinfra INVENTORY deploy/serve.py --data flags.max-num-seqs=64",
        "pyinfra INVENTORY deploy/serve.py --data env.HCCL_BUFFSIZE=512",
    ]
