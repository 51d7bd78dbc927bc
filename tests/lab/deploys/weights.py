"""The weights of prepare by themselves, with a hub id for the lab's model; only their own part of the probe is asked."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from roles.plan.node import NodePlan
from roles.plan.plan import Plan
from roles.run import checks, look, remote, start
from roles.run.run import Run
from roles.weights import role as weights
from tests.lab.hub_image import REPO


def short(plan: Plan, node: NodePlan, **options: Any) -> str:
    files = (look.HEAD, look.ROLES / "weights" / "probe.sh")
    return remote.script(*files, values={**look.values(plan, node), **options}) + "say end 0 ''\n"


def see(run: Run) -> None:
    model = run.plan.known.model.model_copy(update={"huggingface": REPO, "modelscope": REPO, "size_gb": None})
    run.plan = replace(run.plan, known=replace(run.plan.known, model=model))
    run.seen.update(look.look(run.state, run.hosts.values(), run.plan, run.cancel))
    run.findings[:] = [f for f in checks.judge(run.plan, run.seen) if f.check.startswith("weights.")]
    for finding in run.findings:
        print(f"{finding.level} {finding.sentence()}", file=sys.stderr)


look.probe_script = short
run = start.verb("prepare")
run.once("see", lambda: see(run))
weights.fetch(run)
