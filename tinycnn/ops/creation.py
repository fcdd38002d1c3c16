"""Tensors from a shape. They are made by NumPy and copied to where they are to live, so the numbers
are the same on every device.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinycnn.device import to_device
from tinycnn.kernels.namespace import namespace
from tinycnn.tensor import Tensor


def full(
    shape: tuple[int, ...],
    value: float,
    dtype: Any = np.float32,
    requires_grad: bool = False,
    device: str = "cpu",
) -> Tensor:
    """One value everywhere."""
    return Tensor(to_device(np.full(shape, value, dtype), device), requires_grad)


def zeros(
    *shape: Any, dtype: Any = np.float32, requires_grad: bool = False, device: str = "cpu"
) -> Tensor:
    """0 everywhere.

    >>> zeros(2, 3).shape
    (2, 3)
    """
    return full(_shape(shape), 0, dtype, requires_grad, device)


def ones(
    *shape: Any, dtype: Any = np.float32, requires_grad: bool = False, device: str = "cpu"
) -> Tensor:
    """1 everywhere."""
    return full(_shape(shape), 1, dtype, requires_grad, device)


def _shape(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """`zeros(2, 3)` and `zeros((2, 3))` are the same."""
    return tuple(sizes[0]) if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes


def full_like(x: Tensor, value: float) -> Tensor:
    """One value everywhere, in the shape and dtype of x."""
    return Tensor(namespace(x.array).full_like(x.array, value))


def zeros_like(x: Tensor) -> Tensor:
    """0 everywhere, in the shape and dtype of x."""
    return full_like(x, 0)


def ones_like(x: Tensor) -> Tensor:
    """1 everywhere, in the shape and dtype of x."""
    return full_like(x, 1)


def eye(n: int, dtype: Any = np.float32, device: str = "cpu") -> Tensor:
    """The identity matrix (n, n)."""
    return Tensor(to_device(np.eye(n, dtype=dtype), device))


def arange(
    start: float, end: float | None = None, step: float = 1, dtype: Any = None, device: str = "cpu"
) -> Tensor:
    """start, start + step, … below end; `arange(n)` counts from 0. Integers give int64, else
    float32.
    """
    start, end = (0, start) if end is None else (start, end)
    integers = all(isinstance(v, int | np.integer) for v in (start, end, step))
    dtype = dtype or (np.int64 if integers else np.float32)
    return Tensor(to_device(np.arange(start, end, step).astype(dtype), device))


def linspace(
    start: float, end: float, steps: int, dtype: Any = np.float32, device: str = "cpu"
) -> Tensor:
    """`steps` numbers at equal distances from start to end, both included."""
    return Tensor(to_device(np.linspace(start, end, steps).astype(dtype), device))
