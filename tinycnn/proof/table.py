"""The proof table: every subject over its generated cases, several at a time, as text."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

from tinycnn.proof.prove import Row, prove
from tinycnn.proof.stacks import NETWORKS
from tinycnn.proof.subjects import OWN_KERNELS

HEADERS = ("subject", "backend", "cases", "method", "first", "second", "float32", "kinks", "wrong")
WIDTHS = (34, 9, 5, 23, 7, 7, 8, 5, 5)

# A process a core, so in each of them nothing else shares the work out.
ONE_THREAD = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def plan(names: Sequence[str], backend: str | None, cases: int) -> list[tuple[str, str, int]]:
    """What to prove, on which backend and with how many cases: on the one that is named, or on
    each where they differ. A network takes the time of ten operations and gets an eighth of the
    cases.

    >>> plan(["arithmetic.exp", "nn.Conv2d"], None, 200)
    [('arithmetic.exp', 'both', 200), ('nn.Conv2d', 'reference', 200), ('nn.Conv2d', 'cpu', 200)]
    """
    todo = []
    for name in names:
        backends = ("reference", "cpu") if name in OWN_KERNELS else ("both",)
        share = -(-cases // 8) if name in NETWORKS else cases
        todo += [(name, each, share) for each in ((backend,) if backend else backends)]
    return todo


def rows(todo: Sequence[tuple[str, str, int]]) -> Iterator[Row]:
    """The rows in order, each as soon as it and those before it are done.

    The work is shared among as many processes as there are cores. They are begun anew, not
    forked: a forked process inherits Numba's and BLAS's threads in a state nobody knows.
    """
    workers = min(_cores(), len(todo))
    with (
        _one_thread_each(),
        ProcessPoolExecutor(workers, get_context("spawn"), _leave_interrupts_to_parent) as pool,
    ):
        try:
            yield from pool.map(prove, *zip(*todo, strict=True))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _cores() -> int:
    """Those this process may use, where the system tells."""
    known = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1


def _leave_interrupts_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """What processes begun in this block find in their environment."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def cells(row: Row) -> tuple[str, ...]:
    """A row as text. Errors are relative to the sum of the absolute values of the terms that a
    derivative adds up; those of float32 gradients in units of its last place.
    """
    checked = row.method.items()
    method = ", ".join(f"{how} {n}" if len(checked) > 1 else how for how, n in checked)
    return (
        row.name,
        row.backend,
        str(row.cases),
        method,
        f"{row.first:.0e}" if row.first else "0",
        f"{row.second:.0e}" if row.second else "0",
        f"{row.ulp:.1f} ulp",
        str(row.kinks),
        str(row.failures),
    )


def as_text(line: Sequence[str]) -> str:
    """A line of the table for a terminal."""
    return "  ".join(cell.ljust(width) for cell, width in zip(line, WIDTHS, strict=True)).rstrip()


def as_markdown(line: Sequence[str]) -> str:
    """A line of the table for a page."""
    return f"| {' | '.join(line)} |"


def markdown_head() -> list[str]:
    """The two lines above a table in Markdown."""
    return [as_markdown(HEADERS), "|---" * len(HEADERS) + "|"]


def verdict(found: Sequence[Row]) -> str:
    """The table in a sentence."""
    cases, wrong = sum(row.cases for row in found), sum(row.failures for row in found)
    subjects = len({row.name for row in found})
    result = f"{wrong} with a wrong gradient" if wrong else "every gradient right"
    return f"{subjects} subject{'s' * (subjects != 1)}, {cases} cases: {result}"
