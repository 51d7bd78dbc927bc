"""One screen: units, stages, tokens of every rank, device memory, and whether each replica really serves."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path

import gevent
import httpx2

from roles.plan.node import NodePlan
from roles.plan.plan import ReplicaPlan
from roles.run import api, checks, key, look, metrics, remote, terminal
from roles.run.follow import Follower, duration
from roles.run.report.words import moment, when
from roles.run.run import Run
from roles.run.seen import Seen
from roles.run.terminal import Rows
from roles.run.units import doing, unit

WINDOW = 2.0
HUNG_AFTER = 8.0
HISTORY = 12
TAIL = Path(__file__).with_name("tail.sh")
Pulse = Callable[[Run, ReplicaPlan], str]
Memory = Callable[[Seen], str]


def show(run: Run, pulse: Pulse, memory: Memory) -> int:
    """Once, or again and again. 0 only if every replica serves."""
    pause = run.options.get("watch")
    while True:
        code = _once(run, pulse, memory)
        if not pause or run.cancel.is_set():
            return code
        run.cancel.wait(pause)
        terminal.line()


def _once(run: Run, pulse: Pulse, memory: Memory) -> int:
    run.seen.update(look.look(run.state, run.hosts.values(), run.plan, run.cancel, FABRIC="off", LOOK="light"))
    run.seen.update({name: Seen(name, problem=why) for name, why in run.missing.items()})
    told = remote.together({r.name: (lambda r=r: _replica(run, r, pulse, memory)) for r in run.plan.replicas})  # type: ignore[misc]
    facts = {}
    terminal.line(f"{run.plan.cluster}: {run.plan.model} by {run.plan.engine} {run.plan.version}, {moment(datetime.now(timezone.utc))}")
    for name, (tables, why, data) in told.items():
        facts[name] = {**data, "serves": not why, "why": why}
        terminal.line(f"\nreplica {name}: ", ("does not serve", "red") if why else ("serves", "green"), why and f": {why}")
        terminal.show(*tables)
    run.facts["report.status"] = facts
    run.findings[:] = checks.judge(run.plan, run.seen)
    for f in run.findings:
        if f.level == "fail":
            terminal.line(("FAIL", "red"), f"  {f.sentence()}")
    terminal.line()
    return 0 if all(not why for _, why, _ in told.values()) else 1


def _replica(run: Run, replica: ReplicaPlan, pulse: Pulse, memory: Memory) -> tuple[list[Rows], str, dict[str, object]]:
    nodes, data, problems = list[tuple[str, ...]](), dict[str, object](), []
    tables = [Rows(nodes, indent=2)]
    for node in replica.nodes:
        cells, why = _node(run, node, memory)
        nodes.append((node.name, f"rank {node.rank}", *cells))
        problems += [f"{node.name}: {why}"] if why else []
    for row, why in _proxy(run, replica.nodes[0]):
        nodes.append(row)
        problems += [why] if why else []
    health = run.seen[replica.nodes[0].name]["health"].first
    if health == "200":
        ranks, hung = _ranks(run, replica)
        rows = [_rank(name, numbers) for name, numbers in ranks.items()] or [("tokens", "not counted: the engine gives no metrics")]
        tables.append(Rows(rows, right=range(1, 5), indent=2))
        data["ranks"] = ranks
        problems += [hung] if hung else []
        silent = "" if hung else pulse(run, replica)
        problems += [silent] if silent else []
    else:
        problems.append(f"no answer of {run.plan.verify['paths']['health']}" if not health else f"health says {health}")
    data["history"] = past = history({n.name: run.seen[n.name] for n in replica.nodes})
    tables.append(Rows([_noted(line) for line in past[-HISTORY:]], indent=2))
    return tables, problems[0] if problems else "", data


def _node(run: Run, node: NodePlan, memory: Memory) -> tuple[tuple[str, ...], str]:
    """Generation, time, memory and state, as far as they are known; and what is wrong."""
    seen = run.seen[node.name]
    if seen.problem:
        return ("", "", "", seen.problem), seen.problem
    one = unit(seen, node.runtime)
    word, why = doing(seen)
    if not one.any:
        gave_up = f"given up: {why}" if word == "given-up" else ""
        return ("", "", "", f"{gave_up or 'down'}{f': {one.ended}' if one.ended else ''}"), gave_up or one.ended or "is down"
    if not one.running and word:
        said = f"{word}{f': {why}' if why else ''}"
        return (f"generation {one.generation}", "", "", said), f"is {said}"
    state = f"{'begins again' if one.proven else 'starting'}: {_stage(run, node)}" if word == "starting" or not one.proven else "proven"
    cells = (f"generation {one.generation}", f"up {_uptime(one.started)}", memory(seen), state)
    return cells, "" if one.active and one.running else f"unit {seen['unit'].pairs.get('active')}, container not running"


def _proxy(run: Run, head: NodePlan) -> Iterator[tuple[tuple[str, ...], str]]:
    """The way in, where it is not the engine's own port."""
    port, state = head.ports.get("proxy"), run.seen[head.name]["proxy.state"].first
    if port is not None and state:
        why = "" if state == "active" else f"{head.name}: the proxy on port {port} is {state}"
        yield (head.name, "proxy", f"port {port}", "", "", "runs" if state == "active" else state), why


def history(seen: Mapping[str, Seen]) -> list[str]:
    """What the units decided by themselves, of all nodes, in the order of their clocks."""
    lines = [(line.partition(" ")[0], name, line.partition(" ")[2]) for name, one in seen.items() for line in one["history"].lines]
    return [f"{at}  {name}  {what}" for at, name, what in sorted(lines) if what]


def _noted(line: str) -> tuple[str, ...]:
    at, *rest = line.split("  ", 2)
    return moment(found) if (found := when(at)) else at, *rest


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


def _ranks(run: Run, replica: ReplicaPlan) -> tuple[dict[str, dict[str, float]], str]:
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
        rows[engine or "0"] = {
            "tokens_per_s": round((count - metrics.generated(first).get(engine, count)) / passed, 1),
            "running": metrics.known(last, metrics.RUNNING).get(engine, 0.0),
            "waiting": metrics.known(last, metrics.WAITING).get(engine, 0.0),
            "kv_use": metrics.known(last, metrics.CACHE).get(engine, 0.0),
        }
    stuck = _stuck(first, last)
    hung = f"rank {', '.join(stuck)} is hung: requests run, no token came for {passed:.0f} s, though health says 200" if stuck else ""
    return rows, hung


def _rank(rank: str, numbers: Mapping[str, float]) -> tuple[str, ...]:
    busy = (f"{numbers['running']:.0f} running", f"{numbers['waiting']:.0f} waiting", f"KV {numbers['kv_use']:.0%}")
    return (f"rank {rank}", f"{numbers['tokens_per_s']} tokens/s", *busy)


def _stuck(first: str, last: str) -> list[str]:
    """Ranks with requests at work at both looks and no token between them."""
    before, after = metrics.generated(first), metrics.generated(last)
    busy = [metrics.known(text, metrics.RUNNING) for text in (first, last)]
    return [e or "0" for e in after if after[e] <= before.get(e, 0.0) and all(b.get(e, 0) > 0 for b in busy)]
