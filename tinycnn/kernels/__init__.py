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

# For the arrays of a library: the fast backend, and the package it needs.
FAST = {"numpy": ("cpu", "numba"), "cupy": ("cuda", "cupy")}
BACKENDS = ("reference", *(backend for backend, _ in FAST.values()))
_chosen: str | None = None


@cache
def _backend(kind: type, dtype: Any, chosen: str | None) -> ModuleType:
    name, package = FAST.get(kind.__module__.partition(".")[0], ("reference", "numpy"))
    lacking = chosen != name and find_spec(package) is None
    if lacking or chosen == "reference" or dtype not in (np.float32, np.float64):
        name = "reference"
    return import_module(f"tinycnn.kernels.{name}")


def of(x: Array) -> Any:
    """The backend for an array of float32 or float64: Numba for NumPy's, CUDA for CuPy's; the
    reference for all others.

    >>> float(of(np.zeros(1)).sigmoid(np.zeros(1))[0])
    0.5
    """
    kind: Any = type(x)  # mypy takes it for one that cannot be hashed
    return _backend(kind, x.dtype, _chosen)


@contextmanager
def use(backend: str) -> Iterator[None]:
    """Within this block the kernels come from the named backend: 'reference'; or 'cpu' or 'cuda',
    for the arrays these are for.

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
