"""A step of gradient descent in one pass over the parameters."""

from tinycnn.kernels import reference
from tinycnn.kernels.cuda.launch import blocks_for, contiguous, launch, suits
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
    settings = lr, momentum, share, weight_decay, nesterov
    in_place = (p,) if velocity is None else (p, velocity)
    plain = all(a.flags.c_contiguous and a.shape == g.shape for a in in_place)
    if not plain or not suits(*in_place, g):
        return reference.sgd_step(p, g, velocity, *settings)
    g = contiguous(g)
    launch("sgd_step", (p.dtype,), blocks_for(p.size), p, g, velocity, p.size, *settings)
    return None
