"""Floor 3: gradient checks, for this library's operations and for anybody's own.

from tinycnn.gradcheck import gradcheck, pair

print(gradcheck(lambda x, w: (x @ w).sigmoid(), (x, w)))  # a function of Tensors
print(pair(forward, backward, (x, w)))  # NumPy functions with a derivative written by hand
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinycnn.gradcheck.check import check
from tinycnn.gradcheck.report import Entry, Finding, Report
from tinycnn.gradcheck.subject import Graph, SecondGraph, Subject, of_graph, of_pair
from tinycnn.gradcheck.torch import is_torch, of_torch

__all__ = ["Entry", "Finding", "Report", "assert_gradients", "gradcheck", "gradgradcheck", "pair"]


def gradcheck(
    fn: Callable[..., Any], inputs: Any, *, seed: int = 0, method: str | None = None
) -> Report:
    """Check the first derivatives of a function of Tensors or of a network.

    Args:
        fn: takes the inputs and returns a Tensor or several. A module's parameters are checked
            too, by name. Functions of PyTorch tensors and its modules are taken as well.
        inputs: one, or a tuple or list. Arrays and Tensors of float32 or float64 are
            differentiated; all else is passed on. float32 gradients are held against the float64
            derivative.
        seed: of cotangents and directions.
        method: "complex step" or "differences"; by default the former where it can be had.

    Raises:
        ValueError: there is nothing to differentiate, or the method cannot be had.

    >>> import numpy as np
    >>> report = gradcheck(lambda x: x.sigmoid(), np.array([0.5, -40.0]))
    >>> report.ok, report.method, report.worst < 1e-15
    (True, 'complex step', True)
    """
    return check(_subject(fn, _several(inputs)), seed, method)


def gradgradcheck(
    fn: Callable[..., Any], inputs: Any, *, seed: int = 0, method: str | None = None
) -> Report:
    """Check the derivatives of the first derivatives, by the inputs and by the cotangent.

    Arguments are those of `gradcheck`.

    >>> import numpy as np
    >>> gradgradcheck(lambda x: x**3, np.array([2.0, -1.0])).ok
    True
    """
    return check(_subject(fn, _several(inputs), seed), seed, method)


def pair(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    inputs: Any,
    *,
    seed: int = 0,
    method: str | None = None,
) -> Report:
    """Check a NumPy function and the backward function written for it by hand.

    Args:
        forward: takes the inputs and returns an array.
        backward: takes the cotangent of that array and the inputs, and returns a tuple of
            gradients, one for each input (None for one that is no array of floating-point
            numbers) or one for each array of floating-point numbers. `forward` is called with the
            same inputs before it, for a layer that keeps them.
        inputs, seed, method: as in `gradcheck`.

    >>> import numpy as np
    >>> report = pair(lambda x: x**2, lambda g, x: (g * x,), np.array([1.0, 3.0]))
    >>> report.ok, report.findings[0].trouble
    (False, 'wrong gradient')
    """
    return check(of_pair(forward, backward, _several(inputs)), seed, method)


def assert_gradients(
    fn: Callable[..., Any],
    inputs: Any,
    *,
    backward: Callable[..., Any] | None = None,
    second: bool = False,
    seed: int = 0,
    method: str | None = None,
) -> Report:
    """`gradcheck`, or with `backward` given `pair`, that raises if a gradient is wrong.

    Args:
        fn, inputs, backward, seed, method: as there.
        second: check second derivatives too.

    Raises:
        AssertionError: a gradient is wrong; its text is the report.
    """
    __tracebackhide__ = True  # pytest shows the test's line, not this one
    if backward is not None:
        report = pair(fn, backward, inputs, seed=seed, method=method)
    else:
        report = gradcheck(fn, inputs, seed=seed, method=method)
    if report.ok and second:
        report = gradgradcheck(fn, inputs, seed=seed, method=method)
    if not report.ok:
        raise AssertionError(str(report))
    return report


def _several(inputs: Any) -> tuple[Any, ...]:
    return tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)


def _subject(fn: Callable[..., Any], inputs: tuple[Any, ...], second: int | None = None) -> Subject:
    if is_torch(fn, inputs):
        return of_torch(fn, inputs, second)
    graph = Graph(fn, inputs)
    return of_graph(graph if second is None else SecondGraph(graph, second))
