"""Ascend: nobody else has the cards or their memory."""

from __future__ import annotations

from roles.accelerators import ascend
from roles.accelerators.checks.cards import UNREAD
from roles.accelerators.others import strangers
from roles.accelerators.parse.hccn import PROCESS
from roles.accelerators.words import cards, gb
from roles.run.checks import Answer, Case, check, fail, good, skip, warn

OURS = "our engine serves"


@check("ascend.idle", "The cards' memory is free", why="what nobody shows still takes the room of weights (VA#9888)", vendors=("ascend",))
def idle(case: Case) -> Answer:
    shown, chips = ascend.npu_table(case.seen), ascend.chips(case)
    if shown is None or not chips:
        return skip(UNREAD)
    if ascend.serving(case):
        return good(OURS)
    limit = case.known.hardware.idle_mb or 0
    without = {c.number: c.used_mb - sum(p.mb for p in shown.on(c)) for c in chips}
    hidden = {n: mb for n, mb in without.items() if mb > limit}
    if not hidden:
        return good(f"at most {gb(max(without.values()))} in use without a process")
    each = ", ".join(f"{n}: {mb} MB" for n, mb in sorted(hidden.items()))
    return fail(
        f"{cards(hidden)}: memory in use that no process shows ({each})",
        f"at most {limit} MB",
        "end what left it: a zombie's parent (ps -eo pid,ppid,stat,args | awk '$3 ~ /^[DZ]/') or a hidden container; else reboot",
    )


@check("ascend.holders", "No other process has the cards open", why="an NPU takes one job", vendors=("ascend",))
def holders(case: Case) -> Answer:
    shown = ascend.npu_table(case.seen)
    listed = [(p.pid, p.name, c.number) for c in ascend.chips(case) for p in (shown.on(c) if shown else [])]
    found = strangers(case, ascend.held(case), listed, "card")
    if found:
        return found
    return good(OURS if ascend.serving(case) else "nobody has them open")


@check("ascend.hccp", "No communication process is left over", why="the next start ends in EJ0001", vendors=("ascend",))
def leftover(case: Case) -> Answer:
    told, shown = ascend.ask(case.seen, PROCESS, case.known.numbers), ascend.npu_table(case.seen)
    if not told:
        return None
    busy = {n for numbers in ascend.held(case).values() for n in numbers}
    busy |= {c.number for c in ascend.chips(case) if shown and shown.on(c)}
    left = [n for n, lives in told.items() if lives and n not in busy]
    if left:
        seen = f"{cards(left)}: device hccp process exists, with no job on it"
        return warn(seen, "none without a job", "wait 10 s and look again; if it stays, reboot the node")
    return good("no leftover")
