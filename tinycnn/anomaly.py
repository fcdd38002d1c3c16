"""Finding the operation that made a NaN or an infinity."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinycnn.kernels.namespace import namespace

_HOME = os.path.dirname(__file__)
open_blocks = 0  # of `detect_anomaly`


class AnomalyError(FloatingPointError):
    """An operation made a NaN or an infinity out of finite numbers."""


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """In this block the first operation that makes a NaN or infinity, forward or backward, raises.

    The error names the operation and the line that called it. Every result is looked through,
    so this is slow, and for finding faults.

    >>> import tinycnn as tc
    >>> with tc.detect_anomaly():                               # doctest: +ELLIPSIS
    ...     tc.log(tc.tensor([0.0]))
    Traceback (most recent call last):
    ...
    tinycnn.anomaly.AnomalyError: log: the forward pass made -inf from finite inputs, called at ...
    """
    global open_blocks
    open_blocks += 1
    try:
        with np.errstate(all="ignore"):  # NumPy's own warnings say less
            yield
    finally:
        open_blocks -= 1


def watching() -> bool:
    """Whether a `detect_anomaly` block is open."""
    return open_blocks > 0


def caller() -> str:
    """`file:line in function` of the nearest frame outside this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HOME + os.sep):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"


def finite(value: Any) -> bool:
    """Whether an array holds finite numbers only; True for what holds no floating-point numbers."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    return kind not in ("f", "c") or bool(namespace(value).isfinite(value).all())


def check(name: str, phase: str, made: Any, inputs: Iterable[Any], where: str | None) -> None:
    """Raise if `made` holds a NaN or infinity and none of the inputs does."""
    if finite(made) or not all(finite(value) for value in inputs):
        return
    xp = namespace(made)
    bad = made[~xp.isfinite(made)].flatten()[0]
    where = where or "an unknown place (not made inside detect_anomaly)"
    raise AnomalyError(f"{name}: the {phase} pass made {bad} from finite inputs, called at {where}")
