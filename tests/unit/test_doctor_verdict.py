"""One verdict: the earliest real cause on any rank; pointers followed to the other node; clocks, old logs and healthy clusters minded."""

from __future__ import annotations

import pytest

from roles.doctor.analyse import Verdict
from roles.doctor.say import printed
from tests.unit.doctor_bench import Case

OOM = "(Worker_DP1_TP3_EP11 pid=4711) ERROR 11-20 {} [x.py:888] RuntimeError: NPU out of memory. Tried to allocate 450.00 MiB (NPU 3; x)"
EI0006 = "(Worker_DP0_TP3_EP3 pid=4711) ERROR 11-20 {} [x.py:888] EI0006: [PID: 1] Getting socket times out. Reason: x"
EI0002 = "(Worker_DP0_TP3_EP3 pid=4711) ERROR 11-20 {} [x.py:888] EI0002: The Notify register times out. Reason: remote rank: [{}]."
EI0019 = "(Worker_DP1_TP0_EP8 pid=4711) ERROR 11-20 {} [x.py:888] (EI0019): Failed to enable listening for the host network adapter socket."
WRAPPER = "(EngineCore_DP0 pid=512) ERROR 11-20 {} [core.py:790] EngineCore failed to start."
UNKNOWN = "(Worker_DP1_TP0_EP8 pid=4711) ERROR 11-20 {} [x.py:888] ValueError: the moon is in the wrong house"
FINE = "(EngineCore_DP1 pid=512) INFO 11-20 {} [core.py:790] all is well"
SHM = "(EngineCore_DP0 pid=512) INFO 11-20 {} [shm_broadcast.py:548] No available shared memory broadcast block found in 60 seconds."
UP = "(EngineCore_DP0 pid=512) INFO 11-20 {} [core.py:215] init engine (profile, create kv cache, warmup model) took 93.41 seconds"
RUNS = "ActiveState=active\ncontainer=running\nhealth=200"


def on(zero: str = "", one: str = "", **more: object) -> Case:
    case = Case(**more)  # type: ignore[arg-type]
    return case.put(0, "engine", zero).put(1, "engine", one)


def told(verdict: Verdict) -> tuple[str, str, str]:
    match = verdict.match
    return verdict.what, match.rule.id if match else "", match.node if match else verdict.unknown[0] if verdict.unknown else ""


def test_a_cause_wins_over_a_wrapper_that_stands_before_it() -> None:
    case = on(WRAPPER.format("12:00:00") + "\n" + OOM.format("12:00:05"))
    assert told(case.verdict()) == ("cause", "npu-oom", "10.0.0.11")


def test_the_earliest_cause_wins_on_whichever_rank_it_is() -> None:
    case = on(EI0019.format("12:00:30"), OOM.format("12:00:05"))
    assert told(case.verdict()) == ("cause", "npu-oom", "10.0.0.12")
    case = on(EI0019.format("12:00:01"), OOM.format("12:00:05"))
    assert told(case.verdict()) == ("cause", "ei0019", "10.0.0.11")


def test_an_hour_between_the_clocks_does_not_change_the_order() -> None:
    case = on(EI0019.format("12:00:30"), OOM.format("13:00:05"), offsets={0: 0.0, 1: 3600.0})
    verdict = case.verdict()
    assert told(verdict) == ("cause", "npu-oom", "10.0.0.12")
    assert "2026-11-20 12:00:05" in printed(case.evidence(), verdict)
    assert told(on(EI0019.format("12:00:30"), OOM.format("13:00:05")).verdict())[1] == "ei0019"


def test_a_clock_that_is_off_is_a_difference_by_itself() -> None:
    verdict = on(offsets={0: 0.0, 1: 3600.0}).verdict()
    assert [d.name for d in verdict.differences] == ["clock"]
    assert [m.rule.id for m in verdict.notes] == ["clock-differs"]
    assert verdict.what == "nothing"


def test_a_line_that_only_waited_is_followed_to_the_other_node() -> None:
    case = on(EI0006.format("12:02:00"), OOM.format("12:00:05"))
    verdict = case.verdict()
    assert told(verdict) == ("cause", "npu-oom", "10.0.0.12")
    assert verdict.via is not None
    assert verdict.via.node == "10.0.0.11"
    assert "only waited for it" in printed(case.evidence(), verdict)


def test_it_is_followed_also_when_the_other_node_wrote_a_moment_later() -> None:
    verdict = on(EI0006.format("12:02:00"), EI0019.format("12:02:20")).verdict()
    assert told(verdict) == ("cause", "ei0019", "10.0.0.12")


def test_what_came_long_after_is_no_reason_of_it() -> None:
    verdict = on(EI0006.format("12:02:00"), OOM.format("12:10:00")).verdict()
    assert told(verdict) == ("cause", "ei0006", "10.0.0.11")
    assert "npu-oom" in [m.rule.id for m in verdict.also]


def test_a_named_rank_is_followed_to_its_own_node() -> None:
    verdict = on(EI0002.format("12:31:00", 9), OOM.format("12:05:00")).verdict()
    assert told(verdict) == ("cause", "npu-oom", "10.0.0.12")
    verdict = on(OOM.format("12:05:00"), EI0002.format("12:01:00", 12)).verdict()
    assert told(verdict)[1] == "ei0002", "rank 12 lives on the node that wrote it, so nothing is followed"


def test_an_unknown_error_on_the_other_node_is_followed_too() -> None:
    verdict = on(EI0006.format("12:02:00"), UNKNOWN.format("12:00:05")).verdict()
    assert told(verdict) == ("unknown", "", "10.0.0.12")
    assert verdict.via is not None


def test_when_nothing_is_wrong_there_its_last_words_are_told() -> None:
    case = on(EI0006.format("12:02:00"), FINE.format("12:01:00") + "\n" + FINE.format("12:20:00").replace("well", "over"))
    verdict = case.verdict()
    assert told(verdict) == ("cause", "ei0006", "10.0.0.11")
    assert "all is well" in verdict.trace[0]
    assert "the other  " in printed(case.evidence(), verdict)


def test_a_node_without_a_log_is_named_as_the_one_to_look_at() -> None:
    verdict = on(EI0006.format("12:02:00")).verdict()
    assert verdict.trace == ("10.0.0.12: no log of its engine was found",)
    verdict = on(EI0006.format("12:02:00"), problems={1: "not reached by SSH"}).verdict()
    assert verdict.trace == ("10.0.0.12: not reached by SSH",)
    assert verdict.missing == (("10.0.0.12", "not reached by SSH"),)


def test_two_nodes_that_point_at_each_other_leave_the_way_between_them() -> None:
    case = on(EI0006.format("12:02:00"), EI0006.format("12:02:01"), facts={0: {"tls": "0"}, 1: {"tls": "1"}})
    verdict = case.verdict()
    assert told(verdict)[:2] == ("cause", "tls-differs")
    assert "tls: 0 on 10.0.0.11, 1 on 10.0.0.12" in printed(case.evidence(), verdict)
    alike = on(EI0006.format("12:02:00"), EI0006.format("12:02:01")).verdict()
    assert told(alike) == ("cause", "ei0006", "10.0.0.11")


def test_a_port_that_is_down_explains_what_waited_for_it() -> None:
    case = on(EI0006.format("12:02:00")).put(1, "hccn.link.3", "link status: DOWN")
    verdict = case.verdict()
    assert told(verdict) == ("cause", "port-link-down", "10.0.0.12")


def test_a_port_that_is_down_does_not_explain_what_came_before_or_has_its_own_reason() -> None:
    case = on(OOM.format("12:00:05")).put(1, "hccn.link.3", "link status: DOWN")
    verdict = case.verdict()
    assert told(verdict) == ("cause", "npu-oom", "10.0.0.11")
    assert "port-link-down" in [m.rule.id for m in verdict.also]


def test_how_things_are_now_is_the_cause_when_no_log_tells_one() -> None:
    verdict = on().put(1, "hccn.link.3", "link status: DOWN").verdict()
    assert told(verdict) == ("cause", "port-link-down", "10.0.0.12")


def test_queue_pairs_win_over_the_operator_that_needed_them() -> None:
    text = (
        "[rank0]:[E1120 12:00:42.600 x] NPU function error: call aclnnMoeDistributeDispatchV3 failed, error code is 561000\n"
        "[PID: 542] 2026-11-20-12:00:42.266.655 Allocation_Failure(EI0007): Failed to allocate resource[qp] with info "
        "[aicpu rank:7,send_cq_depth:32768]. Reason: Memory resources are exhausted."
    )
    assert told(on(text).verdict())[1] == "ei0007-queue-pairs"


def test_an_unknown_error_wins_over_a_wrapper_and_a_symptom() -> None:
    case = on(SHM.format("11:59:00") + "\n" + WRAPPER.format("12:00:00"), UNKNOWN.format("12:00:05"))
    verdict = case.verdict()
    assert told(verdict) == ("unknown", "", "10.0.0.12")
    assert "an error that no rule knows" in printed(case.evidence(), verdict)
    assert "the moon is in the wrong house" in printed(case.evidence(), verdict)


def test_a_wrapper_is_told_when_there_is_nothing_better_and_says_so() -> None:
    case = on(WRAPPER.format("12:00:00") + "\n" + SHM.format("11:59:00"))
    verdict = case.verdict()
    assert told(verdict)[:2] == ("wrapper", "core-failed")
    assert "the log ends without a reason" in printed(case.evidence(), verdict)


def test_the_rank_that_a_wrapper_names_is_looked_at() -> None:
    text = "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore_DP1': 1}"
    verdict = on(text, UNKNOWN.format("12:00:05")).verdict()
    assert told(verdict) == ("unknown", "", "10.0.0.12")


def test_how_an_engine_was_ended_does_not_say_why() -> None:
    down = "(APIServer pid=1) INFO 11-20 12:00:00 [launcher.py:110] Shutdown initiated (timeout=0)\n"
    closed = "(Worker pid=9) ERROR 11-20 12:00:01 [x.py:1] RuntimeError: gloo: Connection closed by peer [10.0.0.12]:1\n"
    assert on(down + closed + WRAPPER.format("12:00:02") + "\n" + UNKNOWN.format("12:00:03")).verdict().what == "nothing"
    assert told(on(down + OOM.format("12:00:04")).verdict())[1] == "npu-oom", "a real cause may be written late"


def test_what_serve_said_itself_wins_over_wrappers_and_is_forgotten_once_it_serves() -> None:
    failures = [{"node": "10.0.0.11", "stage": "proof", "why": "chat: the answer looks garbled: x", "fix": ""}]
    case = on(WRAPPER.format("12:00:00"), failures=failures)
    assert told(case.verdict()) == ("symptom", "garbled", "10.0.0.11")
    assert case.put(0, "unit", RUNS).put(1, "unit", RUNS).verdict().what == "nothing"


def test_a_symptom_comes_last_and_names_the_node_to_look_at() -> None:
    case = on(SHM.format("12:00:00"), FINE.format("11:59:00"))
    verdict = case.verdict()
    assert told(verdict)[:2] == ("symptom", "hang-at-start")
    assert "10.0.0.12: nothing known is wrong" in verdict.trace[0]


def test_a_hang_under_load_is_told_though_the_endpoint_says_it_is_well() -> None:
    case = on(UP.format("11:59:00") + "\n" + SHM.format("12:00:00")).put(0, "unit", RUNS).put(1, "unit", RUNS)
    assert case.evidence().healthy
    assert told(case.verdict())[:2] == ("symptom", "hang-under-load")


def test_errors_of_single_requests_are_not_the_clusters() -> None:
    text = "(APIServer pid=1) ERROR 11-20 12:00:00 [serving.py:1] ValueError: no such tool\n" + WRAPPER.format("12:00:01")
    case = on(text).put(0, "unit", RUNS).put(1, "unit", RUNS)
    verdict = case.verdict()
    assert verdict.what == "nothing"
    assert not verdict.wrong
    assert "serves, and nothing wrong was found" in printed(case.evidence(), verdict)


def test_a_cause_is_told_even_while_it_serves() -> None:
    case = on(OOM.format("12:00:00")).put(0, "unit", RUNS).put(1, "unit", RUNS)
    assert told(case.verdict())[1] == "npu-oom"


def test_nothing_seen_at_all_is_nothing_wrong() -> None:
    verdict = Case().verdict()
    assert verdict.what == "nothing"
    assert not verdict.wrong


def test_a_node_that_was_not_reached_is_wrong_by_itself_unless_it_was_left_out() -> None:
    verdict = Case(problems={1: "not reached by SSH"}).verdict()
    assert verdict.what == "unreachable"
    assert verdict.wrong
    assert not Case(problems={1: "left out by --limit"}).verdict().wrong


def test_a_failing_check_is_told_when_no_log_tells_anything() -> None:
    from roles.doctor.analyse import analyse
    from roles.doctor.evidence import read
    from roles.doctor.rules import rules
    from roles.plan.finding import Finding

    case = Case()
    finding = Finding("10.0.0.12", "ascend.link", "fail", "card 3 is DOWN", "UP", "mend it")
    evidence = read(case.files(findings=[finding]))[0]
    verdict = analyse(evidence, rules())
    assert verdict.what == "blocked"
    assert "10.0.0.12: ascend.link: card 3 is DOWN" in printed(evidence, verdict)
    assert "do         mend it" in printed(evidence, verdict)


def test_what_serve_kept_counts_only_where_the_container_is_gone() -> None:
    case = Case().put(0, "engine.run", OOM.format("12:00:00")).put(0, "engine", FINE.format("12:00:00"))
    assert case.verdict().what == "nothing"
    assert told(Case().put(0, "engine.run", OOM.format("12:00:00")).verdict())[1] == "npu-oom"


def test_an_older_log_counts_only_where_no_newer_is() -> None:
    case = Case().put(0, "old.3", OOM.format("12:00:00"))
    assert told(case.verdict())[1] == "npu-oom"
    assert case.put(0, "engine", FINE.format("12:00:00")).verdict().what == "nothing"


def test_the_same_evidence_gives_the_same_words() -> None:
    case = on(EI0006.format("12:02:00"), OOM.format("12:00:05"), facts={0: {"mtu": "9000"}, 1: {"mtu": "1500"}})
    assert len({printed(case.evidence(), case.verdict()) for _ in range(3)}) == 1


def test_a_verdict_reads_so() -> None:
    case = on(EI0006.format("12:02:00"), OOM.format("12:00:05"), facts={0: {"driver": "25.5.0"}, 1: {"driver": "25.2.0"}})
    assert printed(case.evidence(), case.verdict()).splitlines()[:9] == [
        "doctor: replica r0: 10.0.0.12 (rank 1) at 2026-11-20 12:00:05 UTC: an NPU's memory is full (npu-oom)",
        f"  seen       engine log: {OOM.format('12:00:05')}",
        "  why        weights, KV cache, activations of the largest step and HCCL's buffers (one per communicator) together are more than "
        "the card has",
        "  led here   10.0.0.11 (rank 0) at 2026-11-20 12:02:00 UTC only waited for it: " + EI0006.format("12:02:00"),
        "  do         pyinfra INVENTORY deploy/serve.py --data flags.gpu-memory-utilization=0.87 --data flags.max-num-batched-tokens=32768",
        "             pyinfra INVENTORY deploy/serve.py --data flags.max-num-seqs=64",
        "             pyinfra INVENTORY deploy/serve.py --data env.HCCL_BUFFSIZE=512",
        "  differs    driver: 25.5.0 on 10.0.0.11, 25.2.0 on 10.0.0.12",
        "  known from VA#10839, VA#1127, VA#7123",
    ]


@pytest.mark.parametrize(
    ("name", "one", "two", "alike"),
    [
        ("HCCL_IF_IP", "10.0.0.11", "10.0.0.12", True),
        ("VLLM_HOST_IP", "10.0.0.11", "10.0.0.11", False),
        ("GLOO_SOCKET_IFNAME", "enp67s0f0np0", "eth0", False),
        ("HOSTNAME", "a", "b", True),
    ],
)
def test_a_nodes_own_address_is_no_difference(name: str, one: str, two: str, alike: bool) -> None:
    case = Case()
    for rank, value in enumerate((one, two)):
        env = {**case.plan.replicas[0].nodes[rank].env, name: value}
        case.put(rank, "env", "\n".join(f"{k}={v}" for k, v in env.items()))
    assert ("env" not in [d.name for d in case.verdict().differences]) is alike


def test_tls_switches_that_differ_inside_one_node_are_a_difference() -> None:
    verdict = Case(facts={0: {"tls_cards": "0:0 1:1 2:0"}}).verdict()
    assert verdict.differences[0].sentence() == "tls switches of one node: card 0 0, card 1 1, card 2 0 on 10.0.0.11"
