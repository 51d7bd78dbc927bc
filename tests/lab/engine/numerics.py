"""python -m tests.lab.engine.numerics: greedy tokens of one worker against sixteen in the plan's layout, on the random checkpoint.

In float32 every layout must give the same tokens. Requests are pinned to a rank, one at a time and then skewed, six on one rank beside
one on the other: collectives with wrong row offsets are right as long as both ranks have the same number of tokens.
"""

from __future__ import annotations

import itertools
import json
import random
import secrets
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from roles.plan.node import NodePlan
from roles.plan.plan import Plan
from tests.lab.engine import pair
from tests.lab.place import LabError, Place, Step

WEIGHTS = "/opt/lab/shared/models/random"
# Left to itself vLLM serves a float32 checkpoint in bfloat16, where routing flips and layouts differ with every right to.
CHANGES = {"model": "MiniMax-M2-lab-random", "weights": WEIGHTS, "flags": {"dtype": "float32"}}
LENGTHS = (3, 9, 17, 40, 77, 129)
TOKENS = 24
TOLERANCE = 1e-3  # of a log-probability; measured 2e-5, a lost expert moves it by more than 0.1


@dataclass(frozen=True)
class Answer:
    """Greedy tokens and how sure the model was of each."""

    tokens: tuple[str, ...]
    logprobs: tuple[float, ...]


def prompts() -> list[str]:
    """Letters from a fixed seed: one token each."""
    draw = random.Random("prompts")
    return ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz ", k=length)) for length in LENGTHS]


def compare(place: Place, tokens: int = TOKENS) -> int:
    """The number of answers that differ, each of so many tokens."""
    plan = pair.the_plan(place, **CHANGES)
    members = pair.members(place, plan)
    node, first = members[0]
    alone = replace(plan, replicas=(replace(plan.replicas[0], nodes=(_one_worker(first),)),))
    with _running(place, alone, [(node, _one_worker(first))]), Step("one worker answers"):
        reference = {prompt: _ask(plan, prompt, None, tokens) for prompt in prompts()}
    bad = 0
    with _running(place, plan, members):
        for rank in range(2):
            with Step(f"rank {rank} answers, one request at a time"):
                bad += _differing(reference, [(p, rank, _ask(plan, p, rank, tokens)) for p in prompts()])
        for crowded in range(2):
            load = [(p, crowded) for p in prompts()] + [(prompts()[-1], 1 - crowded)]
            with Step(f"six requests on rank {crowded} beside one on the other"), ThreadPoolExecutor(len(load)) as pool:
                answers = list(pool.map(lambda job: (job[0], job[1], _ask(plan, *job, tokens)), load))
            bad += _differing(reference, answers)
    return bad


def _differing(reference: dict[str, Answer], answers: list[tuple[str, int, Answer]]) -> int:
    bad, worst = 0, 0.0
    for prompt, rank, answer in answers:
        wanted = reference[prompt]
        gap = max(abs(a - b) for a, b in zip(answer.logprobs, wanted.logprobs, strict=True))
        worst = max(worst, gap)
        if answer.tokens != wanted.tokens or gap > TOLERANCE:
            bad += 1
            same = len(list(itertools.takewhile(lambda two: two[0] == two[1], zip(answer.tokens, wanted.tokens, strict=True))))
            print(f"rank {rank}, prompt of {len(prompt)}: {same} of {len(answer.tokens)} tokens equal, a log-probability off by {gap:.2g}")
    print(f"{len(answers) - bad} of {len(answers)} equal, largest difference of a log-probability {worst:.2g}")
    return bad


def _one_worker(part: NodePlan) -> NodePlan:
    """Rank 0's container with an engine of one process and no parallel layout."""
    command = ["vllm", "serve", WEIGHTS, "--dtype", "float32", "--served-model-name", "minimax-lab", "--host", part.address]
    command += ["--port", str(part.ports["api"]), "--max-model-len", "4096", "--max-num-seqs", "16"]
    run = part.run_argv[: part.run_argv.index(part.image or "") + 1]
    return replace(part, run_argv=[*run, *command])


@contextmanager
def _running(place: Place, plan: Plan, members: pair.Pair) -> Iterator[None]:
    try:
        pair.up(place, plan, members)
        yield
    finally:
        pair.down(place, members)


def _ask(plan: Plan, prompt: str, rank: int | None, tokens: int) -> Answer:
    url = next(iter(plan.verify["endpoints"].values())) + plan.verify["paths"]["completions"]
    body = {"model": plan.verify["model"], "prompt": prompt, "max_tokens": tokens, "temperature": 0, "logprobs": 1, "ignore_eos": True}
    body["return_tokens_as_token_ids"] = True  # half a character has no text
    body["cache_salt"] = secrets.token_hex(8)  # a prompt seen before would be taken from the prefix cache, and nothing computed
    headers = {"Content-Type": "application/json"} | ({plan.verify["rank_header"]: str(rank)} if rank is not None else {})
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=300) as response:
        said: dict[str, Any] = json.load(response)["choices"][0]["logprobs"]
    return Answer(tuple(said["tokens"]), tuple(said["token_logprobs"]))


def main() -> int:
    try:
        return 1 if compare(Place()) else 0
    except LabError as e:
        print(f"lab: {e}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
