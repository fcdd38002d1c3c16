"""Memory that is kept: handed out again when the last array over it is gone, and never before."""

import gc
import os
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinycnn as tc
from tinycnn.kernels import memory
from tinycnn.kernels.memory import ALIGNMENT, SMALL, empty, peak_memory
from tinycnn.models import build

LARGE = (50, 1000)  # of float32: 200,000 bytes


@pytest.fixture(autouse=True)
def shelves(monkeypatch):
    fresh = memory._Shelves(memory.LIMIT)
    monkeypatch.setattr(memory, "_shelves", fresh)
    monkeypatch.setattr(memory._Loan, "shelves", fresh)
    return fresh


def address(array):
    return array.ctypes.data


def unused(shelves):
    return sum(len(piece) - ALIGNMENT for shelf in shelves.shelves for piece in shelf)


def test_an_array_lies_where_the_last_one_of_its_size_lay():
    x = empty(LARGE, np.float32)
    where = address(x)
    del x
    y = empty((1000, 25), np.float64)
    assert address(y) == where
    assert (y.shape, y.dtype) == ((1000, 25), np.float64)
    assert y.flags.c_contiguous
    assert y.flags.writeable
    assert type(y) is np.ndarray


def test_the_memory_that_came_back_last_goes_out_first():
    x, y = empty(LARGE, np.float32), empty(LARGE, np.float32)
    first, last = address(x), address(y)
    assert first != last
    del x
    del y
    z = empty(LARGE, np.float32)
    assert address(z) == last


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[3:],
        lambda x: x[1:].T[::2],
        lambda x: x.reshape(-1).view(np.int32)[5:7],
        lambda x: np.broadcast_to(x[0], (4, 1000)),
        lambda x: memoryview(x),
        lambda x: np.asarray(memoryview(x[2:])),
        lambda x: np.lib.stride_tricks.as_strided(x, (2, 2), (4, 4)),
        lambda x: x.T.flat,
    ],
)
def test_whatever_refers_to_an_array_keeps_its_memory(view):
    x = empty(LARGE, np.float32)
    where = address(x)
    v = view(x)
    del x
    y = empty(LARGE, np.float32)
    assert address(y) != where
    del v
    z = empty(LARGE, np.float32)
    assert address(z) == where


def test_memory_comes_back_from_a_cycle():
    x = empty(LARGE, np.float32)
    where = address(x)
    cycle = [x]
    cycle.append(cycle)
    del x, cycle
    gc.collect()
    y = empty(LARGE, np.float32)
    assert address(y) == where


@pytest.mark.parametrize("size", [SMALL, SMALL + 1, 100_000, 1 << 17, 5_000_001])
def test_memory_is_aligned(size):
    held = [empty((size,), np.uint8) for _ in range(5)]
    assert all(address(x) % ALIGNMENT == 0 for x in held)
    for x in held:
        x[:] = 1  # all of it is there


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 5), (SMALL - 1,)])
def test_what_is_small_is_left_to_numpy(shape, shelves):
    x = empty(shape, np.uint8)
    assert x.flags.owndata
    assert (x.shape, x.dtype) == (shape, np.uint8)
    del x
    assert unused(shelves) == 0


def test_a_negative_size_is_refused_as_by_numpy():
    with pytest.raises(ValueError, match="negative"):
        empty((-3, 5), np.float32)


def test_what_is_unused_has_a_limit(monkeypatch):
    shelves = memory._Shelves(10 << 17)
    monkeypatch.setattr(memory, "_shelves", shelves)
    monkeypatch.setattr(memory._Loan, "shelves", shelves)
    held = [empty((1 << 17,), np.uint8) for _ in range(10)]
    del held
    assert unused(shelves) == 10 << 17
    held = [empty((1 << 18,), np.uint8) for _ in range(3)]
    del held
    assert unused(shelves) <= 6 << 17  # what nobody asked for any more has gone
    held = [empty((1 << 18,), np.uint8) for _ in range(100)]
    del held
    assert unused(shelves) <= 10 << 17


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 6)), max_size=40))
def test_living_arrays_never_overlap(steps):
    """Each step drops an array, or a piece of one, and asks for a new one."""
    shelves, living = memory._shelves, {}
    for number, (place, pieces) in enumerate(steps):
        x = empty((pieces * SMALL,), np.uint8)
        x[:] = number
        living[place] = (number, x[::3] if number % 2 else x)
        del x
        for value, array in living.values():
            assert (array == value).all()
        assert unused(shelves) <= memory.LIMIT


def test_threads_never_get_the_same_memory():
    def fill(value):
        for _ in range(200):
            x, y = empty(LARGE, np.float32), empty(LARGE, np.float32)
            x.fill(value)
            y.fill(-value)
            if not ((x == value).all() and (y == -value).all()):
                return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(fill, range(1, 9)))


def test_from_the_second_step_on_training_allocates_nothing_large(shelves):
    network = build("exercise", (1, 60, 60))
    optimizer = tc.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    images, labels = tc.randn(32, 1, 60, 60), tc.tensor(np.ones((32, 1), np.float32))

    def step():
        optimizer.zero_grad()
        tc.nn.functional.binary_cross_entropy_with_logits(network(images), labels).backward()
        optimizer.step()

    step()
    tracemalloc.start()
    step()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert unused(shelves) > 8 << 20
    assert peak < 2 << 20


FORK = """
import os
import numpy as np
from tinycnn.kernels.memory import empty
x, y = empty((100, 1000), np.float32), empty((100, 1000), np.float32)
x.fill(1)
del y
child = os.fork()
if not child:
    x.fill(2)
    empty((100, 1000), np.float32).fill(3)
    os._exit(0)
os.waitpid(child, 0)
assert (x == 1).all()
"""

AT_THE_END = """
import ctypes, json
import numpy as np
import tinycnn as tc
from tinycnn.kernels import memory
json.kept = memory.empty((100, 1000), np.float32)
json.cycle = [memory.empty((100, 1000), np.float32)]
json.cycle.append(json.cycle)
for module in (memory, json):  # somebody holds them: they lose their names, the last first
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(module))
"""


def run(script):
    return subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_does_not_write_into_its_parents_arrays():
    result = run(FORK)
    assert result.returncode == 0, result.stderr


def test_arrays_that_outlive_their_modules_are_no_trouble():
    result = run(AT_THE_END)
    assert (result.returncode, result.stderr) == (0, "")


def test_peak_memory_is_counted_in_bytes():
    before = peak_memory()
    if before is None:
        pytest.skip("this system does not count")
    x = np.ones(before // 2 + (64 << 20), np.uint8)  # more than may be free of what was once used
    assert max(before, x.nbytes) < peak_memory() < before + 2 * x.nbytes
