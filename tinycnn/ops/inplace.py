"""Changing a tensor's memory in place: for parameters, outside the graph.

What a derivative still needs must not change under it. So an in-place change of a tensor that
the graph knows is refused while operations are recorded, and every change made otherwise is
counted: a derivative that finds the count moved on raises instead of giving a wrong number.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinycnn.device import disagreement
from tinycnn.grad_mode import is_grad_enabled
from tinycnn.tensor import Tensor


def assign(x: Tensor, name: str, index: Any, value: Any) -> Tensor:
    """x[index] = value, counted."""
    known = x.requires_grad or (isinstance(value, Tensor) and value.requires_grad)
    if known and is_grad_enabled():
        raise RuntimeError(
            f"{name}: an in-place change of a tensor that requires a gradient, or by one; "
            "use an operation with a new result, or tc.no_grad()"
        )
    value = value.array if isinstance(value, Tensor) else value
    kind = (value.dtype if hasattr(value, "dtype") else np.result_type(type(value))).kind
    if kind in "fc" and kind != x.dtype.kind and x.dtype.kind != "c":
        raise TypeError(f"{name}: {x.dtype} cannot hold the new values; convert the tensor")
    try:
        x.array[index] = value
    except (TypeError, ValueError) as error:
        if apart := disagreement((x.array, value)):
            raise TypeError(f"{name}: {apart}") from error
        raise
    x.changes[0] += 1
    return x


def add_(x: Tensor, y: Any) -> Tensor:
    """x += y, in x's memory."""
    return assign(x, "add_", ..., x.detach() + y)


def sub_(x: Tensor, y: Any) -> Tensor:
    """x −= y, in x's memory."""
    return assign(x, "sub_", ..., x.detach() - y)


def mul_(x: Tensor, y: Any) -> Tensor:
    """x *= y, in x's memory."""
    return assign(x, "mul_", ..., x.detach() * y)


def div_(x: Tensor, y: Any) -> Tensor:
    """x /= y, in x's memory."""
    return assign(x, "div_", ..., x.detach() / y)


def copy_(x: Tensor, y: Any) -> Tensor:
    """The values of y, in x's memory."""
    return assign(x, "copy_", ..., y)


def fill_(x: Tensor, value: float) -> Tensor:
    """One value everywhere, in x's memory."""
    return assign(x, "fill_", ..., value)


def zero_(x: Tensor) -> Tensor:
    """0 everywhere, in x's memory."""
    return assign(x, "zero_", ..., 0)


def augmented(name: str, fresh: Any, in_place: Any) -> Any:
    """The method behind `+=` and its kin: outside the graph it changes x's memory; a result in
    the graph is left as it is, and `x += y` means `x = x + y`, as for a Python number.
    """

    def method(x: Tensor, y: Any) -> Tensor:
        known = x.requires_grad or (isinstance(y, Tensor) and y.requires_grad)
        recorded = known and is_grad_enabled() and not (x.is_leaf and x.requires_grad)
        result: Tensor = (fresh if recorded else in_place)(x, y)
        return result

    method.__name__ = name
    return method
