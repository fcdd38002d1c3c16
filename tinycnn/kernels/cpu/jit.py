"""What all kernels of the CPU share: how they are compiled, and how they use the cores."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import pairwise
from typing import Any, TypeVar

import numba

from tinycnn.kernels.types import Array

# The cores this process may use, or what the environment variable NUMBA_NUM_THREADS says.
_config: Any = numba.config
THREADS: int = _config.NUMBA_NUM_THREADS

# With less to do than this (in operations, roughly 20 µs) a second thread costs more than it saves.
WORTH_SHARING = 1 << 16

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def jit(function: Kernel) -> Kernel:
    """Compile a function of arrays at its first call, for the types it is called with.

    Sums may be reordered and contracted to fused multiply-adds, but NaN and infinity are kept:
    `nnan` and `ninf` are left out of the fast-math flags.
    """
    flags = {"contract", "reassoc", "nsz"}
    njit: Any = partial(numba.njit, nogil=True, error_model="numpy", fastmath=flags)
    try:
        return njit(cache=True)(function)
    except RuntimeError:  # no folder for the cache can be written: compile in every process
        return njit()(function)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(THREADS - 1, 1), thread_name_prefix="tinycnn")


# A forked child inherits the pool but not its threads, and would wait for them for ever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)


def share(work: int, body: Callable[..., None], count: int, *arguments: Any) -> None:
    """Call `body(start, stop, *arguments)` on ranges that make up range(count), one per thread.

    `body` is compiled without the interpreter's lock and must do the same for an item whichever
    range it is in: then the number of threads does not show in the bits of the result. Several
    threads of the caller may come here at once (the threading layer behind Numba's own
    `parallel=True` would end the process).
    """
    parts = min(THREADS, count) if work >= WORTH_SHARING else 1
    bounds = [count * i // parts for i in range(parts + 1)]
    mine, *theirs = pairwise(bounds)
    others = [_pool().submit(body, *part, *arguments) for part in theirs]
    body(*mine, *arguments)
    for other in others:
        other.result()


def same_dtype(first: Array, *others: Array | None) -> bool:
    """Whether no array would be promoted, so that one compiled signature serves."""
    return all(other is None or other.dtype == first.dtype for other in others)
