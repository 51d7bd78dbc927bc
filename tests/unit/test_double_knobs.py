"""Each knob of the double does what its table says."""

from __future__ import annotations

import http.client
import re
import signal
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from roles.plan.library import library
from tests.lab.double import answers
from tests.lab.double.knobs import NAMES, KnobError, parse
from tests.lab.double.running import HERE, Ended, Running, ends, free_port, listens, until
from tests.unit.test_double import start_single

FATAL = library().engine("vllm-ascend", "test").fatal
EI0006 = "[ERROR] EI0006: Getting socket times out. Reason: Remote Rank did not send the data in time, role[1] rank[1] timeout[120 s]"


def fatal(text: str) -> set[str]:
    """Names of the fatal patterns that a log shows."""
    return {n for n, f in FATAL.items() for line in text.split("\n") if re.search(f.pattern, line)}


@pytest.fixture(scope="module")
def two() -> Iterator[Running]:
    """Two ranks behind one API, in one node: for what the control file changes while it runs."""
    with start_single({"DOUBLE": "pace=0.2"}, "--data-parallel-size", "2", "--api-server-count", "1") as one:
        assert one.ready(), one.text()
        yield one


@pytest.fixture
def served(two: Running) -> Iterator[Running]:
    yield two
    two.knobs("")
    assert until(lambda: two.chat().status == 200, 3)


def hangs(one: Running, rank: str | None = None) -> bool:
    try:
        one.chat(timeout=0.25, headers={"X-data-parallel-rank": rank} if rank else None)
    except (TimeoutError, http.client.HTTPException):
        return True
    return False


def test_knobs_are_read_from_commas_and_lines() -> None:
    assert parse("die=weights:3,fatal=EI0006 one, two,lie\n# a note\nmute@1=0") == {
        ("die", None): "weights:3",
        ("fatal", None): "EI0006 one, two",
        ("lie", None): "1",
        ("mute", 1): "0",
    }
    with pytest.raises(KnobError, match="unknown knob 'dye'"):
        parse("dye=weights")
    with pytest.raises(KnobError, match="names no stage"):
        parse("stall=coffee")
    with pytest.raises(KnobError, match="'pace=fast' is no number"):
        parse("pace=fast")


def test_every_knob_is_in_the_table() -> None:
    table = re.findall(r"^\| `([\w-]+)", (HERE / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(table) == sorted(NAMES)


def test_lie_says_healthy_while_every_completion_fails(served: Running) -> None:
    served.knobs("lie")
    assert until(lambda: served.chat().status == 500, 2)
    assert "EngineCore encountered an issue" in served.chat().text
    assert served.status("/health") == 200


def test_models_lists_another_name(served: Running) -> None:
    served.knobs("models=someone-else")
    assert until(lambda: [m["id"] for m in served.ask("GET", "/v1/models").json["data"]] == ["someone-else"], 2)


def test_deaf_accepts_and_never_answers(served: Running) -> None:
    served.knobs("deaf")
    time.sleep(0.1)
    assert listens(served.host, served.port)
    with pytest.raises(TimeoutError):
        served.ask("GET", "/health", timeout=0.2)


def test_garbled_answers_are_no_language(served: Running) -> None:
    served.knobs("garbled")
    assert until(lambda: answers.GARBLED in served.chat().text, 2)


def test_a_mute_rank_hangs_and_the_other_answers(served: Running) -> None:
    served.knobs("mute=1")
    time.sleep(0.1)
    before = served.metric("vllm:generation_tokens_total")
    assert hangs(served, "1")
    assert served.chat(headers={"X-data-parallel-rank": "0"}).status == 200
    after = served.metric("vllm:generation_tokens_total")
    assert (after["1"] == before["1"], after["0"] > before["0"]) == (True, True)
    assert served.metric("vllm:num_requests_running")["1"] >= 1


def test_hang_keeps_requests_running_without_tokens(served: Running) -> None:
    served.knobs("hang")
    time.sleep(0.1)
    before = served.metric("vllm:generation_tokens_total")
    assert hangs(served)
    assert sum(served.metric("vllm:num_requests_running").values()) >= 1
    assert served.metric("vllm:generation_tokens_total") == before
    assert served.status("/health") == 200


def test_token_is_the_time_of_one_token(served: Running) -> None:
    served.knobs("token=0.05")
    time.sleep(0.1)
    began = time.monotonic()
    thread = threading.Thread(target=served.chat, kwargs={"max_tokens": 8, "headers": {"X-data-parallel-rank": "0"}})
    thread.start()
    assert until(lambda: served.metric("vllm:kv_cache_usage_perc")["0"] > 0, 2), "the counters move while it runs"
    thread.join()
    assert time.monotonic() - began >= 0.3


def test_a_fatal_line_appears_while_serving(served: Running) -> None:
    served.knobs(f"fatal={EI0006}\nfatal-at=serving")
    assert served.says("EI0006: Getting socket times out", 2)
    assert "hccl" in fatal(served.text())
    assert served.status("/health") == 200


def test_an_unknown_knob_in_the_control_file_is_said_and_changes_nothing(served: Running) -> None:
    served.knobs("dye=1")
    assert served.says("unknown knob 'dye'", 2)
    assert served.chat().status == 200


ENDS = {
    "die=container": (1, set()),
    "die=engine:4": (4, {"core-init", "core-start"}),
    "die=weights:137": (-signal.SIGKILL, {"core-init", "core-start", "worker-init"}),
    "die=graph": (1, {"core-init", "core-start"}),
    "die=http:3": (3, set()),
    "die=serving:9": (9, {"core-fatal"}),
    "oom": (1, {"core-init", "core-start", "npu-memory"}),
    "unrecognized=--maxnumseqs 4": (2, {"unknown-flag"}),
    "dye=weights": (97, set()),
}


@pytest.fixture(scope="module")
def ended() -> dict[str, Ended]:
    return ends({k: partial(start_single, {"DOUBLE": f"pace=0.1,{k}"}, "-tp", "2") for k in ENDS})


@pytest.mark.parametrize("knob", ENDS)
def test_it_ends_with_the_code_and_the_lines_of_that_failure(ended: dict[str, Ended], knob: str) -> None:
    code, text, left = ended[knob]
    assert (code, fatal(text), left) == (*ENDS[knob], {}), text


def test_a_mistake_in_a_knob_is_no_engine_failure(ended: dict[str, Ended]) -> None:
    assert "double: unknown knob 'dye'" in ended["dye=weights"].text


def test_stall_stops_at_a_stage_until_the_knob_is_taken_away() -> None:
    with start_single({"DOUBLE": "pace=0.1,stall=graph"}, "-tp", "2") as one:
        assert one.says(r"Capturing CUDA graphs \(decode, FULL\):  40%")
        assert not until(lambda: "Graph capturing finished" in one.text(), 0.15)
        one.knobs("stall=off")
        assert one.ready()


@pytest.mark.parametrize("stage", ["container", "weights"])
def test_a_start_that_stalls_can_be_stopped(stage: str) -> None:
    with start_single({"DOUBLE": f"pace=0.1,stall={stage}"}) as one:
        assert one.says("2/5" if stage == "weights" else "non-default args")
        one.term()
        assert one.code() == 130
        assert until(lambda: not one.processes(), 2)


def test_weights_and_shards_make_loading_slow() -> None:
    with start_single({"DOUBLE": "pace=0.1,weights=0.4,shards=8"}) as one:
        assert one.says(r"\b4/8\b")
        assert "8/8" not in one.text()
        assert one.ready()
        assert float(re.findall(r"Loading weights took ([\d.]+)", one.text())[0]) >= 0.4


def test_a_fatal_line_is_printed_while_starting_and_it_goes_on() -> None:
    with start_single({"DOUBLE": f"pace=0.1,fatal={EI0006}"}, "-tp", "2") as one:
        assert one.ready()
        assert one.text().count("EI0006") == 1
        assert one.text().index("world_size=2") < one.text().index("EI0006") < one.text().index("Starting to load model")


def test_the_clock_of_the_log_is_wrong() -> None:
    with start_single({"DOUBLE": "pace=0.1,clock=-200000"}) as one:
        assert one.ready()
        now = time.time()
        days = {time.strftime("%m-%d", time.localtime(now - age)) for age in (199000, 200000, 201000)}
        assert re.findall(r"INFO (\d\d-\d\d) ", one.text())[-1] in days


def test_noterm_ignores_term() -> None:
    with start_single({"DOUBLE": "pace=0.1,noterm"}, "-tp", "2") as one:
        assert one.ready()
        one.term()
        assert not until(lambda: one.main.poll() is not None, 0.15)
        assert one.chat().status == 200
        one.knobs("noterm=off")
        time.sleep(0.05)


def test_orphans_survive_and_hold_their_devices(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"davinci{number}").touch()
    with start_single({"DOUBLE": "pace=0.1,orphans", "DOUBLE_DEV": str(tmp_path)}, "-tp", "2") as one:
        assert one.ready()
        worker = one.find("VLLM::Worker_TP1")
        one.term()
        assert one.code() == 0
        time.sleep(0.1)
        assert {"VLLM::EngineCore", "VLLM::Worker_TP0", "VLLM::Worker_TP1"} <= set(one.processes().values())
        assert any(p.resolve() == tmp_path / "davinci1" for p in Path(f"/proc/{worker}/fd").iterdir())
        assert list(one.folder.glob("psm_*")), "and their shared memory lies about"


def test_hccl_ports_are_held_and_a_taken_one_is_fatal() -> None:
    base = free_port(count=2)
    env = {"DOUBLE": "pace=0.1,hccl", "HCCL_IF_BASE_PORT": str(base)}
    with start_single(env, "-tp", "2") as one:
        assert one.ready(), one.text()
        assert listens("127.0.0.1", base)
        with start_single(env, "-tp", "2") as other:
            assert other.code() == 1
            assert {"hccl", "wrapper", "worker-init"} <= fatal(other.text())
