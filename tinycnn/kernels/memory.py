"""Keeping memory that every training step needs again."""

import ctypes
import re
import sys
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from tinycnn.kernels.types import Array, Shape

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # their numbers in glibc's malloc.h

SMALL = 1 << 16  # bytes: malloc itself keeps what is smaller
LIMIT = 1 << 30  # bytes that may lie unused, pages included that were never touched
ALIGNMENT = 64  # bytes: of a cache line, and of the longest vector register


def empty(shape: Shape, dtype: Any) -> Array:
    """As `np.empty`, but a large array lies in memory that an earlier one has left.

    The system clears every page that it lends, which takes longer than a kernel takes to fill it.
    So memory stays with the process when the last array over it is gone (a view is one, too), for
    the next of about its size. Such an array begins at a multiple of 64 bytes.

    >>> y = empty((32, 8, 60, 60), np.float32)
    >>> address = y.ctypes.data
    >>> del y
    >>> empty((32, 8, 60, 60), np.float32).ctypes.data == address
    True
    """
    dtype = np.dtype(dtype)
    size = prod(shape) * dtype.itemsize
    if not SMALL <= size <= LIMIT:
        return np.empty(shape, dtype)
    memory = _shelves.take(size)
    return np.ndarray(shape, dtype, _Loan(size, np.uint8, memory, memory.offset))


class _Memory(Array):
    """A piece of memory. It has a type of its own because an array over a loan would hold what is
    under the loan instead, if that were a plain array."""

    exponent: int  # of its size
    offset: int  # of its first aligned byte


class _Shelves:
    """Memory that nobody uses. Its sizes are powers of two, and there is a shelf for each.

    Threads and finalizers come here without a lock: they take and put back whole pieces.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._empty_all()

    def _empty_all(self) -> None:
        self.shelves: list[list[_Memory]] = [[] for _ in range(64)]
        self.room = [0] * 64  # the most pieces that a shelf has held

    def take(self, size: int) -> _Memory:
        """A piece of at least this size, if possible the one that came back last: it may still be
        in the processor's cache."""
        exponent = (size - 1).bit_length()
        try:
            return self.shelves[exponent].pop()
        except IndexError:
            memory = _Memory((1 << exponent) + ALIGNMENT, np.uint8)
        memory.exponent, memory.offset = exponent, -memory.ctypes.data % ALIGNMENT
        return memory

    def put_back(self, memory: Any) -> None:
        """Keep a piece. If that becomes too much, others are needed now than before, so that all
        are given up."""
        shelf = self.shelves[memory.exponent]
        shelf.append(memory)
        if len(shelf) > self.room[memory.exponent]:
            self.room[memory.exponent] = len(shelf)
            if sum(pieces << exponent for exponent, pieces in enumerate(self.room)) > self.limit:
                self._empty_all()


_shelves = _Shelves(LIMIT)


class _Loan(Array):
    """A piece of memory in use. It lives as long as there is an array over it."""

    shelves = _shelves  # at the interpreter's end modules lose their names before this is deleted

    def __del__(self) -> None:
        self.shelves.put_back(self.base)


def peak_memory() -> int | None:
    """The most bytes of memory that this process has had at a time; None where nobody counts.

    >>> peak_memory() is None or peak_memory() > 1 << 20
    True
    """
    status = Path("/proc/self/status")  # Linux: getrusage there counts what the parent had, too
    if status.exists() and (line := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return 1024 * int(line[1])
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def keep_freed_memory(limit: int = 1 << 29) -> bool:
    """Let the process keep up to `limit` bytes that it has freed, for its next arrays.

    glibc gives large arrays back to the system at once, which must clear every page before it
    lends it again: at batch 32 that is 7,000 page faults and a third of the time of a training
    step. This changes malloc for the whole process, so it is for the one who owns the process to
    call. Returns whether the system's malloc is glibc's and has agreed.

    >>> keep_freed_memory() in (True, False)
    True
    """
    if sys.platform != "linux" or not hasattr(libc := ctypes.CDLL(None), "mallopt"):
        return False
    largest_threshold = 32 << 20  # that glibc takes
    return bool(
        libc.mallopt(MMAP_THRESHOLD, largest_threshold) and libc.mallopt(TRIM_THRESHOLD, limit)
    )
