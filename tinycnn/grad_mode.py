"""Whether operations remember how their results were made."""

import threading
from collections.abc import Iterator
from contextlib import _GeneratorContextManager, contextmanager
from typing import Any, TypeAlias

import numpy as np

Switch: TypeAlias = "_GeneratorContextManager[None]"


class _Mode(threading.local):
    remembering = True
    kinds = "f"  # of numbers that have derivatives


_mode = _Mode()


def is_grad_enabled() -> bool:
    """Whether operations are recorded in this thread."""
    return _mode.remembering


def has_derivatives(dtype: np.dtype[Any]) -> bool:
    """Whether numbers of this type can carry a gradient: floating-point ones, and within
    `complex_too` complex ones.
    """
    return dtype.kind in _mode.kinds


@contextmanager
def complex_too() -> Iterator[None]:
    """In this block complex tensors have derivatives too: those of the formulas, without
    conjugation. So a derivative itself can be checked by a complex step.
    """
    before, _mode.kinds = _mode.kinds, "fc"
    try:
        yield
    finally:
        _mode.kinds = before


@contextmanager
def _remembering(whether: bool) -> Iterator[None]:
    before, _mode.remembering = _mode.remembering, whether
    try:
        yield
    finally:
        _mode.remembering = before


def no_grad() -> Switch:
    """Nothing is recorded in this block, or in a function decorated with it: for inference, and
    for changing parameters.

    >>> import tinycnn as tc
    >>> x = tc.tensor([1.0], requires_grad=True)
    >>> with tc.no_grad():
    ...     (x * 2).requires_grad
    False
    """
    return _remembering(False)


def enable_grad() -> Switch:
    """Operations are recorded in this block, also inside `no_grad`."""
    return _remembering(True)
