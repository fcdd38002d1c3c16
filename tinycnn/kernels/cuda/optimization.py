"""A step of gradient descent in one pass over the parameters."""

import numpy as np

from tinycnn.kernels import reference
from tinycnn.kernels.cuda.launch import blocks_for, contiguous, launch, suits
from tinycnn.kernels.types import Array


def sgd_step(
    p: Array,
    g: Array,
    velocity: Array | None,
    lr: float | Array,
    momentum: float,
    share: float,
    weight_decay: float,
    nesterov: bool,
) -> None:
    """v ← momentum · v + share · (g + weight_decay · p), then p ← p − lr · v, both in place.

    `lr` is a number, or on the device a single one of float64: a CUDA graph reads it anew.
    """
    settings = momentum, share, weight_decay, nesterov
    in_place = (p,) if velocity is None else (p, velocity)
    plain = all(a.flags.c_contiguous and a.shape == g.shape for a in in_place)
    if not plain or not suits(*in_place, g):
        return reference.sgd_step(p, g, velocity, lr, *settings)
    number, rate = (lr, None) if isinstance(lr, float | int | np.generic) else (0.0, lr)
    given = p, contiguous(g), velocity, rate, p.size, number
    launch("sgd_step", (p.dtype,), blocks_for(p.size), *given, *settings)
    return None
