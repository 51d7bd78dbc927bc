"""What the look after prepare may say: what was open before, and nothing of what was in order."""

from __future__ import annotations

from roles.plan.finding import Finding
from roles.preflight.role import settled


def said(check: str, level: str, observed: str = "", node: str = "n0") -> Finding:
    return Finding(node, check, level, observed, "", "")  # type: ignore[arg-type]


def test_what_was_open_is_judged_anew_and_what_was_in_order_is_not() -> None:
    first = [said("image.command", "skip"), said("tuning.sysctl", "warn"), said("ascend.holders", "pass"), said("node.lock", "warn", "kim")]
    second = [
        said("image.command", "fail", "refused"),
        said("tuning.sysctl", "pass"),
        said("ascend.holders", "fail", "an engine of ours that just ended"),
        said("ascend.holders", "fail", "a stranger", node="n1"),
        said("node.lock", "warn", "ourselves"),
        said("docker.version", "pass"),
    ]
    assert settled(first, second) == [
        said("ascend.holders", "pass"),
        said("node.lock", "warn", "kim"),
        said("image.command", "fail", "refused"),
        said("tuning.sysctl", "pass"),
        said("ascend.holders", "fail", "a stranger", node="n1"),
        said("docker.version", "pass"),
    ]


def test_a_check_with_something_open_is_judged_anew_whole() -> None:
    first = [said("network.reach", "pass", "port 1"), said("network.reach", "warn", "port 2")]
    assert settled(first, [said("network.reach", "fail", "port 1")]) == [said("network.reach", "fail", "port 1")]


def test_a_node_that_is_silent_in_the_second_look_blocks() -> None:
    silent = said("node.reached", "fail", "its probe stopped")
    assert settled([said("node.reached", "pass"), said("docker.version", "pass")], [silent]) == [said("docker.version", "pass"), silent]
