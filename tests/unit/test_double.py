"""The engine's double, as the plan's own commands start it: order of the log, names, ports, API."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from roles.plan.library import library
from tests.lab.double import answers
from tests.lab.double.running import Running, free_port, listens, until
from tests.unit.sources import plan

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_current_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
            "required": ["city"],
        },
    },
}
ASCEND = {"HCCL_IF_IP": "127.0.0.1"}


def changed(argv: list[str], **flags: object) -> list[str]:
    """The argv with other values of some flags."""
    new = list(argv)
    for name, value in flags.items():
        flag = f"--{name.replace('_', '-')}"
        if flag in new:
            new[new.index(flag) + 1] = str(value)
        else:
            new += [flag, str(value)]
    return new


def start_pair(env: dict[str, str] | None = None, tp: int = 2, **flags: object) -> tuple[Running, Running]:
    """The two nodes of the A2 pair on two loopback addresses, with the plan's own argv."""
    first, second = plan("vllm-ascend/a2-dual").replicas[0].nodes
    api, rpc = free_port("127.0.0.1"), free_port("127.0.0.1")
    same = {"port": api, "data_parallel_address": "127.0.0.1", "data_parallel_rpc_port": rpc, "tensor_parallel_size": tp, **flags}
    given = {**ASCEND, "DOUBLE": "pace=0.3", **(env or {})}
    head = Running(changed(first.serve_argv, host="127.0.0.1", **same), given, "127.0.0.1", api)
    assert until(lambda: listens("127.0.0.1", rpc), 5), head.text()
    peer = Running(changed(second.serve_argv, host="127.0.0.2", **same), given, "127.0.0.2", api)
    return head, peer


def start_single(env: dict[str, str] | None = None, *more: str, model: str = "/models/w") -> Running:
    port = free_port()
    argv = ["vllm", "serve", model, "--served-model-name", "m", "--host", "127.0.0.1", "--port", str(port), *more]
    return Running(argv, {**ASCEND, **(env or {})}, port=port)


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Running, Running]]:
    head, peer = start_pair()
    with head, peer:
        assert head.ready(), head.text() + peer.text()
        yield head, peer


def stages(text: str, engine: str) -> list[str]:
    """Stages in the order in which a log first shows them."""
    known = library().engine(engine, "test").stages
    seen: list[str] = []
    for line in text.split("\n"):
        seen += [s.name for s in known if s.name not in seen and any(re.search(p, line) for p in s.patterns)]
    return seen


def test_one_node_is_ready_within_three_seconds_and_stops_clean() -> None:
    began = time.monotonic()
    with start_single() as one:
        assert one.ready()
        assert time.monotonic() - began < 3
        one.term()
        assert one.code() == 0
        assert until(lambda: not one.processes(), 2)
        assert re.search(r"Shutdown initiated \(timeout=0\)[\s\S]*Shutdown complete[\s\S]*Application shutdown complete", one.text())
        assert sorted(p.name for p in one.folder.iterdir()) == ["log"], "a clean end leaves nothing"


def test_both_ranks_pass_the_stages_in_order(pair: tuple[Running, Running]) -> None:
    names = [s.name for s in library().engine("vllm-ascend", "test").stages]
    assert stages(pair[0].text(), "vllm-ascend") == names
    assert stages(pair[1].text(), "vllm-ascend") == [n for n in names if n != "http"]


def test_every_pattern_of_the_engine_files_is_said_by_some_start(pair: tuple[Running, Running], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": {"quant_method": "fp8"}}))
    fp8 = {"DOUBLE": "pace=0.1", **ASCEND}
    old = {"DOUBLE": "pace=0.01,stall@1=ready:0.2", "DOUBLE_VERSION": "0.13.0", "DOUBLE_PLATFORM": "cuda", "VLLM_LOGGING_LEVEL": "DEBUG"}
    ranks = ["--data-parallel-size", "2", "--api-server-count", "1"]
    threads = ["--model-loader-extra-config", '{"enable_multithread_load": true}']
    with start_single(fp8, *threads, model=str(tmp_path)) as first, start_single(old, *ranks) as second:
        assert first.ready()
        assert second.ready()
        text = "\n".join(one.text() for one in (*pair, first, second))
        message = second.chat().json["choices"][0]["message"]
        assert {"reasoning", "reasoning_content"} <= set(message), "from 0.12 to 0.15 under both names"
    patterns = [p for s in library().engine("vllm-ascend", "test").stages for p in s.patterns]
    assert [p for p in patterns if not re.search(p, text)] == []


def test_shards_are_lines_and_graphs_are_one_line_redrawn(pair: tuple[Running, Running]) -> None:
    raw = pair[0].log.read_bytes().decode()
    assert re.search(r"\(Worker_DP0_TP0_EP0 pid=\d+\) \rLoading safetensors checkpoint shards:  20% Completed \| 1/5 \[[^\n]*\]\n", raw)
    assert re.search(r"\rCapturing CUDA graphs \(decode, FULL\):   0%\|[^\n]*\rCapturing[^\n]* 5/5 [^\n]*\n", raw)
    assert "Completed |" not in pair[1].text(), "only the first rank of all draws bars, as in vLLM"


def test_processes_are_named_as_the_engines(pair: tuple[Running, Running]) -> None:
    names = [sorted(re.sub(r"^\S+python\S* -S \S+/", "", line).split(" --")[0] for line in one.processes().values()) for one in pair]
    tracker = "python -c from multiprocessing.resource_tracker import main;main(5)"
    workers = [[f"VLLM::Worker_DP{rank}_TP{tp}_EP{2 * rank + tp}" for tp in (0, 1)] for rank in (0, 1)]
    assert names[0] == ["VLLM::DPCoordinator", "VLLM::EngineCore_DP0", *workers[0], tracker, "vllm serve /models/weights"]
    assert names[1] == ["VLLM::EngineCore_DP1", *workers[1], tracker, "vllm serve /models/weights"]
    comm = Path(f"/proc/{pair[1].find('VLLM::Worker_DP1_TP1_EP3')}/comm").read_text().strip()
    assert comm == "VLLM::Worker_DP"


def test_only_rank_0_listens_and_the_handshake_port_closes(pair: tuple[Running, Running]) -> None:
    rpc = int(re.findall(r"head node address tcp://127.0.0.1:(\d+)\.", pair[1].text())[0])
    assert not listens("127.0.0.1", rpc)
    assert not listens("127.0.0.2", pair[1].port)


def test_a_request_goes_to_the_rank_it_names_and_else_in_turn(pair: tuple[Running, Running]) -> None:
    head = pair[0]
    for rank in ("0", "1"):
        before = head.metric("vllm:generation_tokens_total"), head.metric("vllm:prompt_tokens_total")
        used = head.chat(headers={"X-data-parallel-rank": rank}).json["usage"]
        after = head.metric("vllm:generation_tokens_total"), head.metric("vllm:prompt_tokens_total")
        moved = [{r: a[r] - b[r] for r in a if a[r] != b[r]} for b, a in zip(before, after, strict=True)]
        assert moved == [{rank: used["completion_tokens"]}, {rank: used["prompt_tokens"]}]
    before_all = head.metric("vllm:generation_tokens_total")
    assert [head.chat().status for _ in range(2)] == [200, 200]
    assert all(v > before_all[r] for r, v in head.metric("vllm:generation_tokens_total").items())
    assert head.chat(headers={"X-data-parallel-rank": "2"}).status == 400
    assert set(head.metric("vllm:num_requests_running")) == {"0", "1"}


def test_content_is_text_or_parts_and_thinking_stays_inside(pair: tuple[Running, Running]) -> None:
    parts = [{"role": "user", "content": [{"type": "text", "text": "Who are you?"}]}]
    answer = pair[0].ask("POST", "/v1/chat/completions", {"messages": parts, "model": "minimax25"}).json
    message = answer["choices"][0]["message"]
    assert message["content"] == f"<think>{answers.THINK}\n</think>\n\n{answers.TEXT}"
    assert message["reasoning"] is None
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert pair[0].chat(max_tokens=3).json["choices"][0]["finish_reason"] == "length"
    assert pair[0].chat(max_tokens=40, ignore_eos=True).json["usage"]["completion_tokens"] == 40


def test_a_tool_is_called(pair: tuple[Running, Running]) -> None:
    choice = pair[0].chat("请查询上海的天气。", tools=[WEATHER], tool_choice="auto").json["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    call = choice["message"]["tool_calls"][0]["function"]
    assert (call["name"], json.loads(call["arguments"])) == ("get_current_weather", {"city": "Shanghai", "unit": "celsius"})
    assert pair[0].chat(tools=[WEATHER], tool_choice="none").json["choices"][0]["message"]["tool_calls"] == []


def events(answer: str) -> list[Any]:
    lines = [line[6:] for line in answer.split("\n") if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_streams_add_up_to_the_whole_answer(pair: tuple[Running, Running]) -> None:
    head = pair[0]
    whole = head.chat().json["choices"][0]["message"]["content"]
    chunks = events(head.chat(stream=True, stream_options={"include_usage": True}).text)
    deltas = [c["choices"][0]["delta"] for c in chunks if c["choices"]]
    assert "".join(d.get("content") or "" for d in deltas) == whole
    assert len(deltas) > 10
    assert chunks[-1]["usage"]["completion_tokens"] > 10
    calls = [c["choices"][0] for c in events(head.chat(stream=True, tools=[WEATHER]).text)]
    pieces = [t["function"] for c in calls for t in c["delta"].get("tool_calls", [])]
    assert pieces[0]["name"] == "get_current_weather"
    assert json.loads("".join(p["arguments"] for p in pieces))["city"] == "Shanghai"
    assert calls[-1]["finish_reason"] == "tool_calls"
    text = events(head.ask("POST", "/v1/completions", {"prompt": "I", "max_tokens": 8, "stream": True}).text)
    assert len(text) == 8


def test_other_endpoints(pair: tuple[Running, Running]) -> None:
    head = pair[0]
    assert (head.status("/health"), head.status("/ping"), head.status("/nothing")) == (200, 200, 404)
    assert head.ask("GET", "/version").json == {"version": "0.18.0"}
    assert [m["id"] for m in head.ask("GET", "/v1/models").json["data"]] == ["minimax25"]
    assert head.chat(model="other").json["error"]["message"] == "The model `other` does not exist."
    assert head.ask("POST", "/v1/chat/completions", "{").status == 400
    assert head.chat(max_tokens=200000).status == 400
    assert head.ask("POST", "/v1/completions", {"prompt": "I"}).json["usage"]["completion_tokens"] == 16
    items = head.ask("POST", "/v1/responses", {"input": "Hello", "max_output_tokens": 200}).json["output"]
    assert [i["type"] for i in items] == ["message"], "with append_think there is no reasoning item"


def test_the_key_guards_v1_only_and_the_parser_splits_the_thinking() -> None:
    with start_single({"VLLM_API_KEY": "secret", "DOUBLE": "pace=0.3"}, "--reasoning-parser", "minimax_m2") as one:
        assert one.ready(), one.text()
        assert (one.status("/health"), one.status("/metrics"), one.status("/v1/models")) == (200, 200, 401)
        key = {"Authorization": "Bearer secret"}
        message = one.chat(headers=key).json["choices"][0]["message"]
        assert (message["reasoning"], message["content"]) == (f"{answers.THINK}\n", f"\n\n{answers.TEXT}")
        assert "auto" in one.chat(headers=key, tools=[WEATHER]).json["error"]["message"], "no tool parser, no automatic calls"
        items = one.ask("POST", "/v1/responses", {"input": "Hello"}, headers=key).json["output"]
        assert [i["type"] for i in items] == ["reasoning", "message"]
        assert "secret" not in one.text()


def test_workers_hold_the_devices_they_may_see(tmp_path: Path) -> None:
    model = tmp_path / "w"
    model.mkdir()
    for number in range(3):
        (model / f"model-{number}.safetensors").touch()
    (tmp_path / "davinci3").touch()
    (tmp_path / "davinci5").touch()
    env = {"DOUBLE": "pace=0.3", "DOUBLE_DEV": str(tmp_path)}
    with start_single({**env, "ASCEND_RT_VISIBLE_DEVICES": "3,5"}, "-tp", "2", model=str(model)) as one:
        assert one.ready(), one.text()
        assert "Loading safetensors checkpoint shards: 100% Completed | 3/3" in one.text()
        for rank, device in enumerate((3, 5)):
            worker = one.find(f"VLLM::Worker_TP{rank}")
            held = {os.readlink(f"/proc/{worker}/fd/{fd}") for fd in os.listdir(f"/proc/{worker}/fd")}
            assert str(tmp_path / f"davinci{device}") in held
    with start_single({**env, "ASCEND_RT_VISIBLE_DEVICES": "3"}, "-tp", "2") as few:
        assert few.code() == 1
        assert "local_world_size (2) must be less than or equal to the number of visible devices (1)" in few.text()


def test_a_port_that_is_taken_ends_it_at_once() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = str(held.getsockname()[1])
        with Running(["vllm", "serve", "/models/w", "--host", "127.0.0.1", "--port", port]) as one:
            assert one.code() == 1
            assert "OSError: [Errno 98] Address already in use" in one.text()
        remote = ["--data-parallel-size", "2", "--data-parallel-size-local", "1", "--data-parallel-rpc-port", port]
        with start_single(None, *remote) as two:
            assert two.code() == 1
            assert f"zmq.error.ZMQError: Address already in use (addr='tcp://127.0.0.1:{port}')" in two.text()


def test_several_ranks_and_api_servers_in_one_node() -> None:
    with start_single({"DOUBLE": "pace=0.3"}, "--data-parallel-size", "2") as one:
        assert one.ready(), one.text()
        assert {"VLLM::APIServer_0", "VLLM::APIServer_1", "VLLM::EngineCore_DP1", "VLLM::Worker_DP1"} <= set(one.processes().values())
        assert [one.chat(headers={"X-data-parallel-rank": r}).status for r in ("0", "1")] == [200, 200]
        assert all(v > 0 for v in one.metric("vllm:generation_tokens_total").values())
        one.term()
        assert one.code() == 0
        assert until(lambda: not one.processes(), 2)


def test_pieces_are_the_whole_text() -> None:
    text = answers.THINK + "\n</think>\n\n" + answers.markup(WEATHER["function"]) + answers.GARBLED + "  \n"  # type: ignore[arg-type]
    assert "".join(answers.pieces(text)) == text
