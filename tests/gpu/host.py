"""CUDA kernels on NumPy arrays: each launch runs on the host, in several orders of its threads."""

import shutil
import sys
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tinycnn.kernels.cuda import launch as launching

ORDERS = 0, 1, 7  # threads and blocks ascending, descending, and shuffled from that seed


def host_modules_or_skip():
    """The class that compiles CUDA for the host."""
    if shutil.which("g++") is None:
        pytest.skip("kernels are compiled for the host by g++, which is not installed")
    kit = str(Path(__file__).parent / "emulated")
    if kit not in sys.path:
        sys.path.append(kit)
    from hostcuda import HostModule

    return HostModule


@cache
def compiled(source, expressions):
    return host_modules_or_skip()(code=source, name_expressions=expressions)


def instances():
    """Every kernel with every dtype it is made for, as C++ writes them."""
    yes_or_no = "false", "true"
    choices = {"T": ("float", "double"), "I": ("unsigned char", "int")}
    choices |= {"TURNED": yes_or_no, "POOL": yes_or_no}
    found = []
    for kernel, (template, _) in launching.signatures().items():
        words = [""]
        for parameter in template:
            words = [f"{w}, {choice}" for w in words for choice in choices[parameter]]
        found += [f"{kernel}<{w[2:]}>" if w else kernel for w in words]
    return tuple(found)


@contextmanager
def on_the_host(source=launching.SOURCE, expressions=None):
    """Within this block the CUDA backend runs on NumPy arrays, with these kernels. What it
    allocates holds NaN. The kernels are compiled together, or each by itself when it is needed.
    """

    def run(expression, device, blocks, arguments):
        together = (expression,) if expressions is None else expressions
        kernel = compiled(source, together).get_function(expression)
        run_in_all_orders(kernel, blocks, arguments)

    numpy = SimpleNamespace(empty=poisoned, ascontiguousarray=np.ascontiguousarray)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launching, "_run", run)
        patch.setattr(launching, "namespace", lambda like: numpy)
        yield


def run_in_all_orders(kernel, blocks, arguments):
    """Raises AssertionError where a result depends on the order."""
    arguments = [
        None if kind.startswith("*") and not isinstance(a, np.ndarray) else a
        for a, kind in zip(arguments, kernel.signature, strict=True)
    ]
    results = []
    for order in ORDERS:
        given = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
        kernel((blocks,), (launching.THREADS,), tuple(given), order=order)
        results.append([a for a in given if isinstance(a, np.ndarray)])
    for arrays in zip(*results, strict=True):
        assert len({a.tobytes() for a in arrays}) == 1, "the order of threads shows in the result"
    for array, result in zip(
        (a for a in arguments if isinstance(a, np.ndarray)), results[0], strict=True
    ):
        array[...] = result


def poisoned(shape, dtype):
    """An array whose bytes are all ones: NaN, the largest unsigned number, −1."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(bytearray(b"\xff" * size), dtype).reshape(shape)
