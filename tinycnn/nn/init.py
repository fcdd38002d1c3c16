"""Initialisation: how large the first weights are decides whether signals and gradients survive.

With n inputs to a unit (fan in) the variance of its sum is n times a weight's. Xavier keeps the
variance the same forwards and backwards for a linear network, Kaiming for one with ReLUs, which
halve it.
"""

from __future__ import annotations

import math

import numpy as np

from tinycnn import random
from tinycnn.grad_mode import no_grad
from tinycnn.tensor import Tensor

Generator = np.random.Generator | None


def fans(weight: Tensor) -> tuple[int, int]:
    """(fan in, fan out) of a weight (out, in, …): how many inputs a unit sums, and how many units
    an input feeds.
    """
    if weight.ndim < 2:
        raise ValueError(f"init: a weight of shape {tuple(weight.shape)} has no fan in")
    window = math.prod(weight.shape[2:])
    return weight.shape[1] * window, weight.shape[0] * window


def gain(nonlinearity: str, a: float = 0.0) -> float:
    """By how much weights must be larger in front of a nonlinearity; `a` is a leaky ReLU's slope.

    >>> gain("relu")**2
    2.0000000000000004
    """
    gains = {
        "linear": 1.0,
        "sigmoid": 1.0,
        "tanh": 5 / 3,
        "relu": math.sqrt(2),
        "leaky_relu": math.sqrt(2 / (1 + a**2)),
    }
    if nonlinearity not in gains:
        raise ValueError(f"init: nonlinearity {nonlinearity!r} is none of {', '.join(gains)}")
    return gains[nonlinearity]


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator = None) -> Tensor:
    """Numbers uniform in [a, b)."""
    return _fill(tensor, (generator or random.default()).uniform(a, b, tensor.shape))


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator = None
) -> Tensor:
    """Normal numbers."""
    return _fill(tensor, (generator or random.default()).normal(mean, std, tensor.shape))


def constant_(tensor: Tensor, value: float) -> Tensor:
    """One value."""
    return _fill(tensor, value)


def zeros_(tensor: Tensor) -> Tensor:
    """0."""
    return _fill(tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    """1."""
    return _fill(tensor, 1)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator = None) -> Tensor:
    """Uniform, of variance gain² · 2 / (fan in + fan out). Glorot & Bengio (2010), eq. 16."""
    bound = gain * math.sqrt(6 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator = None) -> Tensor:
    """Normal, of variance gain² · 2 / (fan in + fan out). Glorot & Bengio (2010)."""
    return normal_(tensor, 0, gain * math.sqrt(2 / sum(fans(tensor))), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator = None,
) -> Tensor:
    """Uniform, of variance gain² / fan. He et al. (2015), eq. 10.

    Args:
        tensor: the weight, changed in place.
        a: the slope of the leaky ReLU behind it (0 for a ReLU).
        mode: 'fan_in' keeps the variance forwards, 'fan_out' backwards.
        nonlinearity: what stands behind the weight.
        generator: where chance comes from.
    """
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator = None,
) -> Tensor:
    """Normal, else as `kaiming_uniform_`."""
    return normal_(tensor, 0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"init: mode is 'fan_in' or 'fan_out', not {mode!r}")
    return gain(nonlinearity, a) / math.sqrt(fans(tensor)[mode == "fan_out"])


def _fill(tensor: Tensor, values: object) -> Tensor:
    with no_grad():
        tensor[...] = values
    return tensor
