"""How the time to make a plan grows: python -m tests.bench.render. Ratios of one run; seconds only for orientation."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from roles.plan.plan import make
from roles.plan.show import readable
from tests.unit.sources import source

ROUNDS = 5


def best(work: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    make(source())  # reads the data files once
    base = best(lambda: make(source()))
    print(f"{'nodes':>6}  {'replicas':>8}  {'plan':>9}  {'ratio to 2 nodes':>16}  {'as JSON':>9}  {'as text':>9}")
    for replicas in (1, 8, 32, 128):
        inventory = source(replicas=replicas)
        plan = make(inventory)
        made = best(lambda i=inventory: make(i))
        as_json = best(lambda p=plan: json.dumps(p.data(), indent=2))
        as_text = best(lambda p=plan: readable(p, explain=True))
        print(f"{2 * replicas:>6}  {replicas:>8}  {made:>8.3f}s  {made / base:>15.1f}x  {as_json:>8.3f}s  {as_text:>8.3f}s")
    one = source("vllm-ascend/a2-multi", 256)
    print(f"   256  {'1':>8}  {best(lambda: make(one)):>8.3f}s  {best(lambda: make(one)) / base:>15.1f}x   (one replica of dp 256)")


if __name__ == "__main__":
    main()
