"""The process of one library: takes orders as lines of JSON, gives answers likewise.

    python -m benchmarks.worker tinycnn

`{"do": "prepare", "mode": …, "kind": …, "sizes": …}` is answered by some of the case's results,
`{"do": "measure", "mode": …, "seconds": …}` by the times of calls in seconds, and
`{"do": "forget", "mode": …}` makes room for the next case.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from importlib import import_module
from typing import Any

from benchmarks.task import Task, sample

LEAST = 2e-4  # seconds that two readings of the clock should be apart
AWAKE = 0.01  # seconds of calls before the first that counts: caches and threads wake up


def timed(task: Task, repeats: int) -> float:
    """Seconds of one call, the mean of so many."""
    call = task.call
    began = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - began) / repeats


class Worker:
    """A library, and one case in each of its modes.

    Attributes:
        side: the library's module in `benchmarks.sides`.
        tasks: by mode, with how often one is called between two readings of the clock.
    """

    def __init__(self, side: Any) -> None:
        self.side = side
        self.tasks: dict[str, tuple[Task, int]] = {}

    def prepare(self, mode: str, kind: str, sizes: dict[str, Any]) -> list[list[float]]:
        """Make a case ready, compiled and warm; gives a sample of its results."""
        task: Task = getattr(self.side.side(mode), kind)(**sizes)
        results = sample(task.results())
        task.call()
        repeats = max(1, round(LEAST / min(timed(task, 1) for _ in range(3))))
        self.tasks[mode] = task, repeats
        return results

    def measure(self, mode: str, seconds: float) -> list[float]:
        """Call for about so long; gives the time of each call."""
        task, repeats = self.tasks[mode]
        began = time.perf_counter()
        while time.perf_counter() - began < AWAKE:
            timed(task, repeats)
        times: list[float] = []
        began = time.perf_counter()
        while not times or time.perf_counter() - began < seconds:
            times.append(timed(task, repeats))
        return times

    def forget(self, mode: str) -> None:
        """Drop a mode's case and what belongs to it."""
        self.tasks.pop(mode, None)
        if hasattr(self.side, "forget"):
            self.side.forget()
        gc.collect()


def main() -> None:
    """Serve until there are no more orders."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # a library that prints does not disturb
    worker = Worker(import_module(f"benchmarks.sides.{sys.argv[1]}"))
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = {"answer": getattr(worker, order.pop("do"))(**order)}
        except Exception as trouble:
            answer = {"trouble": f"{type(trouble).__name__}: {trouble}".splitlines()[0]}
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
