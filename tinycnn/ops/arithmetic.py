"""Elementwise arithmetic, with broadcasting. Names are PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinycnn.function import Value, differentiable
from tinycnn.kernels.namespace import namespace
from tinycnn.tensor import Tensor

NUMBER = (int, float)


def alike(x: Value, y: Value) -> tuple[Value, Value]:
    """Two operands that give the type one expects: a number takes the array's type, integers
    become floating-point beside it; NumPy alone would promote float32 to float64.
    """
    a, b = getattr(x, "dtype", None), getattr(y, "dtype", None)
    if a is not None and a is b:
        return x, y
    if (b is None and _floats(a) and isinstance(y, NUMBER)) or (
        a is None and _floats(b) and isinstance(x, NUMBER)
    ):  # a Python number beside floating-point ones: NumPy does as one expects
        return x, y
    x, y = _plain(x, y), _plain(y, x)
    return _beside(x, y), _beside(y, x)


def _floats(dtype: Any) -> bool:
    return dtype is not None and dtype.kind in "fc"


def _plain(x: Value, other: Value) -> Value:
    """A NumPy number beside an array as a Python number, which takes the array's type."""
    if isinstance(x, np.generic) and not isinstance(other, np.generic) and hasattr(other, "dtype"):
        return x.item()
    if not isinstance(x, int | float | complex) and not hasattr(x, "dtype"):
        raise TypeError(f"arithmetic takes tensors, arrays and numbers, not {type(x).__name__}")
    return x


def _beside(x: Value, other: Value) -> Value:
    """`x`, an integer array, in floating point if `other` is."""
    if not hasattr(x, "dtype") or x.dtype.kind not in "iub":
        return x
    if isinstance(other, float):
        return x.astype(np.float32)
    return x.astype(other.dtype) if _floats(getattr(other, "dtype", None)) else x


def floating(x: Value) -> Value:
    """x, in float32 if it is an array of integers."""
    return x.astype(np.float32) if x.dtype.kind in "iub" else x


@differentiable
def add(x: Value, y: Value) -> Value:
    """x + y."""
    x, y = alike(x, y)
    return x + y


@add.derivative("x")
def _(g: Value) -> Value:
    return g


@add.derivative("y")
def _(g: Value) -> Value:
    return g


@differentiable
def sub(x: Value, y: Value) -> Value:
    """x − y."""
    x, y = alike(x, y)
    return x - y


@sub.derivative("x")
def _(g: Value) -> Value:
    return g


@sub.derivative("y")
def _(g: Value) -> Value:
    return -g


@differentiable
def mul(x: Value, y: Value) -> Value:
    """x · y."""
    x, y = alike(x, y)
    return x * y


@mul.derivative("x")
def _(g: Value, y: Value) -> Value:
    return g * y


@mul.derivative("y")
def _(g: Value, x: Value) -> Value:
    return g * x


@differentiable
def div(x: Value, y: Value) -> Value:
    """x / y; integers are divided as float32."""
    x, y = alike(x, y)
    return (floating(x) if hasattr(x, "dtype") else x) / (floating(y) if hasattr(y, "dtype") else y)


@div.derivative("x")
def _(g: Value, y: Value) -> Value:
    return g / y


@div.derivative("y")
def _(g: Value, x: Value, y: Value) -> Value:
    return -g * (x / y) / y


@differentiable
def neg(x: Value) -> Value:
    """−x."""
    return -x


@neg.derivative("x")
def _(g: Value) -> Value:
    return -g


@differentiable
def pow(x: Value, y: Value) -> Value:
    """x to the power y."""
    x, y = alike(x, y)
    return x**y


@pow.derivative("x")
def _(g: Value, x: Value, y: Value) -> Value:
    if isinstance(y, int | float):
        return g * 0 if y == 0 else g * (y * x ** (y - 1))
    # where y = 0 the power is constant, also at x = 0
    return g * (y * x ** where(y == 0, 1, y - 1))


@pow.derivative("y")
def _(g: Value, x: Value, result: Value) -> Value:
    # 0 ** y is 0 for every y > 0, and log(0) must not spoil it
    return g * (result * log(where(x == 0, 1.0, x)))


@differentiable
def exp(x: Value) -> Value:
    """eˣ."""
    return namespace(x).exp(floating(x))


@exp.derivative("x")
def _(g: Value, result: Value) -> Value:
    return g * result


@differentiable
def expm1(x: Value) -> Value:
    """eˣ − 1, exact also where x is tiny."""
    return namespace(x).expm1(floating(x))


@expm1.derivative("x")
def _(g: Value, x: Value) -> Value:
    return g * exp(x)


@differentiable
def log(x: Value) -> Value:
    """The natural logarithm."""
    return namespace(x).log(floating(x))


@log.derivative("x")
def _(g: Value, x: Value) -> Value:
    return g / x


@differentiable
def log1p(x: Value) -> Value:
    """log(1 + x), exact also where x is tiny."""
    return namespace(x).log1p(floating(x))


@log1p.derivative("x")
def _(g: Value, x: Value) -> Value:
    return g / (1 + x)


@differentiable
def sqrt(x: Value) -> Value:
    """√x; its derivative at 0 is infinite."""
    return namespace(x).sqrt(floating(x))


@sqrt.derivative("x")
def _(g: Value, result: Value) -> Value:
    return g / (2 * result)


@differentiable
def sign(x: Value) -> Value:
    """−1, 0 or 1; constant, so its derivative is 0 everywhere it has one."""
    xp = namespace(x)
    return xp.sign(x.real).astype(x.dtype) if x.dtype.kind == "c" else xp.sign(x)


@sign.derivative("x")
def _(g: Value) -> Value:
    return g * 0


@differentiable
def abs(x: Value) -> Value:
    """|x|; the derivative at 0 is taken as 0."""
    xp = namespace(x)
    # of a complex number x + iε the branch of the real part, as a complex step needs
    return xp.where(x.real < 0, -x, x) if x.dtype.kind == "c" else xp.abs(x)


@abs.derivative("x")
def _(g: Value, x: Value) -> Value:
    return g * sign(x)


@differentiable
def where(condition: Value, x: Value, y: Value) -> Value:
    """x where the condition is true, y elsewhere."""
    x, y = alike(x, y)
    return namespace(condition, x, y).where(condition, x, y)


@where.derivative("x")
def _(g: Value, condition: Value) -> Value:
    return where(condition, g, 0)


@where.derivative("y")
def _(g: Value, condition: Value) -> Value:
    return where(condition, 0, g)


@differentiable
def maximum(x: Value, y: Value) -> Value:
    """The larger of each two elements; a tie gives half the gradient to each."""
    x, y = alike(x, y)
    return namespace(x, y).maximum(x, y)


@maximum.derivative("x")
def _(g: Value, x: Value, y: Value) -> Value:
    return where(x < y, 0, where(x == y, g / 2, g))  # NaN, which wins, gets it too


@maximum.derivative("y")
def _(g: Value, x: Value, y: Value) -> Value:
    return where(y < x, 0, where(x == y, g / 2, g))


@differentiable
def minimum(x: Value, y: Value) -> Value:
    """The smaller of each two elements; a tie gives half the gradient to each."""
    x, y = alike(x, y)
    return namespace(x, y).minimum(x, y)


@minimum.derivative("x")
def _(g: Value, x: Value, y: Value) -> Value:
    return where(x > y, 0, where(x == y, g / 2, g))


@minimum.derivative("y")
def _(g: Value, x: Value, y: Value) -> Value:
    return where(y > x, 0, where(x == y, g / 2, g))


@differentiable
def clamp(x: Value, min: Any = None, max: Any = None) -> Value:
    """x, but no less than `min` and no more than `max` (numbers or arrays); the bounds themselves
    count as inside, where the derivative is 1.
    """
    xp = namespace(x)
    for bound in (min, max):
        x = x if bound is None else _beside(x, bound)
    if min is not None:
        x = xp.where(x.real < min, xp.asarray(min, x.dtype), x)
    if max is not None:
        x = xp.where(x.real > max, xp.asarray(max, x.dtype), x)
    return x


@clamp.derivative("x")
def _(g: Value, x: Value, min: Any, max: Any) -> Value:
    if min is not None:
        g = where(x < min, 0, g)
    if max is not None:
        g = where(x > max, 0, g)
    return g


@clamp.derivative("min")
def _(g: Value, x: Value, min: Value, max: Any) -> Value:
    below = lt(x, min)
    # where the bounds cross, the upper one is the result
    return where(below if max is None else logical_and(below, lt(min, max)), g, 0)


@clamp.derivative("max")
def _(g: Value, x: Value, min: Any, max: Value) -> Value:
    above = gt(x, max)
    return where(above if min is None else logical_or(above, lt(max, min)), g, 0)


@differentiable
def cast(x: Value, dtype: Any) -> Value:
    """x in another dtype."""
    return x.astype(dtype)


@cast.derivative("x")
def _(g: Value) -> Value:
    return g  # the engine gives a gradient its input's dtype


@differentiable
def clone(x: Value) -> Value:
    """A copy in memory of its own."""
    return x.copy()


@clone.derivative("x")
def _(g: Value) -> Value:
    return g


def comparison(name: str) -> Any:
    """The operation that compares two operands with a NumPy function; it has no derivative."""

    def compare(x: Value, y: Value) -> Value:
        return getattr(namespace(x, y), name)(x, y)

    compare.__name__ = compare.__qualname__ = name
    compare.__doc__ = f"Elementwise {name.replace('_', ' ')}; it has no derivative."
    return differentiable(compare)


eq, ne = comparison("equal"), comparison("not_equal")
lt, le = comparison("less"), comparison("less_equal")
gt, ge = comparison("greater"), comparison("greater_equal")
logical_and, logical_or = comparison("logical_and"), comparison("logical_or")
bitwise_and, bitwise_or = comparison("bitwise_and"), comparison("bitwise_or")


@differentiable
def logical_not(x: Value) -> Value:
    """Elementwise not."""
    return namespace(x).logical_not(x)


@differentiable
def bitwise_not(x: Value) -> Value:
    """Elementwise not, bit by bit."""
    return ~x


def isfinite(x: Tensor) -> Tensor:
    """Where x is neither infinite nor NaN."""
    xp = namespace(x.array)
    return Tensor(xp.asarray(xp.isfinite(x.array)))


def isnan(x: Tensor) -> Tensor:
    """Where x is NaN."""
    xp = namespace(x.array)
    return Tensor(xp.asarray(xp.isnan(x.array)))
