"""Sharing a kernel's items among threads.

Two cores that split a kernel of 100 µs gain 50 µs, unless the second must first be woken: a thread
that sleeps needs 50 µs to come to, and a step of training calls some fifteen such kernels. So a
worker that has nothing to do looks out for the next call for a millisecond, outside the
interpreter's lock, before it goes to sleep. What is right does not hang on that: parts are taken
from a list and results wait in a queue, looking out merely keeps both sides awake. Nor does a
caller wait for a worker that comes late; it takes that one's part, too.
"""

import atexit
import os
from collections.abc import Callable
from math import ceil
from operator import index
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

import numpy as np

# A part of fewer operations than this (of a kernel that is waiting for memory, some 9 µs) is not
# worth a thread of its own: handing it over and hearing back takes as long.
WORTH_SHARING = 1 << 16


def set_num_threads(number: int) -> None:
    """Let kernels use so many threads from now on; results do not depend on it.

    At the start it is the number of cores that the process may use, or what the environment
    variable `NUMBA_NUM_THREADS` says.

    >>> before = get_num_threads()
    >>> set_num_threads(1)
    >>> get_num_threads()
    1
    >>> set_num_threads(before)

    Raises:
        ValueError: the number is less than 1.
        TypeError: it is no whole number.
    """
    global _number
    if index(number) < 1:
        raise ValueError(f"set_num_threads: {number} threads; at least 1 is needed")
    _number = index(number)


def get_num_threads() -> int:
    """How many threads kernels use.

    >>> get_num_threads() >= 1
    True
    """
    return _number


def _available() -> int:
    """The cores that the process may use, or what the environment asks for."""
    asked = os.environ.get("NUMBA_NUM_THREADS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    affinity = getattr(os, "sched_getaffinity", None)  # Linux's
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(cores, _quota(Path("/sys/fs/cgroup/cpu.max")) or cores)


def _quota(file: Path) -> int | None:
    """How many cores' time a container may use: of every 100,000 µs "200000 100000" are two."""
    try:
        time, period = map(int, file.read_text().split())
    except (OSError, ValueError):  # no such file, or "max 100000"
        return None
    return ceil(time / period)


class _Call:
    """A call that is being shared: the parts nobody has taken yet, and what became of the rest."""

    def __init__(self, body: Callable[..., None], count: int, number: int, arguments: Any) -> None:
        self.body, self.arguments = body, arguments
        self.parts = [(count * i // number, count * (i + 1) // number) for i in range(number)]
        self.errors: SimpleQueue[BaseException | None] = SimpleQueue()

    def work(self, end: int) -> None:
        """Take parts from one end of the list until there are none left."""
        while self.parts:
            try:
                part = self.parts.pop(end)
            except IndexError:  # another thread was faster
                return
            try:
                self.body(*part, *self.arguments)
            except BaseException as error:
                self.errors.put(error)
            else:
                self.errors.put(None)


class _Worker:
    """A thread that helps with one call after another."""

    def __init__(self, place: int) -> None:
        from tinycnn.kernels.cpu.waiting import LOOKS, wait

        self.call: _Call | None = None  # the last one; whoever comes late has missed the others
        self.bell: SimpleQueue[None] = SimpleQueue()
        self.given = 0  # calls so far
        self.told, self.back = np.zeros((2, 1), np.int64)  # calls given and done, for `wait`
        # The caller needs the interpreter's lock until its own part is under way, and so do the
        # workers before this one; whoever finds it taken falls asleep.
        self.delay = 16 * place
        self.looks, self.wait = LOOKS, wait
        self.wait(self.back, 0, self.told, 0, 0, 0)  # compiled before the thread needs it
        self.thread = Thread(target=self._run, name=f"tinycnn-{place}", daemon=True)
        self.thread.start()

    def give(self, call: _Call | None) -> None:
        """Let it help with this call from now on, or end."""
        self.call = call
        self.given += 1
        if self.bell.empty():
            self.bell.put(None)

    def await_back(self) -> None:
        """Look out until it has done with the calls given and needs the lock no more."""
        self.wait(self.back, self.given, self.told, self.given, self.looks, 0)

    def _run(self) -> None:
        done = 0
        while True:
            self.wait(self.told, done + 1, self.back, done, self.looks, self.delay)
            self.bell.get()
            done, call = self.given, self.call
            if call is None:
                return
            call.work(-1)


class _Pool:
    """The workers, and who has them."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.workers: list[_Worker] = []

    def run(self, call: _Call, helpers: int) -> None:
        """Work on a call with so many workers."""
        while len(self.workers) < helpers:
            self.workers.append(_Worker(len(self.workers) + 1))
        chosen = self.workers[:helpers]
        for worker in chosen:
            worker.give(call)
        for worker in chosen:
            worker.told[0] = worker.given
        call.work(0)
        for worker in chosen:
            if call.errors.qsize() <= helpers:
                worker.await_back()
        errors = [call.errors.get() for _ in range(helpers + 1)]
        for error in errors:
            if error is not None:
                raise error

    def stop(self) -> None:
        """Let the workers end."""
        self.lock.acquire()  # for good: whoever comes later does its work alone
        for worker in self.workers:
            worker.give(None)
        for worker in self.workers:
            worker.thread.join()


_number, _pool = _available(), _Pool()


def share(work: int, body: Callable[..., None], count: int, *arguments: Any) -> None:
    """Call `body(start, stop, *arguments)` on ranges that make up range(count), one per thread.

    `body` is compiled without the interpreter's lock and must do the same for an item whichever
    range it is in: then the number of threads does not show in the bits of the result. `work` is
    the number of operations in all. Of several threads of the caller that come here at once, one
    gets the workers; the others do their work themselves, as does a body that comes here again.
    """
    parts, pool = min(_number, count, work // WORTH_SHARING), _pool
    if parts < 2 or not pool.lock.acquire(False):
        body(0, count, *arguments)
        return
    call = _Call(body, count, parts, arguments)
    try:
        pool.run(call, parts - 1)
    finally:
        call.parts, call.arguments = [], ()  # a worker may keep the call
        pool.lock.release()


def _begin_anew() -> None:
    """A forked child inherits the pool but not its threads, and would wait for them for ever."""
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
atexit.register(lambda: _pool.stop())
