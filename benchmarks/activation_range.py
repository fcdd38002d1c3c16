"""Activations and their derivatives over the whole range of float32, in units in the last place.

Two million points: every 4093rd of the 2³² bit patterns, which are all signs and exponents down to
the subnormal numbers, as many again where activations bend, and the closest neighbours of ±0, of
±∞ and of the points where something saturates. The truth is computed in float64 from the same
points by other formulas than the library's; an error of 1 ulp is the distance of two neighbouring
float32 numbers at the truth.

    python benchmarks/activation_range.py

prints Markdown tables of the largest errors, and PyTorch's beside them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np

import tinycnn as tc
from tinycnn import kernels

Array = np.ndarray[Any, np.dtype[Any]]


@cache
def points() -> Array:
    """About two million float32 numbers, no NaN among them."""
    everywhere = np.arange(0, 2**32, 4093)
    low, high = np.array([2**-8, 2**7], np.float32).view(np.uint32)
    bends = np.arange(low, high, 244)
    # where e⁻ˣ reaches half a unit in the last place of 1, the subnormal numbers, and 0
    saturated = [bits * math.log(2) for bits in (24, 25, 126, 149, 150)]
    # and e⁻²ˣ, of which a derivative of tanh is 4 times
    saturated += [(bits + 2) * math.log(2) / 2 for bits in (23, 24, 25, 126, 149, 150)]
    corners = np.array([0, *saturated, np.inf], np.float32).view(np.uint32).astype(np.int64)
    near = (corners[:, None] + np.arange(-2100, 2101)).ravel()
    both = np.concatenate([bends, near[near >= 0]])
    x = np.concatenate([everywhere, both, both + 2**31]).astype(np.uint32).view(np.float32)
    return x[~np.isnan(x)]


class Truth(NamedTuple):
    """A function and its derivative, for float64 arrays."""

    value: Callable[[Array], Array]
    derivative: Callable[[Array], Array]


def _near(x: Array) -> Array:
    """Beyond ±300, e⁻ˣ is far below all of float32, and its square still within float64."""
    return np.clip(x, -300, 300)


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-_near(x)))  # not (1 + tanh(x/2)) / 2, which cancels on the left


def _step(x: Array) -> Array:
    return (x > 0).astype(np.float64)


def _below(x: Array) -> Array:
    return np.minimum(x, 0)


# Derivatives by hyperbolic cosines: neither products of sigmoids, as the library has them, nor
# 1 − y², which is noise where y rounds to 1 even in float64.
TRUTH = {
    "sigmoid": Truth(_sigmoid, lambda x: 0.25 / np.cosh(_near(x) / 2) ** 2),
    "tanh": Truth(np.tanh, lambda x: 1 / np.cosh(_near(x)) ** 2),
    "softplus": Truth(lambda x: np.logaddexp(0, x), _sigmoid),
    "elu": Truth(
        lambda x: np.where(x > 0, x, np.expm1(_below(x))),
        lambda x: np.exp(_below(x)),
    ),
    "leaky_relu": Truth(lambda x: np.where(x > 0, x, 0.01 * x), lambda x: np.where(x > 0, 1, 0.01)),
    "relu": Truth(lambda x: np.maximum(x, 0), _step),
}


@cache
def truth(name: str) -> tuple[Array, Array]:
    """Value and derivative at the points, in float64."""
    x = points().astype(np.float64)
    return TRUTH[name].value(x), TRUTH[name].derivative(x)


def ulps(found: Array, true: Array) -> Array:
    """How many float32 numbers lie between the two, fractions included; a NaN is infinitely far."""
    _, exponent = np.frexp(true)
    unit = np.ldexp(1.0, np.maximum(exponent - 24, -149))
    equal = found == true  # of two infinities the difference is no number
    error = abs(np.where(equal, 0, found.astype(np.float64)) - np.where(equal, 0, true)) / unit
    return np.where(np.isnan(error), np.inf, error)


def by_tinycnn(name: str, backend: str) -> tuple[Array, Array]:
    """Value and derivative at the points."""
    x = tc.tensor(points(), requires_grad=True)
    with kernels.use(backend):
        y = getattr(tc, name)(x)
        y.backward(tc.ones(y.shape))
    assert x.grad is not None
    return y.array, x.grad.array


def by_pytorch(name: str) -> tuple[Array, Array]:
    """The same by PyTorch."""
    import torch

    x = torch.tensor(points(), requires_grad=True)
    y = getattr(torch.nn.functional, name)(x)
    y.backward(torch.ones_like(y))
    assert x.grad is not None
    return y.detach().numpy(), x.grad.numpy()


def rows(which: int) -> Iterator[str]:
    """Lines of a Markdown table of the values (0) or the derivatives (1)."""
    yield "| | tinycnn, reference | tinycnn, cpu | PyTorch | PyTorch, worst at | it gives | truth |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for name in TRUTH:
        true = truth(name)[which]
        found = [by_tinycnn(name, "reference"), by_tinycnn(name, "cpu"), by_pytorch(name)]
        errors = [ulps(pair[which], true) for pair in found]
        worst = [f"{error.max():.3g}" for error in errors]
        i = int(np.minimum(errors[2], 2**23).argmax())  # of zeros, the first
        there = [f"{v:.5g}" for v in (points()[i], found[2][which][i], true[i])]
        yield "| " + " | ".join([name + "′" * which, *worst, *there]) + " |"


def main() -> None:
    """Print both tables."""
    print(f"Largest errors over {len(points()):,} float32 points, in ulp:\n")
    for which in (1, 0):
        print("\n".join(rows(which)), end="\n\n")


if __name__ == "__main__":
    main()
