"""A tensor that a module learns."""

from __future__ import annotations

from tinycnn.kernels.types import Array
from tinycnn.tensor import Tensor


class Parameter(Tensor):
    """A leaf that requires a gradient; assigned to a module's attribute it is registered there."""

    __slots__ = ()

    def __init__(self, array: Array | Tensor, requires_grad: bool = True) -> None:
        super().__init__(array.array if isinstance(array, Tensor) else array, requires_grad)
