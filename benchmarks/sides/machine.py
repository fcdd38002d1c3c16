"""What the machine can do at best: a large matrix product and a copy, through NumPy."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks.task import Task, noise

THREADS = len(os.sched_getaffinity(0))


class Machine:
    """The two limits."""

    def matmul(self, side: int) -> Task:
        """A product of two square matrices in float32, by NumPy's BLAS with all its threads."""
        a, b, c = noise((side, side)), noise((side, side), seed=1), np.empty((side, side), "f")
        return Task(lambda: np.matmul(a, b, out=c), lambda: [])

    def copy(self, numbers: int) -> Task:
        """An array far larger than the caches copied, each thread a part."""
        source = np.ones(numbers, np.float32)
        parts = list(
            zip(
                np.array_split(np.empty_like(source), THREADS),
                np.array_split(source, THREADS),
                strict=True,
            )
        )
        pool = ThreadPoolExecutor(THREADS)
        return Task(lambda: list(pool.map(lambda pair: np.copyto(*pair), parts)), lambda: [])


def side(mode: str) -> Machine:
    """There is one mode."""
    return Machine()
