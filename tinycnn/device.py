"""Where an array lives: in the computer's memory ("cpu", NumPy's) or on a graphics card ("cuda",
CuPy's; "cuda:1" is the second one).

Only here and in `kernels/` does the library know of such a difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import numpy as np

from tinycnn.errors import InputError
from tinycnn.kernels.types import Array


class DeviceError(InputError):
    """A device that is not there, or of which the message says what it lacks."""


class OutOfMemory(DeviceError, MemoryError):
    """A graphics card has less memory left than is wanted; the message says where."""


def names_device(text: Any) -> bool:
    """Whether this is a device's name (and not, say, a dtype's).

    >>> names_device("cuda:1"), names_device("float32")
    (True, False)
    """
    return isinstance(text, str) and re.fullmatch(r"cpu|cuda(:\d+)?", text) is not None


def device_of(array: Any) -> str:
    """The name of the device that holds an array.

    >>> device_of(np.zeros(3))
    'cpu'
    """
    place = getattr(array, "device", "cpu")  # NumPy's says "cpu" itself
    return place if isinstance(place, str) else f"cuda:{place.id}"


def is_on(array: Any, device: str) -> bool:
    """Whether an array is on a device; "cuda" is the first card.

    >>> is_on(np.zeros(3), "cpu"), is_on(np.zeros(3), "cuda")
    (True, False)
    """
    return device_of(array) in (device, f"{device}:0")


def to_device(array: Array, device: str) -> Array:
    """The array on a device: itself if it is there already, else a copy.

    Raises:
        DeviceError: there is no such device, in one line that says what is missing.

    >>> x = np.zeros(3)
    >>> to_device(x, "cpu") is x
    True
    """
    if not names_device(device):
        raise DeviceError(f"device {device!r}: there are 'cpu', 'cuda', 'cuda:1', …")
    if is_on(array, device):
        return array
    if device == "cpu":
        cupys: Any = array
        on_host: Array = cupys.get()
        return on_host
    cupy = _cupy(device)
    with cupy.cuda.Device(_number(device)):
        on_card: Array = cupy.asarray(array)
    return on_card


def check_device(device: str) -> None:
    """Complain now, not in the middle of the work, if there is no such device.

    >>> check_device("cpu")
    >>> check_device("gpu")
    Traceback (most recent call last):
    ...
    tinycnn.device.DeviceError: device 'gpu': there are 'cpu', 'cuda', 'cuda:1', …
    """
    to_device(np.zeros(0, np.float32), device)


def shortage(error: MemoryError) -> str:
    """What a graphics card lacks, and what to change, if it was CuPy that raised this; nothing if
    it is the computer's own memory that does not suffice.

    >>> shortage(MemoryError())
    ''
    """
    if not type(error).__module__.startswith("cupy"):
        return ""
    cupy = import_module("cupy")
    device, pool = cupy.cuda.Device(), cupy.get_default_memory_pool()
    free, total = device.mem_info
    free += pool.free_bytes()
    if limit := pool.get_limit():
        free, total = max(0, min(free, limit - pool.used_bytes())), limit
    wanted: Any = error
    sizes = [f"{size / 2**20:,.1f} MiB" for size in (wanted._size, free, total)]
    return (
        "cuda:{} ran out of memory: {} wanted, {} of {} free; make the batch smaller (--batch-size)"
    ).format(device.id, *sizes)


def disagreement(values: Iterable[Any]) -> str:
    """What to say of arrays among some values that are on several devices; nothing if they are on
    one. Scalars are at home everywhere.

    >>> disagreement([np.zeros(3), 2.0, None])
    ''
    """
    arrays = [v for v in values if hasattr(v, "dtype") and not isinstance(v, np.generic)]
    devices = sorted({device_of(array) for array in arrays})
    if len(devices) < 2:
        return ""
    return f"its arrays are on {' and '.join(devices)}; move them to one with .to()"


def _number(device: str) -> int:
    return int(device.partition(":")[2] or 0)


def _cupy(device: str) -> Any:
    """CuPy, if it is installed and sees that card."""
    try:
        cupy: Any = import_module("cupy")
    except ImportError as error:
        raise DeviceError(
            f"device {device!r}: CuPy is missing ({error}); pip install 'tinycnn[cuda13]', or "
            "[cuda12] where nvidia-smi says so"
        ) from error
    try:
        cards = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise DeviceError(f"device {device!r}: no NVIDIA driver or card: {error}") from error
    if _number(device) >= cards:
        raise DeviceError(f"device {device!r}: this computer has {cards} such card(s)")
    return cupy
