"""One screen: units, stages, tokens of every rank, device memory, and whether each replica really serves."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path

import gevent
import httpx2

from roles.plan.node import NodePlan
from roles.plan.plan import ReplicaPlan
from roles.run import api, checks, key, look, metrics, remote
from roles.run.follow import Follower, duration
from roles.run.run import Run
from roles.run.seen import Seen
from roles.run.units import unit

WINDOW = 2.0
HUNG_AFTER = 8.0
HISTORY = 12
TAIL = Path(__file__).with_name("tail.sh")
Pulse = Callable[[Run, ReplicaPlan], str]
HBM = re.compile(r"(\d+)\s*/\s*(\d+)\s*\|\s*$")


def show(run: Run, pulse: Pulse) -> int:
    """Once, or again and again. 0 only if every replica serves."""
    pause = run.options.get("watch")
    while True:
        code = _once(run, pulse)
        if not pause or run.cancel.is_set():
            return code
        run.cancel.wait(pause)
        print()


def _once(run: Run, pulse: Pulse) -> int:
    run.seen.update(look.look(run.state, run.hosts.values(), run.plan, run.cancel, FABRIC="off", LOOK="light"))
    run.seen.update({name: Seen(name, problem=why) for name, why in run.missing.items()})
    told = remote.together({r.name: (lambda r=r: _replica(run, r, pulse)) for r in run.plan.replicas})  # type: ignore[misc]
    facts = {}
    print(
        f"{run.plan.cluster}: {run.plan.model} by {run.plan.engine} {run.plan.version}, {datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
    )
    for name, (lines, why, data) in told.items():
        facts[name] = {**data, "serves": not why, "why": why}
        print(f"\nreplica {name}: " + ("serves" if not why else f"does not serve: {why}"))
        for line in lines:
            print(f"  {line}")
    run.facts["report.status"] = facts
    run.findings[:] = checks.judge(run.plan, run.seen)
    for f in run.findings:
        if f.level == "fail":
            print(f"FAIL  {f.sentence()}")
    print(flush=True)
    return 0 if all(not why for _, why, _ in told.values()) else 1


def _replica(run: Run, replica: ReplicaPlan, pulse: Pulse) -> tuple[list[str], str, dict[str, object]]:
    lines, data, problems = [], dict[str, object](), []
    for node in replica.nodes:
        text, why = _node(run, node)
        lines.append(text)
        problems += [f"{node.name}: {why}"] if why else []
    health = run.seen[replica.nodes[0].name]["health"].first
    if health == "200":
        ranks, hung = _ranks(run, replica)
        lines += [r for r, _ in ranks.values()]
        data["ranks"] = {name: numbers for name, (_, numbers) in ranks.items()}
        problems += [hung] if hung else []
        silent = "" if hung else pulse(run, replica)
        problems += [silent] if silent else []
    else:
        problems.append(f"no answer of {run.plan.verify['paths']['health']}" if not health else f"health says {health}")
    data["history"] = told = history({n.name: run.seen[n.name] for n in replica.nodes})
    lines += told[-HISTORY:]
    return lines, problems[0] if problems else "", data


def _node(run: Run, node: NodePlan) -> tuple[str, str]:
    seen = run.seen[node.name]
    if seen.problem:
        return f"{node.name}  rank {node.rank}  {seen.problem}", seen.problem
    one = unit(seen, node.runtime)
    name = f"{node.name}  rank {node.rank}"
    word, why = doing(seen)
    if not one.any:
        gave_up = f"given up: {why}" if word == "given-up" else ""
        return f"{name}  {gave_up or 'down'}{f': {one.ended}' if one.ended else ''}", gave_up or one.ended or "is down"
    if not one.running and word:
        said = f"{word}{f': {why}' if why else ''}"
        return f"{name}  generation {one.generation}  {said}", f"is {said}"
    parts = [
        name,
        f"generation {one.generation}",
        "proven" if one.proven else f"starting: {_stage(run, node)}",
        f"up {_uptime(one.started)}",
    ]
    parts += [memory] if (memory := _memory(seen)) else []
    return "  ".join(parts), "" if one.active and one.running else f"unit {seen['unit'].pairs.get('active')}, container not running"


def doing(seen: Seen) -> tuple[str, str]:
    """What a node's unit says of itself: a word, and why."""
    found = re.match(r"spec=\w* generation=\d* state=([a-z-]+) why=(.*)", seen["gang"].text)
    return (found[1], found[2].strip()) if found else ("", "")


def history(seen: Mapping[str, Seen]) -> list[str]:
    """What the units decided by themselves, of all nodes, in the order of their clocks."""
    lines = [(line.partition(" ")[0], name, line.partition(" ")[2]) for name, one in seen.items() for line in one["history"].lines]
    return [f"{at}  {name}  {what}" for at, name, what in sorted(lines) if what]


def _stage(run: Run, node: NodePlan) -> str:
    """How far a start has come, from the end of its log."""
    text = remote.script(TAIL, values=look.values(run.plan, node))
    done = remote.run(run.state, run.hosts[node.name], "bringup-tail", text, limit=20, cancel=run.cancel)
    follower = Follower(run.plan.verify["stages"], [], node.rank, 1e9)
    said = follower.stage
    for line in done.lines:
        for event in follower.feed(line, 0.0):
            said = f"{follower.stage} {event.text}" if event.kind == "progress" else follower.stage
    return said


def _uptime(started: str) -> str:
    found = re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", started)
    if not found:
        return "?"
    return duration((datetime.now(timezone.utc) - datetime.fromisoformat(found[0]).replace(tzinfo=timezone.utc)).total_seconds())


def _memory(seen: Seen) -> str:
    """Device memory of the node, where the tool's table tells it."""
    pairs = [(int(m[1]), int(m[2])) for line in seen["npu-smi.info"].lines if (m := HBM.search(line)) and int(m[2]) > 0]
    if not pairs:
        return ""
    return f"HBM {sum(p[0] for p in pairs) / 1024:.0f} of {sum(p[1] for p in pairs) / 1024:.0f} GiB"


def _ranks(run: Run, replica: ReplicaPlan) -> tuple[dict[str, tuple[str, dict[str, float]]], str]:
    """What each rank does; and whether requests run while no token comes."""
    path = run.plan.verify["paths"]["metrics"]
    secret = key.known(run)
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}

    def read(way: api.Api) -> str:
        try:
            answer = way.client.get(way.url + path, headers=headers, timeout=10)
            return str(answer.text) if answer.status_code == 200 else ""
        except httpx2.HTTPError:
            return ""

    with api.opened(run, replica) as way:
        first, began = read(way), time.monotonic()
        gevent.sleep(WINDOW)
        last = read(way)
        while _stuck(first, last) and time.monotonic() - began < HUNG_AFTER and not run.cancel.is_set():
            gevent.sleep(1)
            last = read(way)
    passed = time.monotonic() - began
    rows = {}
    for engine, count in sorted(metrics.generated(last).items()):
        numbers = {
            "tokens_per_s": round((count - metrics.generated(first).get(engine, count)) / passed, 1),
            "running": metrics.metrics(last, "vllm:num_requests_running").get(engine, 0.0),
            "waiting": metrics.metrics(last, "vllm:num_requests_waiting").get(engine, 0.0),
            "kv_use": metrics.metrics(last, "vllm:kv_cache_usage_perc").get(engine, 0.0),
        }
        busy = f"{numbers['running']:.0f} running  {numbers['waiting']:.0f} waiting  KV {numbers['kv_use']:.0%}"
        text = f"rank {engine or 0}  {numbers['tokens_per_s']} tokens/s  {busy}"
        rows[engine or "0"] = (text, numbers)
    stuck = _stuck(first, last)
    hung = f"rank {', '.join(stuck)} is hung: requests run, no token came for {passed:.0f} s, though health says 200" if stuck else ""
    return rows, hung


def _stuck(first: str, last: str) -> list[str]:
    """Ranks with requests at work at both looks and no token between them."""
    before, after = metrics.generated(first), metrics.generated(last)
    busy = [metrics.metrics(text, "vllm:num_requests_running") for text in (first, last)]
    return [e or "0" for e in after if after[e] <= before.get(e, 0.0) and all(b.get(e, 0) > 0 for b in busy)]
