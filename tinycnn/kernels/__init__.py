"""Floor 0: arrays in, arrays out. The same kernels several times, the fast ones tested against
the definition in `reference.py`.

`kernels.of(x).conv2d(...)` calls the fastest kernel that can take the array `x`; what a backend
lacks it takes from the reference.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np

from tinycnn.kernels.types import Array

__all__ = ["Array", "of", "use"]

BACKENDS = ("reference", "cpu")
_chosen: str | None = None


@cache
def _backend(dtype: np.dtype[Any], chosen: str | None) -> ModuleType:
    name = chosen or ("cpu" if find_spec("numba") is not None else "reference")
    return import_module(
        f"tinycnn.kernels.{name if dtype in (np.float32, np.float64) else 'reference'}"
    )


def of(x: Array) -> Any:
    """The backend for an array: Numba for float32 and float64, the reference for the rest.

    >>> float(of(np.zeros(1)).sigmoid(np.zeros(1))[0])
    0.5
    """
    return _backend(x.dtype, _chosen)


@contextmanager
def use(backend: str) -> Iterator[None]:
    """Within this block every kernel for float32 and float64 comes from the named backend:
    'reference' or 'cpu'.

    >>> with use("reference"):
    ...     of(np.zeros(1)).__name__
    'tinycnn.kernels.reference'
    """
    global _chosen
    if backend not in BACKENDS:
        raise ValueError(f"kernels.use: no backend {backend!r}; there are {', '.join(BACKENDS)}")
    before, _chosen = _chosen, backend
    try:
        yield
    finally:
        _chosen = before
