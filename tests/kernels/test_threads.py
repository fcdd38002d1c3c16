"""Sharing work among threads: every item once, the same bits, and no way to get stuck."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinycnn as tc
from tinycnn.kernels import cpu, threads
from tinycnn.kernels.cpu.jit import share

PLENTY = 1 << 40  # of work: always shared


@pytest.fixture(autouse=True)
def number():
    before = tc.get_num_threads()
    yield before
    tc.set_num_threads(before)


def meeting(number, then=lambda start: None):
    """A kernel that returns only when so many threads are in it at once."""
    barrier = threading.Barrier(number)

    def body(start, stop):
        barrier.wait(timeout=20)
        then(start)

    return body


def run(script, **environment):
    return subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_number_of_threads_is_set_as_in_pytorch():
    tc.set_num_threads(3)
    assert tc.get_num_threads() == 3


@pytest.mark.parametrize("number", [0, -1])
def test_less_than_one_thread_is_refused(number):
    with pytest.raises(ValueError, match=f"set_num_threads: {number} threads"):
        tc.set_num_threads(number)


def test_half_a_thread_is_refused():
    with pytest.raises(TypeError):
        tc.set_num_threads(1.5)


@settings(deadline=None, derandomize=True)
@given(st.integers(0, 40), st.integers(1, 9), st.integers(0, 10 * threads.WORTH_SHARING))
def test_every_item_is_worked_on_once(count, number, work):
    tc.set_num_threads(number)
    hits = np.zeros(count, int)

    def body(start, stop):
        hits[start:stop] += 1

    share(work, body, count)
    assert (hits == 1).all()


@pytest.mark.parametrize("number", [2, 5, 3])  # more, and then fewer
def test_as_many_threads_as_were_asked_for_work_at_once(number):
    tc.set_num_threads(number)
    for pause in (0, 0, 0.02):  # the workers still look out, or are asleep
        time.sleep(pause)
        share(PLENTY, meeting(number), 9)


def test_little_work_is_not_shared():
    tc.set_num_threads(2)
    share(2 * threads.WORTH_SHARING - 1, meeting(1), 9)


def test_a_caller_is_not_kept_waiting_for_a_thread_that_is_late(monkeypatch):
    monkeypatch.setattr(threads._Worker, "give", lambda worker, call: None)
    tc.set_num_threads(4)
    ranges = []
    share(PLENTY, lambda start, stop: ranges.append((start, stop)), 8)
    assert ranges == [(0, 2), (2, 4), (4, 6), (6, 8)]


def test_threads_do_not_show_in_the_bits():
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=(2, 9, 5, 60, 45)).astype(np.float32)
    mean, inv_std, weight = rng.normal(size=(3, 5)).astype(np.float32)
    results = []
    for number in (1, 2, 3, 8):
        tc.set_num_threads(number)
        arrays = [cpu.sigmoid(x), *cpu.moments(x)]
        arrays += cpu.batch_norm_grad(g, x, mean, inv_std, weight)
        results.append([a.tobytes() for a in arrays])
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_an_error_reaches_the_caller_from_whichever_thread(failing):
    tc.set_num_threads(3)
    finished = []

    def fail(start):
        if start == failing:
            raise MemoryError(f"part {start}")
        time.sleep(0.01)
        finished.append(start)

    with pytest.raises(MemoryError, match=f"part {failing}"):
        share(PLENTY, meeting(3, fail), 3)
    assert len(finished) == 2  # nobody is at work any more
    share(PLENTY, meeting(3), 3)


def test_an_interruption_reaches_the_caller_and_leaves_the_threads_of_use():
    tc.set_num_threads(2)

    def interrupted(start):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        share(PLENTY, meeting(2, interrupted), 2)
    share(PLENTY, meeting(2), 2)


def test_arrays_are_let_go_when_the_work_is_done():
    tc.set_num_threads(2)
    x = np.zeros(10)
    before = sys.getrefcount(x)
    barrier = threading.Barrier(2)
    share(PLENTY, lambda start, stop, x: barrier.wait(timeout=20), 2, x)
    deadline = time.monotonic() + 10
    while sys.getrefcount(x) > before:  # a worker that has lost its core is a little late
        assert time.monotonic() < deadline


def test_a_thread_that_is_late_holds_on_to_nothing_and_helps_again_when_it_is_back(monkeypatch):
    tc.set_num_threads(2)
    share(PLENTY, meeting(2), 2)
    worker, back = threads._pool.workers[0], threading.Event()

    def stay_away(*_):
        if threading.current_thread() is worker.thread:
            back.wait(timeout=20)

    monkeypatch.setattr(worker, "wait", stay_away)
    share(PLENTY, meeting(2), 2)
    x = np.zeros(10)
    before = sys.getrefcount(x)
    for _ in range(5):
        share(PLENTY, lambda start, stop, x: None, 2, x)
    assert sys.getrefcount(x) == before
    assert worker.bell.qsize() <= 1
    back.set()
    share(PLENTY, meeting(2), 2)


def test_several_threads_may_share_their_work_at_once():
    tc.set_num_threads(2)
    x = np.random.default_rng(0).normal(size=(32, 8, 60, 60)).astype(np.float32)
    expected = cpu.relu(x).tobytes()
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: cpu.relu(x).tobytes(), range(24)))
    assert all(result == expected for result in results)


def test_a_body_may_share_its_work_in_turn():
    tc.set_num_threads(3)
    hits = np.zeros((6, 5), int)

    def row(start, stop):
        for i in range(start, stop):
            share(PLENTY, lambda a, b, i=i: hits[i, a:b].__iadd__(1), 5)

    share(PLENTY, row, 6)
    assert (hits == 1).all()


FORK = """
import os, sys, threading, time
import numpy as np
import tinycnn as tc
from tinycnn.kernels import cpu
from tinycnn.kernels.cpu.jit import share
tc.set_num_threads(2)
x = np.linspace(-1, 1, 1 << 18, dtype=np.float32)
expected = cpu.relu(x).tobytes()
over = threading.Event()
def elsewhere():
    while not over.is_set():
        cpu.relu(x)
others = [threading.Thread(target=elsewhere) for _ in range({others})]
for thread in others:
    thread.start()
for _ in range(3):
    child = os.fork()
    if not child:
        over.set()
        both = threading.Barrier(2)
        share(1 << 40, lambda start, stop: both.wait(timeout=20), 2)
        right = all(cpu.relu(x).tobytes() == expected for _ in range(4))
        sys.exit(0 if right else 1)  # not os._exit: the threads are to be stopped
    assert os.waitpid(child, 0)[1] == 0
    assert cpu.relu(x).tobytes() == expected
over.set()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("others", [0, 2])
def test_a_forked_child_gets_threads_of_its_own(others):
    result = run(FORK.format(others=others))
    assert result.returncode == 0, result.stderr


AT_THE_END = """
import atexit, threading
import numpy as np
import tinycnn as tc
from tinycnn.kernels import cpu
x = np.ones(1 << 20, np.float32)
atexit.register(lambda: print(int(cpu.relu(x).sum())))  # after the threads have been stopped
tc.set_num_threads(3)
cpu.relu(x)
def for_ever():
    while True:
        cpu.relu(x)
threading.Thread(target=for_ever, daemon=True).start()
cpu.relu(x)
"""


def test_the_process_ends_though_threads_wait_or_work():
    result = run(AT_THE_END)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "1048576\n"


def told(**environment):
    result = run("import tinycnn; print(tinycnn.get_num_threads())", **environment)
    assert result.stderr == ""
    return int(result.stdout)


def test_as_many_threads_as_the_process_may_use_unless_told_otherwise():
    cores = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count()))(0)
    assert 1 <= told(NUMBA_NUM_THREADS="") <= len(cores)
    assert told(NUMBA_NUM_THREADS="7") == 7
    assert told(NUMBA_NUM_THREADS="0") == told(NUMBA_NUM_THREADS="many") <= len(cores)


@pytest.mark.parametrize(
    ("text", "cores"), [("200000 100000", 2), ("150000 100000", 2), ("max 100000", None)]
)
def test_a_containers_quota_limits_the_threads(text, cores, tmp_path):
    file = tmp_path / "cpu.max"
    file.write_text(text)
    assert threads._quota(file) == cores


def test_where_there_is_no_quota_there_is_no_limit():
    assert threads._quota(Path("/no/such/file")) is None
