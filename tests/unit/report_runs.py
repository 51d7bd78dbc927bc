"""Run folders for the report's tests: a good serve, a failed one, a benchmark, many nodes; all but the clock as bringup writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from roles.bench import alike, command, compare, record
from roles.doctor.analyse import analyse
from roles.doctor.evidence import read
from roles.doctor.rules import rules
from roles.doctor.say import data
from roles.plan.plan import Plan
from tests.unit.doctor_bench import Case
from tests.unit.sources import plan

BEGAN = datetime(2026, 11, 20, 1, 12, 3, 480000, tzinfo=timezone.utc)
OOM = "RuntimeError: NPU out of memory. Tried to allocate 2.00 GiB (NPU 5; 60.96 GiB total capacity; 57.41 GiB already allocated)"
START = (
    ("container", 9),
    ("engine", 6),
    ("distributed", 21),
    ("weights", 214),
    ("loaded", 11),
    ("kv-cache", 26),
    ("graph", 148),
    ("ready", 4),
)
PASSED = {
    "ascend.answers": "npu-smi 25.5.0", "ascend.count": "8 cards", "ascend.driver": "driver 25.5.0", "ascend.health": "8 cards OK",
    "ascend.firmware": "firmware 7.7.0.1.231", "ascend.link": "8 links up", "ascend.tls": "TLS off on 8 cards",
    "docker.running": "answers", "docker.version": "28.5.1", "firewall.rules": "no rule cuts the peers off",
    "image.same": "sha256:4d6013846d2a on 2 of 2 nodes", "network.mtu": "1500", "network.ports": "35 ports free",
    "network.reach": "4 ports answered", "node.clock": "agrees with the other nodes", "node.memory": "1990 of 2013 GiB available",
    "node.shm": "1006 of 1006 GiB free", "stale.orphans": "none", "weights.present": "126 files, 229.4 GB",
}  # fmt: skip


def at(seconds: float) -> str:
    return (BEGAN + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def stage(name: str, begin: float, end: float | None, node: str = "", replica: str = "", ok: bool | None = True) -> dict[str, Any]:
    return {"stage": name, "node": node, "replica": replica, "start": at(begin), "end": None if end is None else at(end), "ok": ok}


def finding(node: str, check: str, level: str, observed: str, expected: str = "", fix: str = "") -> dict[str, str]:
    return {"node": node, "check": check, "level": level, "observed": observed, "expected": expected, "fix": fix}


def findings(nodes: Sequence[str]) -> list[dict[str, str]]:
    found = [finding(n, check, "pass", text) for n in nodes for check, text in PASSED.items()]
    found += [finding(n, "ascend.address", "pass", f"10.30.{i}.10/16 and 7 more") for i, n in enumerate(nodes)]
    found += [finding(n, "image.registry", "skip", "the image is here") for n in nodes]
    fix = "pyinfra inventories/a2.py deploy/prepare.py"
    found += [finding(n, "tuning.governor", "warn", "powersave on 192 CPU policies", "performance", fix) for n in nodes[1:]]
    return found


def prepared(nodes: Sequence[str], until: float = 305.0) -> list[dict[str, Any]]:
    """Up to the start: the look, and what prepare does on every node."""
    stages = [stage("look", 0.3, 4.1)]
    for i, n in enumerate(nodes):
        stages += [
            stage("host settings", 4.3, 6.0 + i % 7 / 9, n),
            stage("image", 7.0, until - 80 + i * 37 % 60, n),
            stage("weights", until - 18, until - 5, n),
        ]
    return [*stages, stage("look again", until - 4, until)]


def started(nodes: Sequence[str], replica: str, begin: float = 306.0, upto: str = "") -> list[dict[str, Any]]:
    """The engine's own stages; `upto` is where rank 1 breaks off."""
    head = nodes[0]
    stages = [stage("start", begin, begin + 2.4, head, replica), stage("listen", begin + 2.4, begin + 44, head, replica)]
    ends = []
    for i, n in enumerate(nodes):
        now = begin + 3 if n == head else begin + 49
        stages += (
            [stage("reach", begin + 44, begin + 44.3, n, replica), stage("start", begin + 44.4, begin + 46.9, n, replica)] if i else []
        )
        for name, seconds in START:
            end = now + seconds * (1.0 if n == head else 0.93 - i % 5 / 40)
            stages.append(stage(name, now, end, n, replica, not (upto == name and n == nodes[-1])))
            now = end
            if upto == name:
                break
        ends.append(now)
    stages.append(stage("up", begin, max(ends), "", replica, not upto))
    return stages


def proven(stages: Sequence[Mapping[str, Any]], head: str, replica: str) -> list[dict[str, Any]]:
    last = max(datetime.fromisoformat(s["end"]) for s in stages if s["end"])
    begin = (last - BEGAN).total_seconds()
    return [stage("proof", begin + 0.1, begin + 31.6, head, replica)]


PROOF = [
    {"name": "health", "ok": True, "said": "200 (through 10.0.0.11)", "seconds": 0.02},
    {"name": "model", "ok": True, "said": "minimax25", "seconds": 0.09},
    {"name": "ranks", "ok": True, "said": "2 of 2 ranks generated tokens", "seconds": 1.84},
    {"name": "chat", "ok": True, "said": "'<think>The user greets me and asks who I am.</think> I am MiniMax-M2.5 …'", "seconds": 4.31},
    {"name": "tool-call", "ok": True, "said": 'get_current_weather({"city": "上海"})', "seconds": 3.02},
    {"name": "list-content", "ok": True, "said": "'I am MiniMax-M2.5, a language model.'", "seconds": 4.11},
    {"name": "stream", "ok": True, "said": "118 chunks, 'I am MiniMax-M2.5'", "seconds": 4.02},
    {"name": "forced-tool", "ok": True, "said": "get_current_weather was called", "seconds": 2.75},
    {"name": "soak", "ok": True, "said": "14 requests in 10 s, 4 side by side, no error", "seconds": 10.9},
]


def report(made: Plan, verb: str, code: int, took: float, **more: Any) -> dict[str, Any]:
    missing: Mapping[str, str] = more.pop("missing", {})
    nodes = [
        {"name": n.name, "address": n.address, "rank": n.rank, "replica": r.name, "reached": n.name not in missing,
         **({"why": missing[n.name]} if n.name in missing else {})}
        for r in made.replicas for n in r.nodes
    ]  # fmt: skip
    return {
        "ok": code == 0, "verb": verb, "cluster": made.cluster, "recipe": made.recipe, "plan_hash": made.hash, "dry": False, "exit": code,
        "began": at(0), "ended": at(took), "command": f"pyinfra inventories/a2.py deploy/{verb}.py -y",
        "versions": {"bringup": "0.1.0", "pyinfra": "3.10.0", "python": "3.11.7"}, "nodes": nodes, "findings": [], "stages": [],
        "failures": [], "facts": {}, "warnings": list(made.warnings), **more,
    }  # fmt: skip


def put(folder: Path, name: str, files: Mapping[str, Any]) -> Path:
    """A run folder of this name."""
    path = folder / name
    path.mkdir(parents=True)
    for file, content in files.items():
        lines = "".join(json.dumps(line) + "\n" for line in content) if file.endswith("l") else json.dumps(content, indent=2)
        (path / file).write_text(lines, encoding="utf-8")
    return path


def before(folder: Path, made: Plan) -> Path:
    return put(folder, "20261119T160000Z-check", {"plan.json": made.data(), "report.json": report(made, "check", 0, 5)})


EVENTS = [
    {"time": at(5), "event": "decision", "replica": "r0", "what": "start", "why": "is not running", "changes": []},
    *(
        {"time": at(5), "event": "change", "node": f"10.0.0.{n}", "what": what}
        for n in (11, 12)
        for what in (
            "set vm.swappiness to 0 (now 60)",
            "set the governor of 192 CPU policies to performance (now powersave)",
            "pull the image",
        )
    ),
]


def good_serve(folder: Path) -> Path:
    made = plan()
    before(folder, plan(flags={"max-num-seqs": 64}, env={"HCCL_BUFFSIZE": 512}))
    names = [n.name for n in made.nodes]
    stages = [*prepared(names), *started(names, "r0")]
    stages += proven(stages, names[0], "r0")
    facts = {
        "report.proof": {"r0": PROOF},
        "report.weights": {
            "/models/weights": {"source": "MiniMaxAI/MiniMax-M2.5", "origin": names[0], "bytes": dict.fromkeys(names, 229441927168)}
        },
    }
    told = report(made, "serve", 0, 794.2, findings=findings(names), stages=stages, facts=facts)
    return put(folder, "20261120T011203Z-serve", {"report.json": told, "plan.json": made.data(), "events.jsonl": EVENTS})


def failed_serve(folder: Path) -> Path:
    made = plan()
    before(folder, made)
    case = Case(made)
    head, last = (n.name for n in made.nodes)
    case.put(1, "engine", f"(Worker_TP5_EP13 pid=903) ERROR 11-20 01:21:37 [multiproc_executor.py:772] {OOM}")
    case.failures.append({"node": last, "stage": "graph", "why": OOM, "fix": ""})
    evidence = read(case.files())[0]
    told = data(evidence, analyse(evidence, rules()))
    stages = [
        *prepared([head, last]),
        *started([head, last], "r0", upto="graph"),
        stage("collect", 745.0, 748.6),
        stage("examine", 748.6, 750.1),
    ]
    failures = [
        {
            "node": last,
            "stage": "graph",
            "why": f"the NPU's memory is full (oom): {OOM}",
            "fix": "the whole log is in runs/a2/20261120T011203Z-serve/nodes",
        },
        {"node": head, "stage": "graph", "why": "the unit ended; Connection closed by peer [10.0.0.12]", "fix": ""},
    ]
    kept = {k: told[k] for k in ("what", "sentence", "do", "source")}
    facts = {"report.doctor": {"r0": {**kept, "rule": (told["match"] or {}).get("rule")}}}
    warnings = ["strict host-key checking is off: anybody between here and the nodes can pose as them"]
    found = report(
        made, "serve", 1, 751.0, findings=findings([head, last]), stages=stages, failures=failures, facts=facts, warnings=warnings
    )
    files = {"report.json": found, "plan.json": made.data(), "events.jsonl": EVENTS, "doctor.r0.json": [told]}
    return put(folder, "20261120T011203Z-serve", files)


def figures(concurrency: int, slower: float = 1.0) -> dict[str, float]:
    """What a client measures: throughput bends where latency climbs."""
    tpot = 8.9 * (1 + concurrency / 42) * slower
    ttft = 58.0 * (1 + concurrency / 9) * slower
    output = concurrency * 1000 / tpot * 0.94
    return {
        "request_throughput": output / 1024, "output_throughput": output, "total_throughput": output * 2, "duration": 4096 / output,
        "mean_ttft_ms": ttft, "median_ttft_ms": ttft * 0.9, "p99_ttft_ms": ttft * 2.6,
        "mean_tpot_ms": tpot, "median_tpot_ms": tpot * 0.99, "p99_tpot_ms": tpot * 1.3, "mean_itl_ms": tpot,
    }  # fmt: skip


def bench(folder: Path) -> Path:
    made = plan("sglang/mi300x-tp4")
    before(folder, made)
    replica = made.replicas[0]
    points = []
    clock = 4.0
    stages = [stage("look", 0.4, 3.6)]
    for p in command.points([b for b in made.bench if b["tool"] != "script"][:1], "t", 7, sweep=[1, 4, 16, 64, 100]):
        conditions = alike.conditions(made, replica, p, "AMD Instinct MI300X OAM")
        ours = figures(conditions["concurrency"], 1.18 if p.title.endswith("64") else 1.0)
        page = compare.page(ours, conditions, p.reference, 0.1) if p.reference else None
        past = {"conditions": conditions, "figures": figures(conditions["concurrency"], 1.04)}
        earlier = compare.before("20261112T090112Z-bench", ours, conditions, past, 0.1)
        count = conditions["prompts"]
        points.append(record.point(p, conditions, ours, (count, 0), "", 41.0, page, earlier, []))
        stages.append(stage(f"bench {p.title}", clock, clock + 30 + count / 9, p.node, "r0"))
        clock += 31 + count / 9
    told = record.run(made, points, ["gsm8k: its data set is missing"], 0.1, at(4), at(clock))
    for c in told["curves"]:  # as a page with the same sweep would have it
        for place in c["points"]:
            place["page"] = record._spelled(figures(place["concurrency"], 0.93))
    worse = "random-1k-1k-c1 at 64 on replica r0 is worse than the last run's: WORSE by more than 10%: output_throughput 0.88 x"
    facts = {"report.bench": [record.short(p) for p in points], "report.bench.warnings": [worse]}
    found = report(made, "bench", 0, clock + 1, stages=stages, facts=facts)
    return put(folder, "20261120T011203Z-bench", {"report.json": found, "plan.json": made.data(), "events.jsonl": [], "bench.json": told})


def many_nodes(folder: Path, replicas: int = 32) -> Path:
    """A serve of pairs, of which one fails and one node was not reached."""
    made = plan(replicas=replicas)
    before(folder, plan(replicas=replicas, flags={"max-num-seqs": 64}))
    names = [n.name for n in made.nodes]
    stages = prepared(names)
    for i, r in enumerate(made.replicas):
        members = [n.name for n in r.nodes]
        stages += started(members, r.name, 306.0 + i % 9, upto="kv-cache" if i == 5 else "")
        stages += proven(stages[-20:], members[0], r.name) if i != 5 else []
    found = findings(names)
    found += [
        finding(n, "ascend.link", "fail", f"card {i % 8}: link status: DOWN", "UP", f"hccn_tool -i {i % 8} -cfg recovery")
        for i, n in enumerate(names[10:14])
    ]
    bad = made.replicas[5].nodes[1].name
    facts = {"report.proof": {r.name: PROOF for i, r in enumerate(made.replicas) if i != 5}}
    failures = [{"node": bad, "stage": "kv-cache", "why": OOM, "fix": ""}]
    told = report(
        made, "serve", 1, 800.0, findings=found, stages=stages, failures=failures, facts=facts, missing={names[-1]: "not reached by SSH"}
    )
    return put(folder, "20261120T011203Z-serve", {"report.json": told, "plan.json": made.data(), "events.jsonl": EVENTS})


def status(folder: Path) -> Path:
    """Two replicas, of which one hangs."""
    made = plan(replicas=2)
    names = [n.name for n in made.nodes]
    ranks = {str(i): {"tokens_per_s": 41.5 - i, "running": 3.0, "waiting": 0.0, "kv_use": 0.21} for i in (0, 1)}
    history = ["2026-11-19T22:14:02Z  10.0.0.11  generation 1: started", "2026-11-19T22:26:40Z  10.0.0.11  generation 1: proven"]
    why = "rank 1 is hung: requests run, no token came for 8 s, though health says 200"
    facts = {
        "report.status": {
            "r0": {"ranks": ranks, "history": history, "serves": True, "why": ""},
            "r1": {"ranks": ranks, "history": [], "serves": False, "why": why},
        },
        "report.rolling": {"at a time": 1},
    }
    told = report(made, "status", 1, 11.2, findings=findings(names), facts=facts)
    return put(folder, "20261120T011203Z-status", {"report.json": told, "plan.json": made.data(), "events.jsonl": []})
