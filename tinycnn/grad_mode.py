"""Whether operations remember how their results were made."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, ParamSpec, TypeVar

import numpy as np

P = ParamSpec("P")
R = TypeVar("R")

# Two sets of kinds of numbers, as NumPy's `dtype.kind` names them, that each thread has for itself:
differentiable_kinds = ContextVar("differentiable_kinds", default="f")  # those with derivatives
recorded_kinds = ContextVar("recorded_kinds", default="f")  # the same, or none within `no_grad`


def is_grad_enabled() -> bool:
    """Whether operations are recorded in this thread."""
    return recorded_kinds.get() != ""


def has_derivatives(dtype: np.dtype[Any]) -> bool:
    """Whether numbers of this type can carry a gradient: floating-point ones, and within
    `complex_too` complex ones.
    """
    return dtype.kind in differentiable_kinds.get()


@contextmanager
def complex_too() -> Iterator[None]:
    """In this block complex tensors have derivatives too: those of the formulas, without
    conjugation. So a derivative itself can be checked by a complex step.
    """
    before = differentiable_kinds.get(), recorded_kinds.get()
    differentiable_kinds.set("fc")
    recorded_kinds.set("fc" if is_grad_enabled() else "")
    try:
        yield
    finally:
        differentiable_kinds.set(before[0])
        recorded_kinds.set(before[1])


class _Switch:
    """A block, or a decorated function, in which operations are recorded, or are not."""

    on: ClassVar[bool]

    def __enter__(self) -> None:
        self.before = recorded_kinds.get()
        recorded_kinds.set(differentiable_kinds.get() if self.on else "")

    def __exit__(self, *_: object) -> None:
        recorded_kinds.set(self.before)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def switched(*args: P.args, **kwargs: P.kwargs) -> R:
            with type(self)():  # one of its own for each call
                return function(*args, **kwargs)

        return switched


class no_grad(_Switch):
    """Nothing is recorded in this block, or in a function decorated with it: for inference, and
    for changing parameters.

    >>> import tinycnn as tc
    >>> x = tc.tensor([1.0], requires_grad=True)
    >>> with tc.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    on = False


class enable_grad(_Switch):
    """Operations are recorded in this block, also inside `no_grad`."""

    on = True
