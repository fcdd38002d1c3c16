"""Gives Tensor its operators and methods: each is an operation of this floor."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinycnn.device import names_device
from tinycnn.ops import (
    activation,
    arithmetic,
    indexing,
    inplace,
    matrix,
    reduction,
    shape,
    transfer,
)
from tinycnn.tensor import Tensor


def _operator(operation: Any) -> Any:
    """The method for `tensor − number`."""
    return lambda self, other: operation(self, other)


def _reflected(operation: Any) -> Any:
    """The method for `number − tensor`."""
    return lambda self, other: operation(other, self)


def _sized(operation: Any) -> Any:
    """A method that takes its last argument, a tuple, as one or as many: `x.reshape(2, 3)`."""

    def method(self: Tensor, *sizes: Any) -> Tensor:
        given = sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes
        result: Tensor = operation(self, tuple(given))
        return result

    return method


def _equal(self: Tensor, other: Any) -> Any:
    """Elementwise; what is no number equals no tensor."""
    return arithmetic.eq(self, other) if _comparable(other) else NotImplemented


def _unequal(self: Tensor, other: Any) -> Any:
    return arithmetic.ne(self, other) if _comparable(other) else NotImplemented


def _comparable(other: Any) -> bool:
    return hasattr(other, "dtype") or isinstance(other, int | float | complex)


def _astype(self: Tensor, dtype: Any) -> Tensor:
    """The tensor in another dtype; itself if it has that already."""
    return self if self.dtype == dtype else arithmetic.cast(self, dtype)


def _to(self: Tensor, target: Any) -> Tensor:
    """The tensor in another dtype, or on another device ("cpu", "cuda", "cuda:1"); itself if that
    is so already."""
    return transfer.transfer(self, target) if names_device(target) else _astype(self, target)


def _reversed(self: Tensor) -> Tensor:
    """The axes in reversed order."""
    return shape.permute(self, tuple(reversed(range(self.ndim))))


def _transposed(self: Tensor) -> Tensor:
    """The last two axes exchanged."""
    return shape.transpose(self, -1, -2)


def _flip(self: Tensor, *dims: Any) -> Tensor:
    """The order reversed along some axes."""
    return shape.flip(self, dims[0] if len(dims) == 1 else dims)


OPERATORS: dict[str, Any] = {
    "__add__": arithmetic.add,
    "__sub__": arithmetic.sub,
    "__mul__": arithmetic.mul,
    "__truediv__": arithmetic.div,
    "__pow__": arithmetic.pow,
    "__matmul__": matrix.matmul,
}
PLAIN: dict[str, Any] = {
    "__neg__": arithmetic.neg,
    "__abs__": arithmetic.abs,
    "__eq__": _equal,
    "__ne__": _unequal,
    "__lt__": arithmetic.lt,
    "__le__": arithmetic.le,
    "__gt__": arithmetic.gt,
    "__ge__": arithmetic.ge,
    "__and__": arithmetic.bitwise_and,
    "__or__": arithmetic.bitwise_or,
    "__invert__": arithmetic.bitwise_not,
    "__getitem__": indexing.getitem,
    "__setitem__": indexing.setitem,
    "__iadd__": inplace.augmented("__iadd__", arithmetic.add, inplace.add_),
    "__isub__": inplace.augmented("__isub__", arithmetic.sub, inplace.sub_),
    "__imul__": inplace.augmented("__imul__", arithmetic.mul, inplace.mul_),
    "__itruediv__": inplace.augmented("__itruediv__", arithmetic.div, inplace.div_),
    "reshape": _sized(shape.reshape),
    "view": _sized(shape.reshape),
    "permute": _sized(shape.permute),
    "expand": _sized(shape.expand),
    "to": _to,
    "astype": _astype,  # NumPy's name, so that a derivative's line works on both
    "float": lambda self: _astype(self, np.float32),
    "double": lambda self: _astype(self, np.float64),
    "long": lambda self: _astype(self, np.int64),
    "cpu": lambda self: _to(self, "cpu"),
    "cuda": lambda self: _to(self, "cuda"),
    "T": property(_reversed),
    "mT": property(_transposed),
    "flip": _flip,
    "clip": arithmetic.clamp,
}
# methods of the operation's own name
NAMED: dict[Any, str] = {
    arithmetic: "add sub mul div neg pow exp expm1 log log1p sqrt sign abs maximum minimum clamp "
    "clone isfinite isnan eq ne lt le gt ge",
    shape: "transpose flatten squeeze unsqueeze split chunk",
    reduction: "sum mean var std prod amax amin max min argmax argmin gather all any",
    activation: "sigmoid tanh relu softmax log_softmax logsumexp",
    matrix: "matmul",
    inplace: "add_ sub_ mul_ div_ copy_ fill_ zero_",
}


def _attach(name: str, method: Any) -> None:
    if not isinstance(method, property) and not hasattr(method, "__get__"):
        operation = method  # a Function is no method by itself: it must be handed the tensor
        method = lambda self, *args, **kwargs: operation(self, *args, **kwargs)  # noqa: E731
        method.__doc__ = operation.__doc__
    setattr(Tensor, name, method)


def attach() -> None:
    """Attach them all."""
    for name, method in PLAIN.items():
        _attach(name, method)
    for name, operation in OPERATORS.items():
        setattr(Tensor, name, _operator(operation))
        setattr(Tensor, name.replace("__", "__r", 1), _reflected(operation))
    for module, names in NAMED.items():
        for name in names.split():
            _attach(name, getattr(module, name))
