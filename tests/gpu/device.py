"""The device that the tests here run on, and the same example on both sides."""

import copy
import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from tinycnn import Tensor
from tinycnn.device import DeviceError, check_device
from tinycnn.nn import Module

COUNTERS = ("h2d", "d2h", "d2d", "launches", "mallocs", "syncs", "h2d_bytes", "d2h_bytes")


def cupy_or_skip():
    """CuPy, where it has a card, a real one or the emulated one."""
    try:
        check_device("cuda")
    except DeviceError as error:
        pytest.skip(f"needs a graphics card: {error}", allow_module_level=True)
    import cupy

    return cupy


def emulated(cupy):
    """Whether the device is the emulated one."""
    return cupy.cuda.runtime.is_hip


def counters():
    """What the emulated device has done so far."""
    runtime = ctypes.CDLL("libamdhip64.so.7")
    runtime.fakehip_counter.restype = ctypes.c_long
    return {name: runtime.fakehip_counter(i) for i, name in enumerate(COUNTERS)}


@contextmanager
def counted() -> Iterator[dict[str, int]]:
    """What the emulated device does within the block."""
    done: dict[str, int] = {}
    before = counters()
    yield done
    after = counters()
    done.update({name: after[name] - before[name] for name in COUNTERS})


def there(cupy, value):
    """An example's function or argument on the device."""
    if isinstance(value, Module):
        return copy.deepcopy(value).to("cuda")
    if isinstance(value, Tensor):
        return Tensor(cupy.asarray(value.array))
    if isinstance(value, np.ndarray):
        return cupy.asarray(value)
    if type(value) is tuple:
        return tuple(there(cupy, v) for v in value)
    return value
