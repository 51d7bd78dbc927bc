"""What is asked of GPUs of any maker."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from roles.accelerators.words import cards
from roles.run.checks import Answer, Case, fail, good, skip, warn


def complete(case: Case, there: Collection[int], unread: str, look: str) -> Answer:
    """`look` is the command that says why a GPU is gone."""
    wanted = case.known.hardware.devices
    if not there:
        return skip(unread)
    missing = set(case.known.numbers) - set(there)
    if missing:
        seen = f"{cards(missing, 'GPU')} not there: {len(there)} of {wanted}"
        return fail(seen, cards(case.known.numbers, "GPU"), f'{look}, then reboot; or choose others with "devices"')
    if len(there) < wanted:
        return warn(f"{len(there)} of {wanted} GPUs; the plan's are there", str(wanted), f"{look}, then reboot")
    return good(f"{len(there)} GPUs")


def free(case: Case, used: Mapping[int, int], processes: Iterable[tuple[int, int]], files: str) -> Answer:
    """MB used of each GPU, and GPU and MB of each process: what nobody shows is held by somebody all the same."""
    limit, without = case.known.hardware.idle_mb or 0, dict(used)
    for gpu, mb in processes:
        if gpu in without:
            without[gpu] -= mb
    hidden = {n: mb for n, mb in without.items() if mb > limit}
    if hidden:
        each = ", ".join(f"{n}: {mb} MB" for n, mb in hidden.items())
        seen = f"{cards(hidden, 'GPU')}: memory in use that no process shows ({each})"
        fix = f"fuser -v {files} names who has them; a zombie's memory comes back when its parent ends, else reboot"
        return fail(seen, f"at most {limit} MB", fix)
    return good(f"at most {max(without.values())} MB in use without a process")
