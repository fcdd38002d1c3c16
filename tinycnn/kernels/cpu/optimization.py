"""A step of gradient descent in one pass over memory."""

from typing import Any

from tinycnn.kernels import reference
from tinycnn.kernels.cpu.jit import jit, same_dtype
from tinycnn.kernels.types import Array


def sgd_step(
    p: Array,
    g: Array,
    velocity: Array | None,
    lr: float,
    momentum: float,
    share: float,
    weight_decay: float,
    nesterov: bool,
) -> None:
    """v ← momentum · v + share · (g + weight_decay · p), then p ← p − lr · v, both in place."""
    v = p if velocity is None else velocity
    contiguous = p.flags.c_contiguous and v.flags.c_contiguous
    if not contiguous or not same_dtype(p, g, v) or p.shape != g.shape:
        settings = lr, momentum, share, weight_decay, nesterov
        return reference.sgd_step(p, g, velocity, *settings)
    remembers = velocity is not None
    _step(p.ravel(), g.ravel(), v.ravel(), lr, momentum, share, weight_decay, remembers, nesterov)
    return None


@jit
def _step(
    p: Any,
    g: Any,
    v: Any,
    lr: float,
    momentum: float,
    share: float,
    weight_decay: float,
    remembers: bool,
    nesterov: bool,
) -> None:
    number = p.dtype.type  # all arithmetic is in the type of the parameter
    lr, momentum, share, decay = number(lr), number(momentum), number(share), number(weight_decay)
    if not remembers:
        for i in range(len(p)):
            p[i] -= lr * (g[i] + decay * p[i])
        return
    ahead, behind = (number(1), momentum) if nesterov else (number(0), number(1))
    for i in range(len(p)):
        slope = g[i] + decay * p[i]
        velocity = momentum * v[i] + share * slope
        v[i] = velocity
        p[i] -= lr * (ahead * slope + behind * velocity)
