"""x[index] and x[index] = value, by numbers, slices, masks, and arrays of indexes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinycnn.device import disagreement
from tinycnn.kernels.namespace import namespace
from tinycnn.kernels.types import Array
from tinycnn.ops import shape
from tinycnn.ops.inplace import assign
from tinycnn.tensor import Tensor


def getitem(x: Tensor, index: Any) -> Tensor:
    """x[index]: a view for numbers and slices, a copy for masks and arrays of indexes.

    >>> import tinycnn as tc
    >>> tc.arange(4)[tc.tensor([3, 0])]
    tensor([3, 0])
    """
    numbers, rest = numbers_first(_own(index, x.array))
    if numbers is not None:
        x = shape.getitem(x, numbers)
    return shape.getitem(x, rest)


def setitem(x: Tensor, index: Any, value: Any) -> None:
    """x[index] = value, in x's memory."""
    numbers, rest = numbers_first(_own(index, x.array))
    if numbers is not None:
        x = shape.getitem(x, numbers)
    assign(x, "setitem", rest, value)


def numbers_first(index: Any) -> tuple[Any, Any]:
    """An index in two steps, numbers before arrays of indexes; the first is None if one will do.

    NumPy counts a number among the arrays of indexes, and may then move their axes to the front.
    In PyTorch, and here, a number first takes its axis away.
    """
    if not isinstance(index, tuple) or not any(getattr(part, "ndim", 0) for part in index):
        return None, index
    numbers: list[Any] = []
    for part in index:
        if isinstance(part, int | np.integer) or part is Ellipsis:
            numbers.append(part)
        elif part is not None:
            is_mask = getattr(part, "dtype", None) == np.bool_
            numbers += [slice(None)] * (part.ndim if is_mask else 1)
    return tuple(numbers), tuple(part for part in index if not isinstance(part, int | np.integer))


def _own(index: Any, x: Array) -> Any:
    """An index into x in arrays of its own: the derivative needs it as it is now."""
    if isinstance(index, tuple):
        return tuple(_own(part, x) for part in index)
    if isinstance(index, list):
        return namespace(x).asarray(np.array(index, dtype=None if index else np.int64))
    index = index.array if isinstance(index, Tensor) else index
    if not hasattr(index, "shape"):
        return index
    if apart := disagreement((x, index)):
        raise TypeError(f"index: {apart}")
    return index.copy()
